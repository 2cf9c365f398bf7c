"""The names of everything that is measured, and the table of docs/metrics.md, which is made of them.

A name is a promise to whoever has a dashboard. No label tells a project, a key, or what a user has chosen.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Family(NamedTuple):
    """``kind``: counter, gauge or histogram.

    ``scope``: what is counted is this ``process``'s own, since it started; or is of its ``host``; or stands
    in the ``database``, and is the same whichever process is asked.
    """

    name: str
    kind: str
    scope: str
    labels: tuple[str, ...]
    meaning: str


def _process(name: str, kind: str, meaning: str, *labels: str) -> Family:
    return Family(f"chainrule_{name}", kind, "process", labels, meaning)


def _host(name: str, kind: str, meaning: str, *labels: str) -> Family:
    return Family(f"chainrule_{name}", kind, "host", labels, meaning)


def _database(name: str, kind: str, meaning: str, *labels: str) -> Family:
    return Family(f"chainrule_{name}", kind, "database", labels, meaning)


def _worker(name: str, meaning: str, *labels: str) -> Family:
    return _database(f"worker_{name}", "counter", meaning, "worker", "host", *labels)


_FAMILIES = (
    _process(
        "info", "gauge", "1, with the server's version and the kind of its database.", "version", "kind"
    ),
    _process("http_requests_total", "counter", "Requests that were answered.", "route", "method", "status"),
    _process(
        "http_request_seconds",
        "histogram",
        "Seconds until the answer began; without those who asked to wait.",
        "route",
        "method",
    ),
    _process("http_received_bytes_total", "counter", "Bytes of requests' bodies.", "route", "method"),
    _process("http_sent_bytes_total", "counter", "Bytes of answers' bodies.", "route", "method"),
    _process("http_in_progress", "gauge", "Requests that are being answered, streams and held ones too."),
    _process(
        "auth_failures_total",
        "counter",
        "Requests refused for their key: missing, invalid, or too_many wrong ones from one address.",
        "reason",
    ),
    _process("idempotency_replays_total", "counter", "Requests that got the answer of an earlier one."),
    _process("streams", "gauge", "Event streams that are open."),
    _process("held_requests", "gauge", "Requests with ?wait= that are being held."),
    _process("streams_cut_off_total", "counter", "Streams that were cut off as their client took nothing."),
    _process("uploads_reading", "gauge", "Uploaded files that are being read in a child process."),
    _process(
        "uploads_total",
        "counter",
        "Uploaded files by what came of reading them: read, refused (the file is to blame) or failed.",
        "outcome",
    ),
    _process("models_warm", "gauge", "Models that are kept in memory for predictions."),
    _process("models_warm_bytes", "gauge", "Bytes of their parameters."),
    _process(
        "models_loaded_total", "counter", "Models that were read for a prediction, as they were not kept."
    ),
    _process("models_evicted_total", "counter", "Models that had to make room for another."),
    _process("database_up", "gauge", "1 when the database has answered within a second, else 0."),
    _process(
        "database_failures_total",
        "counter",
        "Transactions that the database failed: away (or too slow, or locked), full or other.",
        "kind",
    ),
    _process("database_connections_lost_total", "counter", "Connections to Postgres that were lost."),
    _process("database_connections", "gauge", "Connections to the database that are in use."),
    _process("scrape_seconds", "gauge", "Seconds that finding these numbers took."),
    _host("disk_free_bytes", "gauge", "Free bytes of the data directory's disk."),
    _host(
        "disk_reserve_bytes",
        "gauge",
        "With fewer free bytes than these nothing new is taken, and jobs pause.",
    ),
    _database("database_bytes", "gauge", "Bytes of SQLite's file, or of the whole Postgres database."),
    _database("database_log_bytes", "gauge", "Bytes of SQLite's write-ahead log; 0 with Postgres."),
    _database(
        "blob_bytes",
        "gauge",
        "Bytes of large blobs: with SQLite those of the files beside it, as of the last ten minutes; "
        "with Postgres a part of database_bytes.",
    ),
    _database("jobs", "gauge", "Jobs that have not ended, by status; each counted up to 10,000.", "status"),
    _database(
        "queue_oldest_seconds",
        "gauge",
        "For how long the first in line has waited that may start now; of all projects the longest.",
    ),
    _database("workers", "gauge", "Workers seen within 15 s: active, or draining.", "state"),
    _database("slots", "gauge", "Trainers of active workers: busy or idle.", "state"),
    _worker("epochs_total", "Epochs written."),
    _worker("snapshots_total", "Snapshots written."),
    _worker(
        "snapshot_seconds_total",
        "Seconds that writing them took, with the epochs that were written beside them.",
    ),
    _worker(
        "jobs_total",
        "Jobs by what came of them: succeeded, failed, stopped (as was asked) or held_up (no room on disk).",
        "outcome",
    ),
    _worker("recovered_total", "Jobs taken that another worker had had, which was lost or went away."),
    _worker("leases_lost_total", "Jobs that another worker took while this one was at them."),
    _worker(
        "trainers_lost_total",
        "Trainers that crashed, or were killed as they did not stop in time.",
        "cause",
    ),
    _database(
        "webhooks_waiting",
        "gauge",
        "Jobs with events that a webhook has not had, among the first 2,000 looked at.",
    ),
    _database("webhooks_failing", "gauge", "Those of them whose last attempt has failed."),
)
FAMILIES = {each.name: each for each in _FAMILIES}


def page(text: str) -> str:
    """docs/metrics.md as ``text`` has it, with its table written anew."""
    start, end = "<!-- from app/metrics/families.py by make docs -->\n", "\n<!-- end -->"
    before, rest = text.split(start)
    return f"{before}{start}{chr(10).join(_rows())}{end}{rest.split(end, 1)[1]}"


def _rows() -> Iterator[str]:
    yield "| name | kind | scope | labels | meaning |"
    yield "|---|---|---|---|---|"
    for each in _FAMILIES:
        labels = ", ".join(f"`{label}`" for label in each.labels)
        yield f"| `{each.name}` | {each.kind} | {each.scope} | {labels} | {each.meaning} |"


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(page(path.read_text()))
