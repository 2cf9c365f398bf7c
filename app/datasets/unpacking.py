"""The uploaded bytes with gzip taken off."""

import gzip
import zlib
from pathlib import Path

from app.errors import Fault, InvalidDataset, TooLarge

BLOCK = 1 << 20
FREE_BYTES = 16 << 20
"""An expansion up to here is never a bomb, whatever its ratio."""


def unpack(path: Path, directory: Path, max_bytes: int, max_ratio: int) -> Path:
    """The path of the plain content: `path` itself, or what its gzip expands to, in `directory`.

    Works in a stream: `TooLarge` as soon as the output passes `max_bytes`, or `max_ratio` times the input.
    """
    with path.open("rb") as packed:
        if packed.read(2) != b"\x1f\x8b":
            return path
        packed.seek(0)
        limit = min(max_bytes, max(FREE_BYTES, path.stat().st_size * max_ratio))
        written = 0
        expanded = directory / "expanded"
        try:
            with gzip.GzipFile(fileobj=packed) as plain, expanded.open("wb") as output:
                while block := plain.read(BLOCK):
                    written += len(block)
                    if written > limit:
                        raise TooLarge(
                            "The compressed file expands to more than this server takes.",
                            Fault(
                                "file",
                                "decompressed_too_large",
                                f"It expands to more than {limit} bytes.",
                                "Send fewer rows or columns.",
                            ),
                        )
                    output.write(block)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            message = "The gzip data is damaged or ends too early."
            raise InvalidDataset(
                None, Fault("file", "unreadable_file", message, "Compress it anew.")
            ) from error
    return expanded
