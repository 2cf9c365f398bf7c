"""A file that does not say what the model says is none; a child that takes too much does no harm."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.errors import ChainruleError, Invalid, Unavailable
from app.exports import writers
from app.exports.formats import FORMATS
from app.exports.recipe import Unportable
from app.exports.vectors import Network
from app.exports.workshop import LIMITS, Workshop
from app.models import parameters as codec
from app.models.at_once import AtOnce
from tests.support.portable import document_of, network_of


def other(network: Network) -> Network:
    """A network that answers a little differently."""
    parameters = network.parameters.copy()
    parameters.b[2][...] += np.array([[3e-5], [0], [0]], np.float32)
    return Network(network.encoding, network.architecture, parameters)


@pytest.mark.parametrize("name", sorted(writers.TENSORS))
def test_tensors_that_differ_are_none(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    network = network_of()
    assert writers.written(name, document_of(network), network)[1] == "read back, bit for bit"
    write, read = writers.TENSORS[name]
    wrong = (lambda document, _: write(document, other(network).parameters), read)
    monkeypatch.setitem(writers.TENSORS, name, wrong)
    with pytest.raises(writers.Differs, match="read back"):
        writers.written(name, document_of(network), network)


@pytest.mark.parametrize("name", sorted({*writers.PROGRAMS} - {"javascript"}))
def test_a_program_that_differs_is_none(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    network = network_of()
    assert writers.written(name, document_of(network), network)[1].startswith("64 rows in ")
    write, prove = writers.PROGRAMS[name]
    wrong = (lambda _, vectors: write(other(network), vectors), prove)
    monkeypatch.setitem(writers.PROGRAMS, name, wrong)
    with pytest.raises(writers.Differs, match="the first is row 0"):
        writers.written(name, document_of(network), network)


def test_the_largest_of_a_format_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of()
    monkeypatch.setitem(FORMATS, "sql", FORMATS["sql"]._replace(most_parameters=10))
    with pytest.raises(Unportable, match="up to 10 parameters"):
        writers.written("sql", document_of(network), network)


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path)


def ask(workshop: Workshop, name: str = "json", **changes: Any) -> dict[str, Any]:
    network = network_of()
    source, target = workshop.within / "source", workshop.within / "target"
    source.write_bytes(codec.dump(network.parameters))
    request = {"document": document_of(network), "source": str(source), "target": str(target), **changes}
    return workshop.do(verb="write", format=name, **request)


def test_a_child_writes_and_tells(workshop: Workshop) -> None:
    assert ask(workshop) == {"proof": "read back, bit for bit"}
    assert (workshop.within / "target").read_bytes()[:1] == b"{"


def test_a_child_that_takes_too_much_is_refused(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LIMITS, "memory_bytes", 200 << 20)
    with pytest.raises(Invalid, match="more memory"):
        ask(workshop, "onnx")


def test_a_child_reaches_nothing_else(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "target"
    with pytest.raises(ChainruleError):
        ask(workshop, target=str(outside))
    assert not outside.exists()


def test_what_goes_wrong_in_a_child_is_told(workshop: Workshop) -> None:
    document = document_of(network_of())
    document["encoding"]["features"] = document["encoding"]["features"][:3]
    with pytest.raises(ChainruleError):
        ask(workshop, "python", document=document)
    columns = document_of(network_of())
    columns["encoding"]["features"][0]["name"] = "label"
    with pytest.raises(Invalid, match="format"):
        ask(workshop, "onnx", document=columns)


def test_who_waits_too_long_is_told_so() -> None:
    turns = AtOnce(1, 0.01, "exports")
    with turns.turn(), pytest.raises(Unavailable, match="exports"), turns.turn():
        pass
    with turns.turn():
        pass
