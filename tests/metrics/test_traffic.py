"""Requests by route, method and status, and how long they took."""

import pytest

from app.metrics.traffic import BUCKETS, Traffic


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(0.0, 0), (BUCKETS[0], 0), (0.0006, 1), (BUCKETS[-1], len(BUCKETS) - 1), (11.0, len(BUCKETS))],
)
def test_a_bucket_holds_what_took_no_longer(seconds: float, bucket: int) -> None:
    traffic = Traffic()
    traffic.count("/v1", "GET", 200, seconds, 0, 0)
    ((_, found),) = traffic.answers()
    assert [index for index, n in enumerate(found.slow) if n] == [bucket]


def test_sums_by_operation_are_over_every_status() -> None:
    traffic = Traffic()
    for status, seconds, size in ((200, 0.003, 10), (200, 0.003, 10), (404, 0.2, 5)):
        traffic.count("/v1/jobs/{job_id}", "GET", status, seconds, 1, size)
    traffic.count("/v1/jobs", "POST", 202, 0.02, 100, 50)
    assert {key: each.count for key, each in traffic.answers()} == {
        ("/v1/jobs/{job_id}", "GET", 200): 2,
        ("/v1/jobs/{job_id}", "GET", 404): 1,
        ("/v1/jobs", "POST", 202): 1,
    }
    sums = traffic.by_operation()
    one = sums["/v1/jobs/{job_id}", "GET"]
    assert (one.count, one.received_bytes, one.sent_bytes, sum(one.slow)) == (3, 3, 25, 3)
    assert one.seconds == pytest.approx(0.206)
    assert sums["/v1/jobs", "POST"].count == 1
