"""Numbers on their way to Prometheus: each under a name that `FAMILIES` has."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from app.metrics.families import FAMILIES
from app.metrics.standing import Standing
from app.metrics.traffic import BUCKETS, NO_STATUS, Traffic

KINDS: dict[str, type[Metric]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}
ENDS = [*(str(end) for end in BUCKETS), "+Inf"]
OF_A_WORKER = {
    "epochs": "chainrule_worker_epochs_total",
    "snapshots": "chainrule_worker_snapshots_total",
    "snapshot_seconds": "chainrule_worker_snapshot_seconds_total",
    "recovered": "chainrule_worker_recovered_total",
    "lost": "chainrule_worker_leases_lost_total",
}
OUTCOMES = ("succeeded", "failed", "stopped", "held_up")
CAUSES = ("crashed", "killed")


class Samples:
    """Gathered in the order of `FAMILIES`."""

    def __init__(self) -> None:
        self._families: dict[str, Metric] = {}

    def add(self, name: str, value: float, *labels: str) -> None:
        """One number; ``labels`` as the family has them."""
        self._family(name).add_metric(labels, value)  # type: ignore[attr-defined]

    def each(self, name: str, counts: Mapping[str, float], values: Sequence[str], *labels: str) -> None:
        """One number for each value of the family's last label, those too that were never counted."""
        for value in values:
            self.add(name, counts.get(value, 0), *labels, value)

    def histogram(self, name: str, counts: Sequence[int], total: float, *labels: str) -> None:
        """``counts`` by `BUCKETS`, each without those before it."""
        buckets = list(zip(ENDS, accumulate(counts), strict=True))
        self._family(name).add_metric(labels, buckets, total)  # type: ignore[attr-defined]

    def metrics(self) -> Iterator[Metric]:
        for name in FAMILIES:
            if name in self._families:
                yield self._families[name]

    def _family(self, name: str) -> Metric:
        if name not in self._families:
            found = FAMILIES[name]
            made = KINDS[found.kind](name, found.meaning, labels=found.labels)  # type: ignore[call-arg]
            self._families[name] = made
        return self._families[name]


def of_traffic(samples: Samples, traffic: Traffic) -> None:
    """What requests there were."""
    for asked, answers in traffic.answers():
        status = "none" if asked.status == NO_STATUS else str(asked.status)
        samples.add("chainrule_http_requests_total", answers.count, asked.route, asked.method, status)
    for operation, answers in traffic.by_operation().items():
        samples.histogram("chainrule_http_request_seconds", answers.slow, answers.seconds, *operation)
        samples.add("chainrule_http_received_bytes_total", answers.received_bytes, *operation)
        samples.add("chainrule_http_sent_bytes_total", answers.sent_bytes, *operation)
    samples.add("chainrule_http_in_progress", traffic.in_progress)
    samples.add("chainrule_idempotency_replays_total", traffic.replays)


def of_standing(samples: Samples, found: Standing) -> None:
    """What the database holds, and what workers have written there."""
    samples.each("chainrule_jobs", found.jobs, tuple(found.jobs))
    samples.add("chainrule_queue_oldest_seconds", found.oldest_seconds)
    active = [each for each in found.workers if not each.draining]
    samples.add("chainrule_workers", len(active), "active")
    samples.add("chainrule_workers", len(found.workers) - len(active), "draining")
    busy = sum(each.busy for each in active)
    samples.add("chainrule_slots", busy, "busy")
    samples.add("chainrule_slots", sum(each.slots for each in active) - busy, "idle")
    for each in found.workers:
        who = (each.id, each.host)
        for name, family in OF_A_WORKER.items():
            samples.add(family, each.counts.get(name, 0), *who)
        samples.each("chainrule_worker_jobs_total", each.counts, OUTCOMES, *who)
        samples.each("chainrule_worker_trainers_lost_total", each.counts, CAUSES, *who)
    samples.add("chainrule_webhooks_waiting", found.webhooks_waiting)
    samples.add("chainrule_webhooks_failing", found.webhooks_failing)
    samples.add("chainrule_database_bytes", found.database_bytes)
    samples.add("chainrule_database_log_bytes", found.log_bytes)
