"""Projects are made by their first key, however many ask at once."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy.orm import Session

from app.keys import service
from app.storage.database import Database


def test_two_at_once_make_one_project(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    both_have_looked = Barrier(2)
    first_look = Session.scalar

    def look(session: Session, *arguments: object) -> object:
        found = first_look(session, *arguments)  # type: ignore[call-overload]
        if not database.is_sqlite:  # its writers come one after the other
            both_have_looked.wait(5)
        return found

    monkeypatch.setattr(Session, "scalar", look)

    def make(name: str) -> str:
        with database.writing() as session:
            return service.create(session, name=name, role="read", project="biology")[0].project_id

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(make, ("a", "b"))
    assert first == second
