"""An object that somebody else is at work on, and a client that waits until it rests."""

import asyncio
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import Any

LEAST_SECONDS, MOST_SECONDS = 0.05, 1.0


async def at_rest(
    look: Callable[[], dict[str, Any]],
    going: Collection[str],
    seconds: float,
    place: Callable[[], AbstractContextManager[None]],
) -> dict[str, Any]:
    """What ``look`` finds, in a thread, once its status is none of ``going`` or the time is over.

    Nothing is held in between but what ``place`` gives to whoever waits: it is looked at again, ever more
    seldom. Raises what the two raise.
    """
    loop = asyncio.get_running_loop()
    until, pause = loop.time() + seconds, LEAST_SECONDS
    found = await asyncio.to_thread(look)
    if found["status"] not in going or seconds <= 0:
        return found
    with place():
        while found["status"] in going and loop.time() < until:
            await asyncio.sleep(min(pause, until - loop.time()))
            pause = min(1.5 * pause, MOST_SECONDS)
            found = await asyncio.to_thread(look)
    return found
