"""Under what licences we ship what we did not write.

``python -m supply.licences requirements.txt docs/licences.md`` writes the page, unless there is one that
we may not ship.
"""

import re
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from supply.locks import pins

ALLOWED = {
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "LGPL-3.0-only",
    "MIT",
    "MPL-2.0",
    "PSF-2.0",
    "Zlib",
}
"""SPDX identifiers. LGPL and MPL ask for nothing more of those who use a package unchanged, as we do."""

CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}

NOT_SAID = {
    "colorama": "BSD-3-Clause",
    "protobuf": "BSD-3-Clause",
    "pysqlite3": "Zlib",
    "tzdata": "Apache-2.0",
    "uvloop": "Apache-2.0 OR MIT",
}
"""Of packages whose metadata does not tell, or that are not installed on every platform: read by hand."""

HEAD = """\
# Licences

What `requirements.txt` installs, and under what licence. `make docs` writes this page from the packages' own
metadata; a test fails where one has no licence, or one that is not in `ALLOWED` of `supply/licences.py`.
Wheels may hold what others wrote (psycopg-binary libpq and OpenSSL, pysqlite3 SQLite, NumPy OpenBLAS,
fastapi-offline Swagger UI and ReDoc), under licences of its own.

| package | version | licence |
|---|---|---|
"""


class Unlicensed(Exception):
    """A package whose licence is unknown, or not one that we may ship."""


def licence(name: str) -> str:
    """The SPDX expression of an installed package, or the one that was read by hand."""
    try:
        said = metadata.metadata(name)
    except metadata.PackageNotFoundError:
        return NOT_SAID.get(name, "")
    if "License-Expression" in said:
        return said["License-Expression"]
    classifiers = [each for each in said.get_all("Classifier") or [] if each.startswith("License :: ")]
    known = {CLASSIFIERS.get(each.rpartition(" :: ")[2], each) for each in classifiers}
    if not known and "License" in said and said["License"] in ALLOWED:
        return said["License"]
    return " OR ".join(sorted(known)) or NOT_SAID.get(name, "")


def require_allowed(name: str, expression: str) -> None:
    """Raise Unlicensed unless every licence that the expression names may be shipped."""
    terms = set(re.findall(r"[^\s()]+", expression)) - {"AND", "OR"}
    if not terms or terms - ALLOWED:
        raise Unlicensed(f"{name}: {expression or 'no licence is known'}")


def page(lock: Path) -> str:
    """docs/licences.md for the packages of this lock."""
    versions: dict[str, list[str]] = {}
    for pin in pins([lock]):
        versions.setdefault(pin.name, []).append(pin.version)
    return HEAD + "".join(_rows(versions.items()))


def _rows(versions: Iterable[tuple[str, list[str]]]) -> Iterable[str]:
    for name, found in versions:
        expression = licence(name)
        require_allowed(name, expression)
        yield f"| {name} | {', '.join(found)} | {expression} |\n"


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(page(Path(sys.argv[1])))
