"""Aliases that several requests set, move and delete at once."""

import threading

from app.aliases import service
from app.projects.quotas import Quotas
from app.storage.blobs import Blobs
from app.storage.database import Database
from tests.support.rows import add_model, principal


def test_what_is_set_once_more_is_there_until_that_is_through(database: Database, blobs: Blobs) -> None:
    """Though nothing is written for it."""
    owner, model = principal(database), add_model(database, blobs, b"parameters")
    deleted = threading.Event()

    def put() -> bool:
        alias, is_new = service.put(session, owner, "best", model, Quotas())
        assert alias.model_id == model
        return is_new

    def delete() -> None:
        with database.writing() as session:
            service.delete(session, owner, "best")
        deleted.set()

    with database.writing() as session:
        assert put()
    deleting = threading.Thread(target=delete)
    with database.writing() as session:
        assert not put()
        deleting.start()
        assert not deleted.wait(0.5)
        assert not put()
    deleting.join()
    with database.writing() as session:
        assert put()
