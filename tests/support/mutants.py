"""Files of every format, and what comes of them when bytes change: mostly no files any more."""

import gzip
import io
import json
import struct
from random import Random

import numpy as np
import polars as pl

ROWS = 40
INTERESTING = (
    *(
        b"\x00",
        b"\xff",
        b"\x7f",
        b"\x80",
        b"\n",
        b"\r\n",
        b'"',
        b"'",
        b",",
        b";",
        b"\t",
        b"{",
        b"[",
        b"}",
        b"]",
    ),
    *(b"1e999", b"NaN", b"-inf", b"\\u0000", b"\\ud800", b"\xef\xbb\xbf", b"\xff\xfe", b"null", b"9" * 400),
    *(struct.pack("<i", each) for each in (-1, 2**31 - 1, -(2**31), 65_536)),
    *(struct.pack("<q", each) for each in (-1, 2**63 - 1, 2**40)),
    *(b"PAR1", b"ARROW1", b"\x93NUMPY", b"PK\x03\x04", b"\x1f\x8b\x08", b"\xff\xff\xff\xff"),
)


def originals() -> list[bytes]:
    """Whole files, plain and gzip."""
    random = np.random.default_rng(0)
    frame = pl.DataFrame(
        {
            "x": random.normal(size=ROWS),
            "n": np.arange(ROWS),
            "kind": [("red", "green", "blue")[i % 3] for i in range(ROWS)],
            "ok": [i % 2 == 0 for i in range(ROWS)],
            "day": [f"2024-01-{i % 28 + 1:02}" for i in range(ROWS)],
        }
    )
    text = frame.write_csv()
    rows = frame.to_dicts()
    made = [
        text.encode(),
        text.replace(",", ";").replace(".", ",").encode("latin-1"),
        text.replace(",", "\t").encode("utf-16"),
        frame.write_csv(quote_style="always").encode(),
        json.dumps(rows).encode(),
        "\n".join(map(json.dumps, rows)).encode(),
        json.dumps({"name": "x", "data": frame.to_dict(as_series=False)}).encode(),
        json.dumps({"generate": {"kind": "moons", "rows": 50}}).encode(),
    ]
    for write in (frame.write_parquet, frame.write_ipc, frame.write_ipc_stream):
        file = io.BytesIO()
        write(file)
        made.append(file.getvalue())
    file = io.BytesIO()
    np.save(file, random.normal(size=(ROWS, 3)))
    made.append(file.getvalue())
    file = io.BytesIO()
    np.savez_compressed(file, X=random.normal(size=(ROWS, 3)), y=np.arange(ROWS), t=np.array(["a", "b"] * 20))
    made.append(file.getvalue())
    return made + [gzip.compress(each, mtime=0) for each in made[:2]]


def mutant(files: list[bytes], random: Random) -> bytes:
    """One of the files with a few changes: bytes flipped, cut, repeated, put in, or of another file."""
    content = bytearray(random.choice(files))
    for _ in range(random.choice((1, 1, 1, 2, 4, 16))):
        if not content:
            break
        at = random.randrange(len(content))
        match random.randrange(7):
            case 0:
                content[at] ^= 1 << random.randrange(8)
            case 1:
                content[at] = random.randrange(256)
            case 2:
                del content[at : at + random.choice((1, 2, 8, 64, len(content)))]
            case 3:
                content[at:at] = content[at : at + random.choice((1, 8, 64, 1_024))]
            case 4:
                content[at:at] = random.choice(INTERESTING)
            case 5:
                piece = random.choice(INTERESTING)
                content[at : at + len(piece)] = piece
            case 6:
                other = random.choice(files)
                start = random.randrange(len(other))
                content[at : at + 64] = other[start : start + 64]
    return bytes(content)
