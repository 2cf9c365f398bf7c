"""Wrong keys are counted by address, in bounded memory, and never shut a valid one out."""

import time

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import TooManyFailures
from app.keys import failures, service
from app.keys.failures import Failures, network_of
from app.keys.service import Authenticator
from app.storage.database import Database

HERE, THERE = "192.0.2.1", "192.0.2.2"


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("/run/socket", ""),
    ],
)
def test_a_network_of_ipv6_is_one_address(address: str, network: str) -> None:
    assert network_of(address) == network


def test_one_address_does_not_count_for_another() -> None:
    few = Failures(2)
    for _ in range(2):
        assert few.wait(HERE) == 0
        few.count(HERE)
    assert 55 <= few.wait(HERE) <= 61
    assert few.wait(THERE) == 0


def test_a_new_minute_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    few = Failures(1)
    few.count(HERE)
    assert few.wait(HERE) > 0
    later = time.monotonic() + failures.MINUTE + 1
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert few.wait(HERE) == 0


def test_memory_is_bounded_by_counting_further_addresses_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failures, "MOST_ADDRESSES", 10)
    few = Failures(3)
    for number in range(1000):
        few.count(f"10.0.{number // 250}.{number % 250}")
    assert len(few._counts) <= 11
    assert few.wait("10.1.0.1") > 0


def guess(doorman: Authenticator, token: str, address: str = HERE) -> bool:
    """Whether the key was taken. Raises TooManyFailures."""
    return doorman.check(token, "", address) is not None


def test_further_wrong_keys_are_refused_and_a_valid_one_is_not(database: Database) -> None:
    with database.writing() as session:
        _, secret = service.create(session, name="a", role="read")
    doorman = Authenticator(database, most_failures=3)
    assert [guess(doorman, f"wrong {number}") for number in range(3)] == [False] * 3
    with pytest.raises(TooManyFailures) as caught:
        guess(doorman, "wrong again")
    assert 1 <= int(caught.value.headers["Retry-After"]) <= 61
    assert guess(doorman, secret)
    assert not guess(doorman, "wrong elsewhere", THERE)
    with database.writing() as session:
        _, new = service.create(session, name="b", role="read")
    doorman._known = (0.0, frozenset())  # a second later
    assert guess(doorman, new)


def test_a_key_that_is_revoked_meanwhile_is_not_taken(database: Database) -> None:
    with database.writing() as session:
        key, secret = service.create(session, name="a", role="read")
    doorman = Authenticator(database, most_failures=1)
    guess(doorman, "wrong")
    assert guess(doorman, secret)
    with database.writing() as session:
        service.revoke(session, key.id)
    assert not guess(doorman, secret)  # still among the known ones, and looked up all the same


def test_the_database_is_asked_once_a_second(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    doorman = Authenticator(database, most_failures=1)
    guess(doorman, "wrong")
    asked: list[object] = []
    first = Session.scalars

    def scalars(session: Session, statement: sa.Executable) -> object:
        asked.append(statement)
        return first(session, statement)

    monkeypatch.setattr(Session, "scalars", scalars)
    monkeypatch.setattr(Session, "scalar", lambda *_: pytest.fail("a wrong key was looked up"))
    for number in range(100):
        with pytest.raises(TooManyFailures):
            guess(doorman, f"wrong {number}")
    assert 1 <= len(asked) <= 3
