"""The archive: a tar file that says at its end what must be in it, so that half of one is never taken.

In this order: ``header.json``, ``rows/<table>/<number>.jsonl``, ``blobs/<sha256>``, ``manifest.json``; each
with its hash. Everything goes by once: neither side keeps more than a few megabytes in memory.
"""

import hashlib
import io
import json
import re
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import app
from app.backups.flow import Large, Passed, Refused
from app.backups.rows import Row, Shape, decode
from app.storage.blobs import CHUNK

FORMAT = 1
HASH = "comment"  # the one that every tar lets pass in silence
ROWS = re.compile(r"rows/(\w+)/(\d+)\.jsonl")
BLOB = re.compile(r"blobs/([0-9a-f]{64})")


class _Stream(io.RawIOBase):
    """Parts as a file to read from."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._left:
            self._left = memoryview(next(self._parts, b""))
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size


class Writer:
    """Writes an archive to a file, member by member; `close` makes it whole."""

    def __init__(self, file: IO[bytes], header: dict[str, Any]) -> None:
        self._tar = tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115
        self._tar.copybufsize = CHUNK  # type: ignore[attr-defined]
        self._members: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._lines: list[bytes] = []
        self._table = ""
        self._add("header.json", _json({"format": FORMAT, "chainrule": app.__version__, **header}))

    def take(self, shape: Shape, rows: list[Row], lines: list[bytes]) -> None:
        if shape.name != self._table or sum(map(len, self._lines)) > CHUNK:
            self._flush()
            self._table = shape.name
        self._lines += lines

    def take_large(self, sha256: str, size: int, parts: Iterator[bytes]) -> None:
        self._flush()
        self._member(f"blobs/{sha256}", size, io.BufferedReader(_Stream(parts), CHUNK), sha256)

    def close(self, passed: Passed) -> None:
        self._flush()
        self._add("manifest.json", _json({"members": self._members, **passed.answer()}))
        self._tar.close()

    def _flush(self) -> None:
        if self._lines:
            number = self._counts[self._table] = self._counts.get(self._table, 0) + 1
            self._add(f"rows/{self._table}/{number:06d}.jsonl", b"\n".join(self._lines))
            self._lines = []

    def _add(self, name: str, content: bytes) -> None:
        self._member(name, len(content), io.BytesIO(content), hashlib.sha256(content).hexdigest())

    def _member(self, name: str, size: int, file: IO[bytes], sha256: str) -> None:
        self._members[name] = sha256
        member = tarfile.TarInfo(name)
        member.pax_headers = {HASH: sha256}
        member.size, member.mode, member.mtime = size, 0o600, int(time.time())
        try:
            self._tar.addfile(member, file)
        except OSError as error:
            if "unexpected end of data" in str(error):
                raise Refused(f"{name} is shorter than its {size} bytes.") from None
            raise


class Reader:
    """An archive as a source. Raises Refused where it is none, or is damaged."""

    def __init__(self, file: IO[bytes]) -> None:
        with _readable():
            self._tar = tarfile.open(fileobj=file, mode="r|", bufsize=CHUNK)  # noqa: SIM115
            self._next: tarfile.TarInfo | None = self._tar.next()
        self._members: dict[str, str] = {}
        self._manifest: dict[str, Any] | None = None
        with _readable():
            header = json.loads(self._content("header.json"))
        if header["format"] > FORMAT:
            raise Refused("This backup was made by a newer Chainrule: restore it with that, or a newer one.")
        self.revision: str = header["revision"]
        self.shapes = [
            Shape(name, tuple((column, kind) for column, kind in columns))
            for name, columns in header["tables"]
        ]

    def batches(self) -> Iterator[tuple[Shape, list[Row]]]:
        known = {shape.name: shape for shape in self.shapes}
        while (found := self._matches(ROWS)) is not None:
            lines = self._content(found[0]).split(b"\n")
            with _readable():
                yield known[found[1]], [decode(line) for line in lines]

    def large(self) -> Iterator[Large]:
        while (found := self._matches(BLOB)) is not None:
            assert self._next is not None
            yield Large(found[1], self._next.size, self._parts(found[0]))

    def finish(self, passed: Passed) -> None:
        """Hold what went by against the manifest."""
        members = dict(self._members)
        manifest = json.loads(self._content("manifest.json"))
        theirs = manifest.pop("members")
        for name in sorted({*members, *theirs}):
            if members.get(name) != theirs.get(name):
                raise Refused(f"This backup is damaged: {name} is not what was written.")
        if manifest != passed.answer():
            raise Refused("This backup is damaged: its rows are not those that its manifest counts.")

    def _matches(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        return None if self._next is None else pattern.fullmatch(self._next.name)

    def _content(self, name: str) -> bytes:
        return b"".join(self._parts(name))

    def _parts(self, name: str) -> Iterator[bytes]:
        """A member, which must be the next one."""
        member, digest = self._next, hashlib.sha256()
        if member is None or member.name != name or not member.isreg():
            raise Refused(f"This is no whole backup: {name} is missing.")
        with _readable():
            file = self._tar.extractfile(member)
            assert file is not None
            while part := file.read(CHUNK):
                digest.update(part)
                yield part
            if member.pax_headers.get(HASH) != digest.hexdigest():
                raise Refused(f"This backup is damaged: {name} is not what was written.")
            self._members[name] = digest.hexdigest()
            self._next = self._tar.next()


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise Refused(f"This is no backup, or a damaged one: {error}") from None


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1).encode()
