"""What Prometheus is told: this process's own counts as they are, and those of the database once a second."""

import asyncio
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from prometheus_client import ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from app.datasets.jail import Jail
from app.following.service import Following
from app.keys.service import Authenticator
from app.metrics import standing
from app.metrics.samples import Samples, of_standing, of_traffic
from app.metrics.standing import Standing
from app.metrics.traffic import Traffic
from app.models.warm import WarmModels
from app.settings import Settings
from app.storage.blobs import Blobs
from app.storage.database import Database
from app.storage.disk import Disk

log = logging.getLogger(__name__)

REASONS = ("missing", "invalid", "too_many")

FRESH_SECONDS = 1.0
"""For so long an answer is given again: whoever asks more often costs no more."""

PATIENCE_SECONDS = 1.0
"""A database that takes longer is said to be away, and all that is known without it is told."""


class Parts(NamedTuple):
    """Whose counts are told."""

    settings: Settings
    database: Database
    disk: Disk
    blobs: Blobs
    jail: Jail
    authenticator: Authenticator
    following: Following
    traffic: Traffic
    warm: WarmModels


class Page(NamedTuple):
    """An answer, and what it is in."""

    content: bytes
    media_type: str


class Metrics:
    """Of one process. Its threads are its own: nobody waits for them, and they for nobody."""

    def __init__(self, parts: Parts, version: str) -> None:
        self._parts = parts
        self._version = version
        self._threads = ThreadPoolExecutor(2, "metrics")  # one may wait for the database, the other writes
        self._process = ProcessCollector(registry=None)
        self._looking: asyncio.Future[Standing] | None = None
        self._pages: dict[str, tuple[float, Page]] = {}
        self._one_at_a_time = asyncio.Lock()

    async def page(self, accept: str) -> Page:
        """All metrics, as ``accept`` wants them; less than `FRESH_SECONDS` old."""
        # The library's own choice takes a version from the client, whatever it is.
        is_open = "application/openmetrics-text" in accept
        encode = openmetrics.generate_latest if is_open else generate_latest
        media_type = openmetrics.CONTENT_TYPE_LATEST if is_open else CONTENT_TYPE_PLAIN_0_0_4
        async with self._one_at_a_time:
            fresh_until, page = self._pages.get(media_type, (0.0, None))
            if page is None or time.monotonic() >= fresh_until:
                start = time.monotonic()
                found = await self._look()
                content = await asyncio.get_running_loop().run_in_executor(
                    self._threads, encode, _Collected(self._collect(found, start))
                )
                page = Page(content, media_type)
                self._pages[media_type] = time.monotonic() + FRESH_SECONDS, page
        return page

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _look(self) -> Standing | None:
        """What stands in the database; None where it does not answer in time. One look at a time."""
        if self._looking is None or self._looking.done():
            parts = self._parts
            looking = asyncio.get_running_loop().run_in_executor(
                self._threads, standing.look, parts.database, parts.settings.max_running_jobs
            )
            looking.add_done_callback(lambda late: late.cancelled() or late.exception())
            self._looking = looking
        done, _ = await asyncio.wait({self._looking}, timeout=PATIENCE_SECONDS)
        if not done:
            return None
        if error := self._looking.exception():
            log.warning("cannot look at how things stand: %s", type(error).__name__)
            return None
        return self._looking.result()

    def _collect(self, found: Standing | None, start: float) -> Iterator[Metric]:
        samples = Samples()
        parts = self._parts
        database, following = parts.database, parts.following
        kind = "sqlite" if database.is_sqlite else "postgres"
        samples.add("chainrule_info", 1, self._version, kind)
        of_traffic(samples, parts.traffic)
        samples.each("chainrule_auth_failures_total", parts.authenticator.refusals, REASONS)
        samples.add("chainrule_streams", following.streams)
        samples.add("chainrule_held_requests", following.places.count - following.streams)
        samples.add("chainrule_streams_cut_off_total", following.feed.cut_off)
        samples.add("chainrule_uploads_reading", parts.jail.busy)
        samples.each("chainrule_uploads_total", parts.jail.outcomes, ("read", "refused", "failed"))
        samples.add("chainrule_models_warm", parts.warm.count)
        samples.add("chainrule_models_warm_bytes", parts.warm.size_bytes)
        samples.add("chainrule_models_loaded_total", parts.warm.loads)
        samples.add("chainrule_models_evicted_total", parts.warm.evictions)
        samples.add("chainrule_database_up", found is not None)
        samples.each("chainrule_database_failures_total", database.failures, ("away", "full", "other"))
        samples.add("chainrule_database_connections", database.busy_connections)
        samples.add("chainrule_database_connections_lost_total", database.losses)
        samples.add("chainrule_disk_free_bytes", parts.disk.free())
        samples.add("chainrule_disk_reserve_bytes", parts.disk.reserve_bytes)
        blob_bytes = parts.blobs.file_bytes
        if found is not None:
            of_standing(samples, found)
            blob_bytes = found.large_blob_bytes if blob_bytes is None else blob_bytes
        if blob_bytes is not None:
            samples.add("chainrule_blob_bytes", blob_bytes)
        samples.add("chainrule_scrape_seconds", time.monotonic() - start)
        yield from samples.metrics()
        yield from self._process.collect()


class _Collected:
    """What an encoder takes for a registry."""

    def __init__(self, metrics: Iterator[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return self._metrics
