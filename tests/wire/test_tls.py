"""TLS: who gets in, who does not get far, and certificates that are wrong or replaced."""

import contextlib
import shutil
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.serving import RefusesToStart, certificate, check_exposure
from app.settings import Settings
from app.wire.tls import BadCertificate, Certificate
from tests.support.certificates import Pair, made_pair
from tests.support.server import until
from tests.support.sockets import AUTHORISED, HOST, JSON, Wire, closed, connect, content_path, head, replies

LAST = head("GET", "/livez", HOST, b"Connection: close\r\n")


@pytest.fixture(scope="module")
def secure(new_wire: Callable[..., Wire], pair: Pair) -> Wire:
    return new_wire(Certificate(*pair))


def wrapped(wire: Wire, pair: Pair, **options: object) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(pair.certificate))
    for name, value in options.items():
        setattr(context, name, value)
    return context.wrap_socket(connect(wire.port), server_hostname="127.0.0.1")


def subject(wire: Wire) -> str:
    with contextlib.closing(connect(wire.port)) as plain:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with context.wrap_socket(plain) as client:
            found = client.getpeercert(binary_form=True)
            assert found is not None
            return found.hex()


def test_requests_go_through_tls(secure: Wire, pair: Pair) -> None:
    body = b"x,y\n" + b"1,2\n" * 300_000
    with wrapped(secure, pair) as client:
        assert client.version() in ("TLSv1.2", "TLSv1.3")
        kind = b"Content-Type: text/csv\r\n"
        length = f"Content-Length: {len(body)}\r\n".encode()
        client.sendall(LAST.replace(b"Connection: close\r\n", b""))
        client.sendall(head("POST", "/v1/datasets", AUTHORISED, kind, length) + body + LAST)
        found = replies(client)
    assert [each.status for each in found] == [200, 201, 200]
    assert {each.headers["strict-transport-security"] for each in found} == {"max-age=31536000"}


def test_old_versions_of_tls_are_not_spoken(pair: Pair) -> None:
    assert Certificate(*pair).context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_another_protocol_is_not_agreed_on(secure: Wire, pair: Pair) -> None:
    context = ssl.create_default_context(cafile=str(pair.certificate))
    context.set_alpn_protocols(["h2", "http/1.1"])
    with context.wrap_socket(connect(secure.port), server_hostname="127.0.0.1") as client:
        assert client.selected_alpn_protocol() == "http/1.1"


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00\x01", LAST], ids=["nothing", "half", "no TLS"])
def test_a_handshake_that_is_not_finished_is_cut_off(secure: Wire, said: bytes) -> None:
    with secure.connect() as client:
        client.sendall(said)
        assert closed(client, 8) < 5
    until(lambda: not secure.connections(), 5)


def test_slow_clients_are_cut_off_under_tls_too(secure: Wire, pair: Pair) -> None:
    with wrapped(secure, pair) as silent, wrapped(secure, pair) as half, wrapped(secure, pair) as body:
        half.sendall(b"GET /livez HTTP/1.1\r\n")
        body.sendall(head("POST", "/v1/architectures", AUTHORISED, JSON, b"Content-Length: 9\r\n") + b"{")
        (reply,) = replies(half)
        reply.problem(408, "request_timeout")
        (reply,) = replies(body)
        reply.problem(408, "request_timeout")
        assert closed(silent, 8) < 8


def test_who_reads_nothing_is_cut_off_under_tls_too(secure: Wire, pair: Pair) -> None:
    with wrapped(secure, pair) as client:
        path = content_path(client)
    before = secure.connections()
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.connect(("127.0.0.1", secure.port))
        context = ssl.create_default_context(cafile=str(pair.certificate))
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as deaf:
            deaf.sendall(head("GET", path, AUTHORISED))
            until(lambda: secure.connections() <= before, 12)


@pytest.mark.parametrize("what", ["missing", "a folder", "no PEM", "another key", "passphrase"])
def test_a_pair_that_does_not_fit_is_refused_at_the_start(tmp_path: Path, pair: Pair, what: str) -> None:
    other = made_pair(tmp_path, "other")
    crt, key = pair
    if what == "missing":
        key = tmp_path / "nothing.key"
    elif what == "a folder":
        crt = tmp_path
    elif what == "no PEM":
        crt = tmp_path / "text"
        crt.write_text("not a certificate")
    elif what == "another key":
        key = other.key
    else:
        key = tmp_path / "locked.key"
        key.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMII=\n-----END ENCRYPTED PRIVATE KEY-----\n")
    told = {
        "missing": "nothing.key cannot be read: No such file",
        "a folder": "cannot be read: Is a directory",
        "no PEM": "are not a certificate and its key in PEM",
        "another key": "is not that of the certificate",
        "passphrase": "passphrase|in PEM",
    }
    with pytest.raises(BadCertificate, match=told[what]):
        Certificate(crt, key)
    with pytest.raises(RefusesToStart, match=told[what]):
        certificate(Settings(tls_cert=crt, tls_key=key))


def test_a_certificate_without_its_key_is_refused(pair: Pair) -> None:
    with pytest.raises(RefusesToStart, match="go together"):
        certificate(Settings(tls_cert=pair.certificate))
    with pytest.raises(RefusesToStart, match="go together"):
        certificate(Settings(tls_key=pair.key))
    assert certificate(Settings()) is None


def test_a_public_address_needs_a_key_and_tls(pair: Pair) -> None:
    key = "a-key-of-the-operators"
    with pytest.raises(RefusesToStart, match="CHAINRULE_ADMIN_KEY"):
        check_exposure(Settings(host="0.0.0.0", tls_cert=pair.certificate, tls_key=pair.key))
    with pytest.raises(RefusesToStart, match="--tls-cert"):
        check_exposure(Settings(host="::", admin_key=key))
    for more in ({"insecure_http": True}, {"tls_cert": pair.certificate, "tls_key": pair.key}):
        check_exposure(Settings(host="::", admin_key=key, **more))
    for host in ("127.0.0.1", "127.8.9.1", "::1", "localhost"):
        check_exposure(Settings(host=host))


def test_a_new_certificate_is_taken_and_a_bad_one_is_not(
    new_wire: Callable[..., Wire], pair: Pair, tmp_path: Path
) -> None:
    files = Pair(tmp_path / "now.crt", tmp_path / "now.key")
    for source, target in zip(pair, files, strict=True):
        shutil.copy(source, target)
    certificate = Certificate(*files)
    wire = new_wire(certificate)
    first = subject(wire)
    files.certificate.write_text("half a file")
    certificate.reload()
    assert subject(wire) == first
    for source, target in zip(made_pair(tmp_path, "next"), files, strict=True):
        shutil.copy(source, target)
    start = time.monotonic()
    certificate.reload()
    assert subject(wire) != first
    assert time.monotonic() - start < 5
