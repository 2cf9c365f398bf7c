"""How many requests a minute: of a key, by their kind; or of a project that has a limit of its own.

The window slides: the minute before last counts for as much of it as is still within the last sixty seconds.
Two counters for each key and kind are all that is kept, for two minutes. They are this process's own, and so
several API processes on one database let through as many times as much.
"""

import math
import time
from collections.abc import Mapping
from functools import cached_property
from typing import NamedTuple

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from app.errors import RateLimited
from app.keys.service import Principal
from app.settings import Settings

WINDOW_SECONDS = 60
KINDS = ("reads", "writes", "predictions", "uploads")
ANSWERED_BY_MODELS = ("/predict", "/infer", "/evaluate", "/trace")
"""How the paths end of POSTs that are predictions."""

UPLOADS = "/v1/datasets"


class Standing(NamedTuple):
    """A limit that holds for a request, and where that leaves whoever sent it."""

    policy: str
    limit: int
    remaining: int
    reset_seconds: int

    def headers(self) -> list[tuple[bytes, bytes]]:
        """As draft-ietf-httpapi-ratelimit-headers-10 has them."""
        policy = f'"{self.policy}";q={self.limit};w={WINDOW_SECONDS}'
        left = f'"{self.policy}";r={self.remaining};t={self.reset_seconds}'
        return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", left.encode())]


class Rates:
    """Counts the requests of this process; for its event loop alone."""

    def __init__(self, per_minute: Mapping[str, int | None]) -> None:
        self._limits = {kind: most for kind, most in per_minute.items() if most is not None}

    @cached_property
    def _limiter(self) -> SlidingWindowCounterRateLimiter:
        return SlidingWindowCounterRateLimiter(MemoryStorage())  # it has a thread: not before there is a use

    def take(self, principal: Principal, method: str, path: str) -> Standing | None:
        """Count a request, and tell where that leaves its sender; None where there is no limit.

        Raises RateLimited, with the headers of the limit.
        """
        policy, most, whose = "project", principal.max_requests_per_minute, principal.project_id
        if most is None:
            if not self._limits:
                return None
            policy, whose = kind_of(method, path), principal.key_id
            most = self._limits.get(policy)
            if most is None:
                return None
        item = RateLimitItemPerMinute(most)
        allowed = self._limiter.hit(item, whose, policy)
        reset, remaining = self._limiter.get_window_stats(item, whose, policy)
        standing = Standing(policy, most, remaining, max(0, math.ceil(reset - time.time())))
        if not allowed:
            raise _refused(standing)
        return standing


def by_settings(settings: Settings) -> Rates:
    return Rates({kind: getattr(settings, f"max_{kind}_per_minute") for kind in KINDS})


def kind_of(method: str, path: str) -> str:
    """One of `KINDS`."""
    if method in ("GET", "HEAD", "OPTIONS"):
        return "reads"
    if method == "POST" and path.endswith(ANSWERED_BY_MODELS):
        return "predictions"
    return "uploads" if method == "POST" and path == UPLOADS else "writes"


def _refused(standing: Standing) -> RateLimited:
    whose = "This project" if standing.policy == "project" else "This key"
    what = "requests" if standing.policy == "project" else standing.policy
    seconds = max(1, standing.reset_seconds)
    error = RateLimited(f"{whose} may make {standing.limit} {what} a minute. Try again in {seconds} s.")
    told = {name.decode(): value.decode() for name, value in standing.headers()}
    error.headers = {"Retry-After": str(seconds), **told}
    return error
