"""An evaluation is bounded before anything large is made."""

import pytest

from app.errors import Invalid
from app.models import evaluating
from tests.support.portable import loaded, network_of


def test_more_rows_than_an_evaluation_may_take_are_refused() -> None:
    network = network_of()
    architecture = network.architecture
    model = loaded(network)
    most = min(
        evaluating.MOST_WORK // architecture.parameter_count,
        evaluating.MOST_OUTPUTS // len(network.encoding.classes or ()),
    )
    evaluating.require(model, most)
    with pytest.raises(Invalid, match="more than one evaluation"):
        evaluating.require(model, most + 1)
