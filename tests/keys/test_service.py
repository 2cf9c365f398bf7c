"""Keys: their roles, their one secret, and the first one."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from app.errors import Forbidden, Invalid, LastAdminKey, NotFound
from app.keys import service
from app.keys.service import ROLES, Authenticator, Principal
from app.storage.columns import now
from app.storage.database import Database
from app.storage.paging import Window
from app.storage.tables import Key


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("needed", ROLES)
def test_each_role_may_do_what_those_before_it_may(role: str, needed: str) -> None:
    principal = Principal("key_a", "proj_a", role)
    if ROLES.index(role) >= ROLES.index(needed):
        principal.need(needed)
    else:
        with pytest.raises(Forbidden, match=f"'{needed}'"):
            principal.need(needed)


def make(database: Database, **options: object) -> tuple[Key, str]:
    with database.writing() as session:
        return service.create(session, **{"name": "a", "role": "read", **options})  # type: ignore[arg-type]


def test_a_secret_is_not_kept(database: Database) -> None:
    key, secret = make(database)
    with database.reading() as session:
        row = session.execute(sa.select(*Key.__table__.c).where(Key.id == key.id)).one()
    assert secret not in map(str, row)
    assert len(secret) > 40
    assert make(database)[1] != secret


def test_a_key_opens_its_own_project_only(database: Database) -> None:
    key, secret = make(database, project="mine")
    other, _ = make(database, project="theirs")
    doorman = Authenticator(database)
    assert doorman.remembered(secret, "") is None
    found = doorman.check(secret, "theirs")
    assert found == Principal(key.id, key.project_id, "read")
    assert key.project_id != other.project_id
    for named in ("theirs", "nobody's"):  # it may not choose, and costs no look for each that it tries
        assert doorman.remembered(secret, named) == found
    assert doorman.check("cr_wrong", "") is None


def test_what_an_admin_key_chose_is_remembered_as_chosen(database: Database) -> None:
    other, _ = make(database, project="theirs")
    _, secret = make(database, role="admin")
    doorman = Authenticator(database)
    found = doorman.check(secret, "theirs")
    assert found is not None
    assert found.project_id == other.project_id
    assert doorman.remembered(secret, "theirs") == found
    assert doorman.remembered(secret, "") is None


def test_an_admin_chooses_the_project(database: Database) -> None:
    _, secret = make(database, role="admin")
    theirs, _ = make(database, project="theirs")
    doorman = Authenticator(database)
    found = doorman.check(secret, "theirs")
    assert found is not None
    assert found.project_id == theirs.project_id
    with pytest.raises(NotFound):
        doorman.check(secret, "nowhere")


def test_revoked_and_expired_keys_open_nothing(database: Database) -> None:
    key, secret = make(database)
    _, late = make(database, expires_at=now() + timedelta(seconds=0.01))
    time.sleep(0.02)
    with pytest.raises(Invalid, match="expires_at"):
        make(database, expires_at=now() - timedelta(seconds=1))
    _, early = make(database, expires_at=now() + timedelta(hours=1))
    with database.writing() as session:
        service.revoke(session, key.id)
    doorman = Authenticator(database)
    assert [doorman.check(each, "") is None for each in (secret, late, early)] == [True, True, False]
    with pytest.raises(NotFound), database.writing() as session:
        service.revoke(session, "key_none")


def test_the_first_key_is_made_once(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "admin.key"
    service.ensure_admin(database, None, path)
    secret = path.read_text().strip()
    service.ensure_admin(database, None, path)
    assert path.read_text() == f"{secret}\n"
    assert path.stat().st_mode & 0o777 == 0o600
    found = Authenticator(database).check(secret, "")
    assert found is not None
    assert found.role == "admin"


def test_an_operators_key_needs_no_file(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "admin.key"
    for secret in ("a key of the operator's", "a key of the operator's", "another, from today on"):
        service.ensure_admin(database, secret, path)
        assert Authenticator(database).check(secret, "") is not None
    assert not path.exists()
    with database.reading() as session:
        assert len(service.listing(session, Window())[0]) == 2


def test_the_last_admin_key_is_not_revoked_over_http(database: Database) -> None:
    first, _ = make(database, role="admin")
    make(database, role="admin", expires_at=now() + timedelta(seconds=0.01))
    reader, _ = make(database)
    time.sleep(0.02)
    with pytest.raises(LastAdminKey, match="keys revoke"), database.writing() as session:
        service.revoke(session, first.id)
    with database.writing() as session:
        service.revoke(session, reader.id)
    second, _ = make(database, role="admin")
    with database.writing() as session:
        assert service.revoke(session, first.id)
    with pytest.raises(LastAdminKey), database.writing() as session:
        service.revoke(session, second.id)


def test_two_admins_do_not_revoke_each_other_at_once(database: Database) -> None:
    first, second = (make(database, role="admin")[0].id for _ in range(2))

    def revoke(key_id: str) -> None:
        with database.writing() as session:
            service.revoke(session, key_id)

    with ThreadPoolExecutor(1) as pool:
        with database.writing() as session:
            service.revoke(session, first)
            other = pool.submit(revoke, second)
            with pytest.raises(TimeoutError):  # it waits for us
                other.result(0.2)
        with pytest.raises(LastAdminKey):
            other.result(5)


def test_an_answer_is_not_remembered_beyond_the_end_of_its_key(database: Database) -> None:
    _, secret = make(database, expires_at=now() + timedelta(seconds=0.3))
    doorman = Authenticator(database)
    assert doorman.check(secret, "") is not None
    assert doorman.remembered(secret, "") is not None
    time.sleep(0.31)
    assert doorman.remembered(secret, "") is None
    assert doorman.check(secret, "") is None
