"""How many streams there may be."""

from contextlib import ExitStack

import pytest

from app.errors import TooManyStreams
from app.following.places import Places


def test_a_key_takes_no_more_than_its_share() -> None:
    places = Places(most=5, most_per_key=3)
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(places.taken("a"))
        with pytest.raises(TooManyStreams, match="This key") as refused, places.taken("a"):
            pass
        assert int(refused.value.headers["Retry-After"]) > 0
        for _ in range(2):
            stack.enter_context(places.taken("b"))
        with pytest.raises(TooManyStreams, match="This server"), places.taken("c"):
            pass
    with places.taken("a"), places.taken("a"), places.taken("a"), places.taken("b"), places.taken("c"):
        pass


def test_a_place_is_given_back_whatever_happens() -> None:
    places = Places(most=1, most_per_key=1)
    for _ in range(3):
        with pytest.raises(ValueError, match="broken"), places.taken("a"):
            raise ValueError("broken")
