"""To which names a server answers."""

import pytest

from app.wire.hosts import Names, is_loopback

LOOPBACK = ["localhost", "LOCALHOST:8000", "localhost.", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:8000"]
FOREIGN = ["", "evil.example", "localhost.evil.example", "evil.example:127", "10.0.0.1", "0.0.0.0", "[::]"]


def know(names: list[str], host: str, *, loopback: bool = True) -> bool:
    found = Names(names, loopback=loopback)
    first = found.know(host.encode())
    assert found.know(host.encode()) == first  # remembered
    return first


@pytest.mark.parametrize("host", LOOPBACK)
def test_a_server_on_loopback_answers_to_loopback(host: str) -> None:
    assert know([], host)


@pytest.mark.parametrize("host", [*FOREIGN, "localhost@evil.example", "127.0.0.1.nip.io", "[::1].evil"])
def test_and_to_no_other_name(host: str) -> None:
    assert not know([], host)


@pytest.mark.parametrize("host", FOREIGN)
def test_a_public_one_answers_to_every_name_unless_told(host: str) -> None:
    assert know([], host, loopback=False)
    assert know(["*"], host)
    assert not know(["ml.example.com"], host, loopback=False)


@pytest.mark.parametrize(
    ("names", "host", "expected"),
    [
        (["ml.example.com"], "ml.example.com", True),
        (["ml.example.com"], "ML.Example.com.:443", True),
        (["ml.example.com"], "a.ml.example.com", False),
        (["ml.example.com"], "127.0.0.1", False),
        (["*.example.com"], "a.b.example.com:1", True),
        (["*.example.com"], "example.com", False),
        (["*.example.com"], "evilexample.com", False),
        (["[::1]", "10.0.0.1"], "[::1]:80", True),
        (["[::1]", "10.0.0.1"], "10.0.0.1:80", True),
        (["ml.example.com"], "ml.example.com\xff", False),
    ],
)
def test_names_that_are_given(names: list[str], host: str, expected: bool) -> None:
    assert Names(names, loopback=True).know(host.encode("latin-1")) == expected


def test_loopback() -> None:
    assert is_loopback("localhost")
    assert not is_loopback("0.0.0.0")
    assert not is_loopback("localhost.example.com")
