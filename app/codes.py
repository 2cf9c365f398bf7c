"""Every code that an answer may have, and what it means: the published table.

A new error has its line here; ``make docs`` then writes the tables of docs/errors.md anew.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from app.errors import ChainruleError


class Code(NamedTuple):
    """Where a code is met, and what it says."""

    where: str
    meaning: str


PROBLEMS = {
    "malformed_request": "The body is not what RFC 8259 calls JSON, or the request cannot be read at all.",
    "unknown_host": (
        "The `Host` header names a server that this one is not; `--allowed-host` adds names: "
        "[exposing.md](exposing.md)."
    ),
    "unauthenticated": "No key, or one that is unknown, expired or revoked.",
    "role_too_low": "The key is good, but its role may not do this; `detail` names the role.",
    "read_only": "Another project shares this dataset: it can be read and trained on, and nothing else.",
    "quota_reached": (
        "The project has as much as it may; `quota` names the limit, `limit` and `used` are its numbers. "
        "Waiting does not help: delete something, or ask for less."
    ),
    "not_found": "No such object in this project. Another project's object looks exactly the same.",
    "method_not_allowed": "The path does not take this method.",
    "request_timeout": "The head of the request did not come in time, or its body came too slowly.",
    "wrong_state": "The object's state does not allow this; `allowed` lists what it takes.",
    "request_in_flight": (
        "A request with this `Idempotency-Key` is being answered. Ask again after `Retry-After`."
    ),
    "export_differs": (
        "Tried on rows whose answers are known, this format of the model gives others; `detail` names the "
        "first. Take another format: [taking-home.md](taking-home.md)."
    ),
    "last_admin_key": "Without this key nobody could make another over HTTP: make that first.",
    "webhooks_disabled": "This server sends no webhooks: `CHAINRULE_WEBHOOKS` is not set.",
    "lease_lost": "Inside workers only: another worker has the job. No request is answered with it.",
    "gone": "Something that this needs has been deleted, as a dataset whose rows a job was trained on.",
    "too_large": "The body, the expanded upload or the number of rows is beyond a limit of this server.",
    "headers_too_large": "More than 64 KiB of headers, or more than 100 of them.",
    "unsupported_media_type": "The path does not take this Content-Type.",
    "invalid": "Well formed, but something in it is not right: see `errors`.",
    "idempotency_key_reused": "This `Idempotency-Key` came with another request to this path. Also a fault.",
    "invalid_dataset": "The file cannot be read as a dataset: see `errors`.",
    "too_many_wrong_keys": (
        "Too many wrong keys came from this address within a minute. A valid one is taken all the same."
    ),
    "daily_quota_reached": (
        "The project has asked for as many multiply-adds as it may in a day; `limit` and `used` are the "
        "numbers. `Retry-After` is until midnight, UTC."
    ),
    "rate_limited": (
        "As many requests came within a minute as this key, or its project, may make. `Retry-After`, "
        "`RateLimit` and `RateLimit-Policy` say when to go on: [limits.md](limits.md)."
    ),
    "too_many_uploads": (
        "As many uploads of this project are under way as may (`CHAINRULE_MAX_UPLOADS_PER_PROJECT`). Send "
        "fewer at once."
    ),
    "too_many_jobs": "As many jobs of this project wait as may. `Retry-After` says when to try again.",
    "too_many_streams": (
        "As many event streams and held `?wait=` requests are open as this server, or one key, may have. "
        "Try again later, or ask without `?wait=`."
    ),
    "http_error": "An error of HTTP itself that has no name here.",
    "internal_error": (
        "A fault of the server; its log has the rest under the request's id. Also a job's error."
    ),
    "unavailable": (
        "The database cannot be reached, the server is going away, or it has as many connections as it "
        "takes. Try again."
    ),
    "disk_full": (
        "Not enough room on the server's disk; `free_bytes` and `needed_bytes` say how much. Delete "
        "something, or wait. Also why a job is paused."
    ),
}
"""The ``code`` of a problem document; its status is that of its class in `errors`."""

FAULTS = {
    "duplicate_feature": Code("job", "A feature is named twice."),
    "constant_target": Code("job", "The target has one value only: there is nothing to learn."),
    "invalid_target": Code("job", "No target is named, or one twice."),
    "no_features": Code("job", "No column is left to learn from."),
    "not_classes": Code(
        "job",
        "Classification of a number with fractions, or with more than 1,000 distinct values.",
    ),
    "target_in_features": Code("job", "The target, or the weights column, is among the features."),
    "invalid_weights": Code(
        "job",
        "A weight is missing or negative, or those of a part are all 0 or add up to infinity.",
    ),
    "too_large_for_memory": Code(
        "job",
        "The job needs more memory than this server gives one; `memory` has the bytes by what they are for.",
    ),
    "wrong_task": Code("job", "The task does not go with the targets."),
    "missing_column": Code("prediction, evaluation", "A feature is absent. Send null for a missing value."),
    "missing_target": Code(
        "trace, job",
        "The target is absent; as a job's warning: rows without one are in no split.",
    ),
    "unknown_class": Code(
        "trace, job",
        "The target has no such class; for a job's weights `hint` has the nearest.",
    ),
    "not_ready": Code("readyz", "A condition without which the server does not serve; `param` names it."),
    "infinite_number": Code("dataset, prediction", "The number is infinite, or too large."),
    "missing_field": Code("anywhere", "A field is needed."),
    "unknown_field": Code("anywhere", "There is no such field, or no such parameter of the query."),
    "unknown_column": Code("anywhere", "There is no such column; `hint` has the nearest name."),
    "not_allowed": Code("anywhere", "The value is right by itself, but not here; `message` says why."),
    "not_finite": Code(
        "anywhere", "The number is not finite: NaN, infinite, or too large for the dtype it is wanted in."
    ),
    "out_of_range": Code("anywhere", "Too small, too large, too short or too long."),
    "wrong_shape": Code("anywhere", "Arrays of numbers do not have the shape that the network needs."),
    "wrong_type": Code("anywhere", "A string where a number belongs, say: nothing is converted."),
    "malformed_json": Code("anywhere", "As `malformed_request`, with the place."),
    "lone_surrogate": Code("anywhere", "A string holds half of a surrogate pair."),
    "decompressed_too_large": Code("dataset", "The compressed file expands beyond the limit."),
    "duplicate_column": Code("dataset", "Two columns have the same name."),
    "duplicate_key": Code("dataset", "An object in the file has the same member twice."),
    "empty_file": Code("dataset", "There is nothing in it."),
    "invalid_column_name": Code("dataset", "A name that is empty, too long or has control characters."),
    "invalid_json": Code("dataset", "The file begins as JSON, and then is none."),
    "nested_value": Code("dataset", "A cell, or a column, of lists, objects or bytes."),
    "not_a_boolean": Code("dataset", "A column was said to be boolean, and a value is not."),
    "not_a_number": Code("dataset", "A column was said to be a number, and a value is none."),
    "not_a_date": Code("dataset, prediction", "A value is no date, in a column of dates."),
    "ambiguous_date": Code(
        "dataset",
        "Dates whose days and months may be taken for each other: name their `format`. Also a warning.",
    ),
    "wrong_charset": Code("dataset", "The text is not in the charset that was said, or guessed."),
    "wrong_digest": Code("upload", "The file has another SHA-256 than was said."),
    "not_utf8": Code("dataset", "The text is not UTF-8."),
    "nul_character": Code("dataset", "There is a NUL character in it."),
    "parse_limit": Code("dataset", "Reading it took more time or memory than this server gives."),
    "ragged_column": Code("dataset", "The columns are not of the same length."),
    "ragged_row": Code("dataset", "A row has more or fewer cells than the header."),
    "too_few_rows": Code("dataset", "Fewer than two rows."),
    "too_many_categories": Code(
        "dataset",
        "A column was said to be a category, and has too many distinct values.",
    ),
    "too_many_columns": Code("dataset", "More columns than this server takes."),
    "unreadable_file": Code(
        "dataset",
        "Broken compression, or a file that cannot be read for another reason.",
    ),
    "unreadable_row": Code("dataset", "A line that cannot be read; often a quote that is never closed."),
    "unsupported_format": Code("dataset", "A known format, or kind of array, that is not read."),
}
"""The ``code`` inside ``errors``: where it is met, and what it says."""

WARNINGS = {
    "constant_column": Code("dataset", "Set aside: one value only."),
    "empty_column": Code("dataset", "Set aside: all values are missing. As a job's fault: it was asked for."),
    "identifier_column": Code("dataset", "Set aside: it numbers or names the rows."),
    "text_column": Code("dataset", "Set aside: free text. As a job's fault: it was asked for."),
    "duplicate_rows": Code("dataset", "One row in a hundred, or more, is the same as one before it."),
    "leakage_suspect": Code("profile, job", "A column alone all but gives the target away."),
    "imbalanced_classes": Code("profile, job", "The largest class has ten times the rows of the smallest."),
    "small_classes": Code("profile, job", "Some classes have fewer rows than a split has parts."),
    "ambiguous_date": Code(
        "dataset", "Strings that look like dates, of which days and months may be confused."
    ),
    "decimal_comma": Code("dataset", "Numbers were read with a comma for the decimal point."),
    "formatted_numbers": Code("dataset", "Numbers were read without their unit or what parts thousands."),
    "leading_zeros": Code("dataset", "Numbers that begin with zeros: perhaps they are codes."),
    "mostly_numbers": Code("dataset", "Nine in ten values of a column that is none of numbers are some."),
    "mostly_dates": Code("dataset", "Nine in ten values of a column that is none of dates are some."),
    "two_digit_years": Code("dataset", "Years without their century."),
    "guessed_charset": Code("dataset", "The text is not UTF-8, and was read as Windows-1252."),
    "no_header": Code("dataset", "The first row was taken as data, and the columns were given names."),
    "doubtful_header": Code("dataset", "Columns have numbers for names: the first row may be data."),
    "numbers_like_dates": Code("dataset", "Numbers that all are dates, as 20240131 is."),
    "unnamed_column": Code("dataset", "A column without a name was given one."),
    "guessed_classification": Code("job", "The target is a few integers, and they were taken as classes."),
    "different_features": Code(
        "job",
        "The initial model was trained on other features, or on other categories.",
    ),
    "different_targets": Code("job", "The initial model was trained on other classes or targets."),
    "only_last_kept": Code(
        "job",
        "Keeping snapshots of more epochs than the last would take too much room here.",
    ),
    "fingerprint_differs": Code(
        "job",
        "The job went on where engine, NumPy, BLAS or processor are others. `message` names both.",
    ),
    "not_finite": Code(
        "prediction",
        "With these values an output is not finite in the model's dtype; it is null, and so is the class.",
    ),
    "unknown_category": Code("prediction", "A category that training never saw: encoded as unknown."),
}
"""The ``code`` of what was done, but should be known."""

JOB_ERRORS = {
    "diverged": (
        'A cost or a parameter is not finite. The epoch has a row with `"cost": null, "diverged": true`.'
    ),
    "crashed_worker": "The job took its trainer down three times without getting any further.",
    "out_of_memory": "The job needs more memory than its worker has.",
    "internal_error": "A fault of the server, or of its worker; the log has the rest. `retry` may do.",
}
"""The ``error.code`` of a failed job; of problems that one may end with, the code is the problem's."""


def page(text: str) -> str:
    """docs/errors.md as ``text`` has it, with its tables written anew: each stands between two comments."""
    for name, (head, rows) in _tables().items():
        line, *lines = (f"| {' | '.join(cells)} |" for cells in (head, *rows))
        table = "\n".join((line, "|---" * len(head) + "|", *lines))
        start, end = f"<!-- {name}, from app/codes.py by make docs -->\n", "\n<!-- end -->"
        before, rest = text.split(start)
        text = f"{before}{start}{table}{end}{rest.split(end, 1)[1]}"
    return text


def _tables() -> dict[str, tuple[list[str], list[list[str]]]]:
    statuses = {each.code: str(each.status) for each in _families(ChainruleError)}
    placed = ["code", "where", "meaning"]
    return {
        "problems": (
            ["code", "status", "meaning"],
            [[f"`{code}`", statuses.get(code, "as answered"), said] for code, said in PROBLEMS.items()],
        ),
        "faults": (placed, [[f"`{code}`", *told] for code, told in FAULTS.items()]),
        "warnings": (placed, [[f"`{code}`", *told] for code, told in WARNINGS.items()]),
        "job errors": (["code", "meaning"], [[f"`{code}`", said] for code, said in JOB_ERRORS.items()]),
    }


def _families(family: type[ChainruleError]) -> Iterator[type[ChainruleError]]:
    yield family
    for each in family.__subclasses__():
        if each.__module__ == family.__module__:
            yield from _families(each)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(page(path.read_text()))
