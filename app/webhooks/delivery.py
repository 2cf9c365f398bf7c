"""Sending: one message at a time to each webhook, several webhooks at once, in the order of a job's log."""

import asyncio
import logging
import random
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Lock, Thread

import httpx

from app.jobs.answers import EventAnswer
from app.storage.columns import to_json
from app.storage.database import Database
from app.webhooks import addresses, outbox, signing
from app.webhooks.outbox import Held, Message

log = logging.getLogger(__name__)

AT_ONCE = 16
ATTEMPT_SECONDS = 15.0
"""The whole of an attempt, also with a receiver that sends a byte every now and then."""

IN_A_ROW_SECONDS = 5.0
"""A job with much to tell lets the others of its webhook pass after so long."""


class NotDelivered(Exception):
    """The message says why."""


class Gone(Exception):
    """The receiver wants no more."""


class Delivery:
    """Sends what is due. ``private``: also to addresses that are not public, and over plain HTTP."""

    def __init__(self, database: Database, private: bool, first_pause: float) -> None:
        self._database = database
        self._private = private
        self._first_pause = first_pause
        self._pool = ThreadPoolExecutor(AT_ONCE, "webhook")
        self._busy: set[str] = set()
        self._lock = Lock()
        self._closed = False
        self._loop = asyncio.new_event_loop()  # a deadline for a whole request is to be had only in one
        self._thread = Thread(target=self._loop.run_forever, name="receivers", daemon=True)
        self._thread.start()
        self._client = httpx.AsyncClient(
            timeout=5.0,
            follow_redirects=False,
            trust_env=False,
            # Two names may share an address: a connection that was made for one is not for the other.
            limits=httpx.Limits(max_keepalive_connections=0),
            headers={"User-Agent": "chainrule-webhooks"},
        )

    def turn(self) -> None:
        """Start what is due; never waits for a receiver."""
        with self._lock:  # the choice and the note of it are one step: `_work` takes turns, too
            while not self._closed and (free := AT_ONCE - len(self._busy)):
                taken = outbox.take(self._database, free, self._busy)
                if not taken:
                    return
                for held in taken:
                    self._busy.add(held.webhook_id)
                    self._pool.submit(self._work, held)

    def close(self) -> None:
        """Let messages on their way arrive or fail, and send no more."""
        with self._lock:
            self._closed = True
        self._pool.shutdown()
        asyncio.run_coroutine_threadsafe(self._client.aclose(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _work(self, held: Held) -> None:
        try:
            self._follow(held)
        except Exception:  # the database is away, say: the cursor is free again when its time is over
            log.warning("a webhook's turn was put off", exc_info=True)
            with self._lock:
                self._busy.discard(held.webhook_id)
            return
        with self._lock:
            self._busy.discard(held.webhook_id)
        try:
            self.turn()
        except Exception:
            log.warning("webhooks wait", exc_info=True)

    def _follow(self, held: Held) -> None:
        """One job's messages, as long as they arrive and it is this job's turn."""
        until = time.monotonic() + IN_A_ROW_SECONDS
        following: Held | None = held
        while following is not None and (message := outbox.read(self._database, following)) is not None:
            try:
                self._send(message)
            except Gone:
                outbox.gone(self._database, following)
                return
            except (NotDelivered, addresses.Refused) as error:
                pause, jitter = self._first_pause, random.random()  # noqa: S311 (no secret)
                outbox.failed(self._database, following, str(error), pause, jitter)
                return
            following = outbox.delivered(self._database, following, message.event["seq"])
            if following is not None and time.monotonic() > until:
                outbox.give_back(self._database, following)
                return

    def _send(self, message: Message) -> None:
        event = EventAnswer.model_validate(message.event).model_dump(mode="json")
        sent = {"type": event["type"], "timestamp": event["created_at"], "data": event}
        body = to_json(sent).encode()
        host, port = addresses.parts_of(message.url, self._private)
        address = addresses.resolve(host, port, self._private)
        # The name is resolved once, by us: asked for again it could lead elsewhere.
        url = httpx.URL(message.url)
        headers = {
            "Host": url.netloc.decode("ascii"),
            "Content-Type": "application/json",
            **signing.headers(message.secret, event["id"], int(time.time()), body),
        }
        posted = self._post(url.copy_with(host=address), body, headers, host)
        status = asyncio.run_coroutine_threadsafe(posted, self._loop).result()
        if status == httpx.codes.GONE:
            raise Gone
        if not httpx.codes.is_success(status):
            raise NotDelivered(f"The receiver answered {status}.")

    async def _post(self, url: httpx.URL, body: bytes, headers: dict[str, str], host: str) -> int:
        """The status of the answer; nothing of its content is read."""
        names = {"sni_hostname": host}
        try:
            async with (
                asyncio.timeout(ATTEMPT_SECONDS),
                self._client.stream("POST", url, content=body, headers=headers, extensions=names) as response,
            ):
                return response.status_code
        except TimeoutError:
            raise NotDelivered(f"The receiver did not answer within {ATTEMPT_SECONDS:.0f} s.") from None
        except httpx.HTTPError as error:
            raise NotDelivered(f"The receiver could not be reached: {type(error).__name__}.") from error
