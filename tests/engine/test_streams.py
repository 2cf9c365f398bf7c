import numpy as np
import pytest

from app.engine.streams import Purpose, Stream, stream


def test_a_stream_depends_on_its_name_alone() -> None:
    alone = stream(7, Purpose.SHUFFLE, 3).random(5)
    stream(7, Purpose.SHUFFLE, 2).random(1000)
    np.random.default_rng().random(10)
    np.testing.assert_array_equal(stream(7, Purpose.SHUFFLE, 3).random(5), alone)


def test_every_part_of_the_name_counts() -> None:
    names: list[tuple[int, Purpose, *tuple[int, ...]]] = [
        (0, Purpose.SHUFFLE),
        (1, Purpose.SHUFFLE),
        (2**63 - 1, Purpose.SHUFFLE),
        (0, Purpose.SPLIT),
        (0, Purpose.SHUFFLE, 1),
        (0, Purpose.SHUFFLE, 0, 1),
        (0, Purpose.SHUFFLE, 0, 0, 1),
    ]
    assert len({stream(*name).integers(2**62) for name in names}) == len(names)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_seed_out_of_range_is_refused(seed: int) -> None:
    with pytest.raises(ValueError, match="seed"):
        stream(seed, Purpose.SPLIT)


def test_a_stream_that_is_set_back_yields_what_a_new_one_would() -> None:
    shuffles = Stream(3, Purpose.SHUFFLE)
    first, second = shuffles.at(1).permutation(100), shuffles.at(2).permutation(100)
    assert (first != second).any()
    shuffles.at(1).random(3, np.float32)  # leaves half a number in the generator's buffer
    np.testing.assert_array_equal(shuffles.at(1).permutation(100), first)
    np.testing.assert_array_equal(stream(3, Purpose.SHUFFLE, 2).permutation(100), second)


def test_the_numbers_of_a_stream_stay_what_they_were() -> None:
    # Seeds that users wrote down must keep their meaning.
    assert stream(42, Purpose.INITIALISE, 1).integers(0, 1000, 4).tolist() == EXPECTED


EXPECTED = [949, 800, 619, 613]
