"""Requests a minute: by key and kind or by project, over a window that slides, in bounded memory."""

import math
import time

import pytest

from app.errors import RateLimited
from app.keys.service import Principal
from app.projects import rates
from app.projects.rates import Rates
from app.settings import Settings

READ = ("GET", "/v1/jobs")
MINE, OTHERS = (Principal(f"key_{name}", "proj_a", "read") for name in "ab")
PREDICT = ("POST", "/v1/models/mdl_1/predict")


class Clock:
    """The library's clock, which tests set."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.25  # a window has just begun

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "time", made.time)
    return made


def refused(limiter: Rates, principal: Principal = MINE, what: tuple[str, str] = READ) -> RateLimited | None:
    try:
        limiter.take(principal, *what)
    except RateLimited as error:
        return error
    return None


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("GET", "/v1/jobs", "reads"),
        ("HEAD", "/v1/models/x/predict", "reads"),
        ("POST", "/v1/jobs", "writes"),
        ("POST", "/v1/jobs/plan", "writes"),
        ("DELETE", "/v1/datasets/ds_1", "writes"),
        ("POST", "/v1/datasets", "uploads"),
        ("GET", "/v1/datasets", "reads"),
        ("POST", "/v1/models/x/predict", "predictions"),
        ("POST", "/v2/models/x/infer", "predictions"),
        ("POST", "/v1/models/x/trace", "predictions"),
    ],
)
def test_every_request_is_of_one_kind(method: str, path: str, kind: str) -> None:
    assert rates.kind_of(method, path) == kind


def test_nothing_is_limited_unless_somebody_says_so() -> None:
    limiter = rates.by_settings(Settings())
    assert limiter.take(MINE, *READ) is None
    assert "_limiter" not in vars(limiter)  # and costs nothing
    only = rates.by_settings(Settings(max_predictions_per_minute=1))
    assert only.take(MINE, *READ) is None
    assert only.take(MINE, *PREDICT) is not None


def test_each_key_and_kind_has_a_limit_of_its_own(clock: Clock) -> None:
    limiter = Rates({"reads": 3, "predictions": 1})
    left = [limiter.take(MINE, *READ) for _ in range(3)]
    assert [each and each.remaining for each in left] == [2, 1, 0]
    error = refused(limiter)
    assert error is not None
    assert "This key may make 3 reads a minute" in error.detail
    assert error.headers["RateLimit-Policy".lower()] == '"reads";q=3;w=60'
    assert error.headers["ratelimit"] == '"reads";r=0;t=60'
    assert error.headers["Retry-After"] == "60"
    assert refused(limiter, OTHERS) is None
    assert refused(limiter, MINE, PREDICT) is None
    assert refused(limiter, MINE, PREDICT) is not None
    assert limiter.take(MINE, "POST", "/v1/jobs") is None


@pytest.mark.parametrize("offset", [0.0, 17.5, 59.9])
def test_who_waits_as_long_as_told_is_let_through(clock: Clock, offset: float) -> None:
    clock.now += offset
    limiter = Rates({"reads": 5})
    for _ in range(40):
        error = refused(limiter)
        if error is not None:
            seconds = int(error.headers["Retry-After"])
            assert 1 <= seconds <= 60
            clock.now += seconds + 0.001
            assert refused(limiter) is None


def test_no_minute_has_more_than_its_limit_and_its_own_share(clock: Clock) -> None:
    limiter = Rates({"reads": 60})
    let_through = []
    for _ in range(1500):
        if refused(limiter) is None:
            let_through.append(clock.now)
        clock.now += 0.2
    for start in let_through:
        within = sum(start <= each < start + 60 for each in let_through)
        assert within <= 120  # what a counter instead of a log of every request lets through at worst
    assert 60 * 4 <= len(let_through) <= 60 * 6


def test_a_project_with_a_limit_of_its_own_goes_by_that_alone(clock: Clock) -> None:
    limiter = Rates({"reads": 1})
    mine, ours = (Principal(key, "proj_b", "read", max_requests_per_minute=3) for key in ("key_c", "key_d"))
    assert [refused(limiter, who, what) for who, what in ((mine, READ), (ours, READ), (mine, PREDICT))] == [
        None
    ] * 3
    error = refused(limiter, ours)
    assert error is not None
    assert error.detail.startswith("This project may make 3 requests a minute")
    assert refused(limiter, MINE) is None


def test_what_is_kept_does_not_grow_with_time(clock: Clock) -> None:
    limiter = Rates({"reads": 10**6})
    for _ in range(200):
        for index in range(20):
            limiter.take(Principal(f"key_{index}", "p", "read"), *READ)
        clock.now += 30
    storage = vars(limiter)["_limiter"].storage
    deadline = time.monotonic() + 5
    while len(storage.storage) > 100 and time.monotonic() < deadline:
        limiter.take(MINE, *READ)  # what is over goes in a thread, beside the next request
    assert len(storage.storage) <= 100
    assert len(storage.expirations) <= 100


def test_a_clock_that_is_set_locks_nobody_out(clock: Clock) -> None:
    limiter = Rates({"reads": 5})
    for jump in (-3600.0, 86_400.0, -10 * 365 * 86_400.0):
        while refused(limiter) is None:
            pass
        clock.now += jump
        assert refused(limiter) is None
        assert math.isfinite(clock.now)
