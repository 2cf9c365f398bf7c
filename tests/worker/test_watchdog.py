"""A supervisor that cannot renew its leases: its trainers end before another may take their jobs."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.jobs.queue import Claim
from app.worker.slots import Slot
from app.worker.surroundings import Surroundings
from app.worker.watchdog import Watchdog, awake_or_asleep
from tests.support.server import until

LEASE = 3.0


@pytest.fixture
def slot(tmp_path: Path) -> Iterator[Slot]:
    slot = Slot(
        Surroundings(f"sqlite:///{tmp_path / 'nothing.sqlite'}", tmp_path, 1, LEASE, 2.0, None, 2**30),
        "wrk_of_a_test",
    )
    yield slot
    slot.kill()


def is_alive(slot: Slot) -> bool:
    return slot.process.exitcode is None


def test_a_trainer_at_work_ends_at_two_thirds_of_the_lease(slot: Slot) -> None:
    moment = [100.0]
    watchdog = Watchdog([slot], LEASE, lambda: moment[0])
    watchdog.start()
    try:
        slot.claim = Claim("job_of_a_test", 1)
        moment[0] += LEASE * 0.6
        time.sleep(LEASE / 10)  # several looks
        assert is_alive(slot)
        watchdog.beaten(watchdog.beating())
        moment[0] += LEASE * 0.6
        time.sleep(LEASE / 10)
        assert is_alive(slot)
        moment[0] += LEASE * 0.1
        until(lambda: not is_alive(slot), LEASE)
        assert slot.struck
        slot.restart()
        time.sleep(LEASE / 10)
        assert is_alive(slot)  # one without a job has nothing to lose
        assert not slot.struck
    finally:
        watchdog.stop()


def test_a_beat_counts_from_when_it_was_sent(slot: Slot) -> None:
    """Its answer may have been under way for longer than what is left of the lease."""
    moment = [100.0]
    watchdog = Watchdog([slot], LEASE, lambda: moment[0])
    sent_at = watchdog.beating()
    moment[0] += LEASE
    watchdog.beaten(sent_at)
    slot.claim = Claim("job_of_a_test", 1)
    watchdog.start()
    until(lambda: not is_alive(slot), LEASE)
    watchdog.stop()


def test_its_clock_goes_on_while_the_host_sleeps() -> None:
    first = awake_or_asleep()
    assert first >= time.monotonic() - 1.0
    assert awake_or_asleep() >= first
