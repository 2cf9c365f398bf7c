"""A dataset whose file is being read, and somebody who waits for that."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from app.datasets import service
from app.keys.service import Principal
from app.storage.database import Database

LEAST_SECONDS, MOST_SECONDS = 0.05, 1.0


async def read(
    database: Database,
    principal: Principal,
    dataset_id: str,
    seconds: float,
    place: Callable[[], AbstractContextManager[None]],
) -> dict[str, Any]:
    """The dataset once its file has been read, or the time is over. Raises NotFound, or what ``place`` does,
    which is taken by whoever waits.

    Nothing else is held in between: it is looked at again, ever more seldom.
    """
    loop = asyncio.get_running_loop()
    until, pause = loop.time() + seconds, LEAST_SECONDS
    found = await asyncio.to_thread(_look, database, principal, dataset_id)
    if found["status"] != "processing" or seconds <= 0:
        return found
    with place():
        while found["status"] == "processing" and loop.time() < until:
            await asyncio.sleep(min(pause, until - loop.time()))
            pause = min(1.5 * pause, MOST_SECONDS)
            found = await asyncio.to_thread(_look, database, principal, dataset_id)
    return found


def _look(database: Database, principal: Principal, dataset_id: str) -> dict[str, Any]:
    with database.reading() as session:
        return service.answer(principal, service.get(session, principal, dataset_id, ready=False))
