"""``serve``: the API process, with its workers as descendants, from the first key to the last stream."""

import asyncio
import ipaddress
import os
import signal
import socket
import sys
from collections.abc import Sequence
from types import FrameType

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app import logs
from app.dependencies import State
from app.housekeeping import Housekeeping
from app.keeper import Keeper
from app.main import create_app, prepare
from app.retention import Keep
from app.settings import Settings
from app.storage.database import Database
from app.webhooks.process import EmbeddedSender, Sending
from app.worker.process import EmbeddedWorker
from app.worker.surroundings import Surroundings

DRAIN_SECONDS = 8.0
HOUSEKEEPING_SECONDS = 600.0
SHORT_OF_ROOM_SECONDS = 10.0
DISK_SECONDS = 1.0


class RefusesToStart(Exception):
    """The settings would expose the server."""


def surroundings(settings: Settings) -> Surroundings:
    """The part of the settings that workers need."""
    return Surroundings(
        url=settings.url,
        data_dir=settings.data_dir,
        slots=settings.workers,
        lease_seconds=settings.lease_seconds,
        snapshot_seconds=settings.snapshot_seconds,
        disk_reserve_bytes=settings.disk_reserve_bytes,
        memory_bytes=settings.memory_of_a_job,
        trainer_nice=settings.trainer_nice,
        max_running_jobs=settings.max_running_jobs,
        log_format=settings.log_format,
        stall_seconds=settings.trainer_stall_seconds,
    )


def sending(settings: Settings) -> Sending:
    """The part of the settings that the webhooks' sender needs."""
    private, pause = settings.webhook_private, settings.webhook_retry_seconds
    return Sending(settings.url, private, pause, settings.log_format)


def check_exposure(settings: Settings) -> None:
    """Raise RefusesToStart for a public address without a key of the operator's, or without TLS."""
    try:
        public = not ipaddress.ip_address(settings.host).is_loopback
    except ValueError:
        public = settings.host != "localhost"
    if not public:
        return
    if settings.admin_key is None:
        raise RefusesToStart(f"{settings.host} is public: set CHAINRULE_ADMIN_KEY to a key of your own.")
    if not settings.insecure_http:
        raise RefusesToStart(
            f"{settings.host} is public and this server speaks plain HTTP: put it behind a TLS proxy "
            "and say --insecure-http."
        )


class Protocol(HttpToolsProtocol):
    """Tells the application how to cut a connection off: to close it would wait for what it has not taken."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"]["abort"] = self.transport.abort


class Server(uvicorn.Server):
    """Ends streams and begins to stop its children as soon as it is asked to stop."""

    def __init__(self, config: uvicorn.Config, state: State, children: Sequence[Keeper]) -> None:
        super().__init__(config)
        self.state = state
        self.children = children
        self.loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.loop = asyncio.get_running_loop()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self.state.watch.stop)
            self.loop.call_soon_threadsafe(self.state.jail.close)
        for child in self.children:
            child.begin_stop()


def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; then finish requests, hand jobs back, and return."""
    check_exposure(settings)
    logs.configure(settings.log_format, "api")
    os.umask(0o077)  # what we write is for us alone, also in a directory that others made
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    database = Database(settings.url)
    prepare(settings, database)
    application = create_app(settings, database)
    config = uvicorn.Config(
        application,
        host=settings.host,
        port=settings.port,
        access_log=False,
        log_config=None,
        http=Protocol,
        lifespan="on",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=max(1, int(settings.shutdown_seconds)),
    )
    state: State = application.state.chainrule
    worker = EmbeddedWorker(surroundings(settings), database) if settings.workers else None
    sender = EmbeddedSender(sending(settings)) if settings.webhooks else None
    children = [each for each in (worker, sender) if each is not None]
    server = Server(config, state, children)

    def stop(*_: object) -> None:
        server.should_exit = True

    for each in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises the signal once more when it is done
        signal.signal(each, stop)
    listening = config.bind_socket()
    listening.listen(config.backlog)  # before we say so
    if worker is not None:
        database.nudge = worker.nudge
    for child in children:
        child.start()
    incoming = settings.data_dir / "incoming"
    uses = state.authenticator.uses
    keep = Keep(settings.keep_jobs_days, settings.keep_models_days, settings.keep_datasets_days)
    housekeeping = Housekeeping(database, state.blobs, state.disk, state.cache, incoming, uses, keep)
    housekeeping.start()
    host, port = listening.getsockname()[:2]
    address = f"[{host}]" if ":" in host else host
    sys.stdout.write(f"Chainrule listens on http://{address}:{port}\n")
    if settings.admin_key is None and settings.admin_key_path.exists():
        sys.stdout.write(f"The admin key is in {settings.admin_key_path}\n")
    sys.stdout.flush()
    try:
        server.run(sockets=[listening])
    finally:
        housekeeping.over.set()
        for child in children:
            child.stop(DRAIN_SECONDS)
        database.close()
