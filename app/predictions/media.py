"""Files of rows: the types that are read, and the one that is answered with."""

from collections.abc import Iterator

from app.errors import Fault, Invalid

JSON = "application/json"
CSV = "text/csv"
TSV = "text/tab-separated-values"
JSON_LINES = "application/jsonl"
PARQUET = "application/vnd.apache.parquet"
ARROW = "application/vnd.apache.arrow.file"
NPY = "application/x-npy"

SUFFIXES = {CSV: "csv", TSV: "tsv", JSON_LINES: "jsonl", PARQUET: "parquet", ARROW: "arrow", NPY: "npy"}
"""The types of answers, and what such files are called."""

READ = {
    **{kind: kind for kind in SUFFIXES},
    "application/x-ndjson": JSON_LINES,
    "application/x-parquet": PARQUET,
    "application/vnd.apache.arrow.stream": ARROW,
    "application/gzip": CSV,
    "application/x-gzip": CSV,
    "application/octet-stream": CSV,
    "text/plain": CSV,
}
"""The types of requests, and what is answered with unless Accept says otherwise. What a file is, its content
says: see `datasets.formats`."""

ALIASES = {kind: answer for kind, answer in READ.items() if kind.startswith("application/x-")}


def answer_type(accept: str | None, sent: str) -> str:
    """The best of what the client accepts, for a body of that type. Raises Invalid."""
    own = READ[sent]
    if not accept:
        return own
    for wanted in _by_preference(accept):
        if wanted in SUFFIXES or wanted in ALIASES:
            return ALIASES.get(wanted, wanted)
        if wanted == "*/*" or (wanted.endswith("/*") and own.startswith(wanted[:-1])):
            return own
    told = ", ".join(SUFFIXES)
    message = f"A file of rows is answered with one of {told}."
    raise Invalid(f"Accept: {message}", Fault("Accept", "not_allowed", message))


def _by_preference(accept: str) -> Iterator[str]:
    """The types of an Accept header, the best first."""
    wanted = []
    for each in accept.lower().split(",")[:64]:
        kind, *parameters = (part.strip() for part in each.split(";"))
        quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        try:
            wanted.append((float(quality), kind))
        except ValueError:
            wanted.append((0.0, kind))
    return (kind for quality, kind in sorted(wanted, key=lambda each: -each[0]) if quality > 0)
