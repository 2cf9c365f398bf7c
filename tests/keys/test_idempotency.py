"""Keys make one object, whoever asks how often, at what time and through which process."""

import itertools
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.errors import Conflict, KeyReused
from app.keys import idempotency
from app.keys.idempotency import AlreadyAnswered, Answered, Once
from app.keys.service import Principal
from app.storage.columns import new_id, now, to_json
from app.storage.database import Database
from app.storage.tables import Architecture, IdempotencyKey
from tests.support.rows import another_process, principal

PATH = "/v1/things"


def render(content: Mapping[str, Any]) -> str:
    return to_json(dict(content))


def once(database: Database, owner: Principal, key: str | None, route: str = PATH) -> Once:
    return Once(database, owner.project_id, route, key, 201, render)


def make(
    attempt: Once, owner: Principal, name: str = "a", in_between: Callable[[], object] = lambda: None
) -> Answered:
    """Create an architecture, for which few rows are needed."""
    with attempt.writing() as session:
        in_between()
        row = Architecture(
            id=new_id("arch"),
            project_id=owner.project_id,
            created_by=owner.key_id,
            created_at=now(),
            name=name,
            labels={},
            layers=[],
            output={},
        )
        session.add(row)
        return attempt.answer(session, f"{PATH}/{row.id}", {"id": row.id, "secret": "s3cret"}, "secret")


def create(
    database: Database, owner: Principal, key: str | None, name: str = "a", route: str = PATH
) -> Answered:
    attempt = once(database, owner, key, route)
    return attempt.run(lambda: {"name": name}, lambda: make(attempt, owner, name))


def count(database: Database, table: Any = Architecture) -> int:
    with database.reading() as session:
        return session.scalar(sa.select(sa.func.count()).select_from(table)) or 0


def age(database: Database, seconds: float) -> None:
    """Let every key be that much older."""
    with database.writing() as session:
        session.execute(sa.update(IdempotencyKey).values(kept_until=IdempotencyKey.kept_until - seconds))


def test_the_first_answer_comes_again_without_its_secret(database: Database) -> None:
    owner = principal(database)
    first = create(database, owner, "k")
    again = create(database, owner, "k")
    assert "s3cret" in first.body
    assert again == (201, first.location, first.body.replace('"s3cret"', "null"), True)
    assert count(database) == 1


def test_without_a_key_each_request_is_its_own(database: Database) -> None:
    owner = principal(database)
    answers = {create(database, owner, None).location for _ in range(2)}
    assert len(answers) == count(database) == 2
    assert count(database, IdempotencyKey) == 0


def test_another_request_with_the_key_is_refused(database: Database) -> None:
    owner = principal(database)
    create(database, owner, "k", "a")
    with pytest.raises(KeyReused) as caught:
        create(database, owner, "k", "b")
    assert caught.value.faults[0].param == "Idempotency-Key"
    assert count(database) == 1


def test_a_key_is_its_projects_and_its_paths(database: Database) -> None:
    owner, other = principal(database), principal(database, "theirs")
    made = [
        create(database, owner, "k"),
        create(database, other, "k", "b"),
        create(database, owner, "k", "c", "/x"),
    ]
    assert len({each.location for each in made}) == 3
    assert not any(each.replayed for each in made)


def test_what_was_refused_may_be_asked_again(database: Database) -> None:
    owner = principal(database)
    attempt = once(database, owner, "k")

    def refuse() -> None:
        raise Conflict("not today")

    with pytest.raises(Conflict):
        attempt.run(lambda: {"name": "a"}, lambda: make(attempt, owner, "a", refuse))
    assert count(database) == count(database, IdempotencyKey) == 0
    assert not create(database, owner, "k", "b").replayed


def test_a_key_is_forgotten_after_a_day(database: Database) -> None:
    owner = principal(database)
    first = create(database, owner, "k")
    age(database, 24 * 3600 - 30)
    assert create(database, owner, "k") == first._replace(
        body=create(database, owner, "k").body, replayed=True
    )
    age(database, 31)
    later = create(database, owner, "k", "b")  # it need not be swept for that
    assert later.location != first.location
    assert create(database, owner, "k", "b").location == later.location


def test_old_keys_are_swept_in_small_batches(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "SWEPT_AT_ONCE", 2)
    owner = principal(database)
    for key in "abcde":
        create(database, owner, key)
    assert idempotency.sweep(database) == 0
    age(database, 24 * 3600 + 61)
    create(database, owner, "young")
    assert idempotency.sweep(database) == 5
    assert create(database, owner, "young").replayed


def test_a_key_that_is_taken_anew_is_not_swept(database: Database) -> None:
    owner = principal(database)
    create(database, owner, "k")
    age(database, 24 * 3600 + 61)
    taken, sweeper = threading.Event(), ThreadPoolExecutor(1)
    attempt = once(database, owner, "k")

    def sweep() -> int:
        taken.wait(5)
        return idempotency.sweep(database)

    with sweeper:
        swept = sweeper.submit(sweep)

        def meanwhile() -> None:
            taken.set()
            with pytest.raises(TimeoutError):  # it waits for us
                swept.result(0.2)

        attempt.run(lambda: {"name": "a"}, lambda: make(attempt, owner, "a", meanwhile))
        assert swept.result(5) == 0
    assert create(database, owner, "k").replayed


def test_one_that_comes_in_between_waits_and_gets_the_first_answer(database: Database) -> None:
    owner = principal(database)
    first, second = once(database, owner, "k"), once(database, owner, "k")
    looked = threading.Barrier(2)

    def answer(attempt: Once) -> Answered:
        def create() -> Answered:
            looked.wait(5)  # both have seen that the key is new
            return make(attempt, owner)

        return attempt.run(lambda: {"name": "a"}, create)

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(answer, (first, second)))
    assert sorted(each.replayed for each in answers) == [False, True]
    assert len({each.location for each in answers}) == count(database) == 1


class Try(NamedTuple):
    key: int
    name: int
    through: int
    fails: bool


TRIES = st.lists(
    st.builds(Try, st.integers(0, 1), st.sampled_from([0, 0, 0, 1]), st.integers(0, 1), st.booleans()),
    min_size=2,
    max_size=10,
)
NUMBERS = itertools.count()


class PowerCut(Exception):
    """Ends an attempt in mid-transaction."""


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tries=TRIES)
def test_any_crowd_makes_one_object_of_a_key(database: Database, tries: list[Try]) -> None:
    owner, batch, before = principal(database), next(NUMBERS), count(database)
    start = threading.Barrier(len(tries))

    with another_process(database) as other:

        def run(each: Try) -> Answered | None:
            attempt = once((database, other)[each.through], owner, f"{batch} {each.key}")

            def cut() -> None:
                if each.fails:
                    raise PowerCut

            start.wait(5)
            try:
                return attempt.run(lambda: each.name, lambda: make(attempt, owner, str(each.name), cut))
            except (KeyReused, PowerCut):
                return None

        with ThreadPoolExecutor(len(tries)) as pool:
            answers = list(pool.map(run, tries))

    made: dict[int, set[tuple[int, str]]] = {}
    firsts = 0
    for each, answered in zip(tries, answers, strict=True):
        if answered is not None:
            made.setdefault(each.key, set()).add((each.name, answered.location))
            firsts += not answered.replayed
    assert all(len(objects) == 1 for objects in made.values())
    assert {each.key for each in tries if not each.fails} == made.keys()
    assert count(database) - before == len(made) == firsts


def test_who_was_slower_rolls_back(database: Database) -> None:
    owner = principal(database)
    create(database, owner, "k")
    late = once(database, owner, "k")
    late.run(lambda: {"name": "a"}, lambda: pytest.fail("the answer was known"))
    with pytest.raises(AlreadyAnswered) as caught:
        make(late, owner)
    assert caught.value.answered.replayed
    assert count(database) == 1
