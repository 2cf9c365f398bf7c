import pytest

from app.errors import Conflict
from app.jobs.states import HELD, TERMINAL, State, require


def test_every_state_is_either_finished_or_not() -> None:
    assert {*TERMINAL, *(State.QUEUED, *HELD)} == set(State)
    assert not {*TERMINAL} & {*(State.QUEUED, *HELD)}
    assert {*HELD} < {*(State.QUEUED, *HELD)}


@pytest.mark.parametrize("state", State)
def test_only_the_finished_are_deleted_and_only_the_others_cancelled(state: State) -> None:
    fits, other = ("delete", "cancel") if state in TERMINAL else ("cancel", "delete")
    require(state, fits)
    with pytest.raises(Conflict) as caught:
        require(state, other)
    assert str(state) in caught.value.detail
    assert caught.value.members["allowed"] == [fits]
