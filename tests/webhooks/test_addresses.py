"""No webhook leads into a private network unless the operator said so."""

import pytest

from app.webhooks.addresses import Refused, parts_of, resolve

NUMBERS = [
    "127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0.0.0.0", "0", "10.0.0.1",
    "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.2.1", "198.18.0.1", "224.0.0.1",
    "240.0.0.1", "255.255.255.255", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[fe80::1]",
    "[fc00::1]", "[ff02::1]", "[64:ff9b::7f00:1]", "[64:ff9b::a9fe:a9fe]", "[2002:7f00:1::]",
    "[2002:a00:1::1]", "[2001:0:7f00:1::]", "[2001:db8::1]", "[::127.0.0.1]", "localhost",
    "localhost.", "a.localhost",
]  # fmt: skip
NONSENSE = [
    "", "example.com", "ftp://example.com", "http://example.com", "//example.com", "https://", "https://:443/x",
    "https://user@example.com", "https://user:word@example.com", "https://example.com:99999", "https://[::1",
    "https://exa mple.com", "https://example.com/\n", "https://exämple.com", "file:///etc/passwd",
    "javascript:alert(1)", "https://example.com:port/",
]  # fmt: skip


@pytest.mark.parametrize("host", NUMBERS)
def test_what_is_not_public_is_refused_at_once(host: str) -> None:
    with pytest.raises(Refused, match="not public"):
        parts_of(f"https://{host}/hook", private=False)


@pytest.mark.parametrize("url", NONSENSE)
def test_what_is_no_address_of_a_receiver_is_refused(url: str) -> None:
    with pytest.raises(Refused):
        parts_of(url, private=False)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("https://example.com/hook?x=1", ("example.com", 443)),
        ("https://example.com:8443", ("example.com", 8443)),
        ("https://1.1.1.1/", ("1.1.1.1", 443)),
        ("https://[2606:4700:4700::1111]/", ("2606:4700:4700::1111", 443)),
    ],
)
def test_a_public_one_is_taken(url: str, parts: tuple[str, int]) -> None:
    assert parts_of(url, private=False) == parts


def test_an_operator_may_allow_private_ones() -> None:
    assert parts_of("http://127.0.0.1:9000/", private=True) == ("127.0.0.1", 9000)
    assert parts_of("http://localhost/", private=True) == ("localhost", 80)
    assert resolve("localhost", 80, private=True) in ("127.0.0.1", "::1")


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "::ffff:10.0.0.1", "fd00::1"]
)
def test_a_name_that_leads_inside_is_refused(address: str) -> None:
    with pytest.raises(Refused, match="not public"):
        resolve("rebound.example", 443, private=False, resolver=lambda *_: [address])
    with pytest.raises(Refused, match="not public"):  # one of several is enough
        resolve("rebound.example", 443, private=False, resolver=lambda *_: ["1.1.1.1", address])


def test_the_checked_address_is_what_is_used() -> None:
    answers = iter([["1.1.1.1"], ["127.0.0.1"]])
    assert resolve("rebound.example", 443, private=False, resolver=lambda *_: next(answers)) == "1.1.1.1"


def test_a_name_that_is_none_is_refused() -> None:
    def fails(_host: str, _port: int) -> list[str]:
        raise OSError("no such host")

    with pytest.raises(Refused, match="resolved"):
        resolve("nowhere.example", 443, private=False, resolver=fails)
    with pytest.raises(Refused, match="resolved"):
        resolve("a" * 64 + ".example", 443, private=False)
