"""Requests as this process has answered them: plain numbers, since counting must cost next to nothing."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends in seconds; what takes longer has a bucket of its own."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD = "OTHER"
NO_ROUTE = "none"
"""For what no route was found for: the gate refused it, or there is nothing at its path."""

NO_STATUS = 0
"""For what was not answered, since its client was gone before."""


class Asked(NamedTuple):
    """``route`` is a template as /v1/jobs/{job_id}: as few of these as there are operations and answers."""

    route: str
    method: str
    status: int


@dataclass(slots=True)
class Answers:
    """What is known of the answers to one kind of request. ``slow`` counts by `BUCKETS`, and beyond."""

    count: int = 0
    seconds: float = 0.0
    received_bytes: int = 0
    sent_bytes: int = 0
    slow: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))


class Traffic:
    """Of one process since it started. Only the event loop's thread counts, so there is no lock."""

    def __init__(self) -> None:
        self.in_progress = 0
        self.replays = 0
        self._answers: dict[tuple[str, str, int], Answers] = {}

    def count(
        self, route: str, method: str, status: int, seconds: float | None, received: int, sent: int
    ) -> None:
        """One answer. ``seconds`` until it began; None where it was the client's wish to wait."""
        answers = self._answers.get((route, method, status))
        if answers is None:
            known = Asked(route, method if method in METHODS else OTHER_METHOD, status)
            answers = self._answers.setdefault(known, Answers())
        answers.count += 1
        answers.received_bytes += received
        answers.sent_bytes += sent
        if seconds is not None:
            answers.seconds += seconds
            answers.slow[bisect_left(BUCKETS, seconds)] += 1

    def answers(self) -> Iterator[tuple[Asked, Answers]]:
        """All kinds of requests that there were. From any thread."""
        for key, answers in sorted(self._answers.copy().items()):
            yield Asked(*key), answers

    def by_operation(self) -> dict[tuple[str, str], Answers]:
        """The same by route and method, whatever the status. From any thread."""
        found: dict[tuple[str, str], Answers] = {}
        for asked, answers in self.answers():
            sum_ = found.setdefault((asked.route, asked.method), Answers())
            sum_.count += answers.count
            sum_.seconds += answers.seconds
            sum_.received_bytes += answers.received_bytes
            sum_.sent_bytes += answers.sent_bytes
            sum_.slow = [a + b for a, b in zip(sum_.slow, answers.slow, strict=True)]
        return found
