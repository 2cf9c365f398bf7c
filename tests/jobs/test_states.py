import pytest

from app.errors import Conflict
from app.jobs.states import AT_REST, HELD, STOPPING, TERMINAL, State, require

TAKES = {
    "queued": ["cancel", "pause"],
    "running": ["cancel", "pause"],
    "pausing": ["cancel", "pause", "resume"],
    "paused": ["cancel", "pause", "resume"],
    "cancelling": ["cancel"],
    "cancelled": ["delete"],
    "succeeded": ["delete"],
    "failed": ["retry", "delete"],
}


def test_every_state_is_of_one_kind() -> None:
    kinds = [State.QUEUED, *HELD, *AT_REST]
    assert sorted(kinds) == sorted(State)
    assert {*STOPPING} < {*HELD}
    assert {*AT_REST} - {*TERMINAL} == {State.PAUSED}


@pytest.mark.parametrize("state", State)
def test_a_state_takes_its_actions_and_names_them_where_it_refuses(state: State) -> None:
    for action in ("cancel", "pause", "resume", "retry", "delete"):
        if action in TAKES[state]:
            require(state, action)
            continue
        with pytest.raises(Conflict) as caught:
            require(state, action)
        assert str(state) in caught.value.detail
        assert caught.value.members["allowed"] == TAKES[state]
