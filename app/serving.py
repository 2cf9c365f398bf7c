"""``serve``: the API process, with its workers as descendants, from the first key to the last stream."""

import gc
import logging
import os
import signal
import sys
import tempfile
from pathlib import Path

from sqlalchemy.engine import make_url

from app import confinement, logs, telemetry
from app.housekeeping import Housekeeping
from app.main import create_app, prepare
from app.retention import Keep
from app.settings import Settings
from app.state import State
from app.storage.database import Database
from app.storage.mounts import MOUNTS, network_of
from app.webhooks.process import EmbeddedSender, Sending
from app.wire.hosts import is_loopback
from app.wire.server import Server
from app.wire.tls import BadCertificate, Certificate
from app.worker.process import EmbeddedWorker
from app.worker.surroundings import Surroundings

log = logging.getLogger(__name__)

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
    if is_loopback(settings.host):
        return
    if settings.admin_key is None:
        raise RefusesToStart(f"{settings.host} is public: set CHAINRULE_ADMIN_KEY to a key of your own.")
    if settings.tls_cert is None and not settings.insecure_http:
        raise RefusesToStart(
            f"{settings.host} is public, and plain HTTP would show keys and data to everybody on the way: "
            "give --tls-cert and --tls-key, or put it behind a TLS proxy and say --insecure-http."
        )


def certificate(settings: Settings) -> Certificate | None:
    """What TLS needs, if it is wanted. Raises RefusesToStart."""
    if settings.tls_cert is None and settings.tls_key is None:
        return None
    if settings.tls_cert is None or settings.tls_key is None:
        raise RefusesToStart("--tls-cert and --tls-key go together: a certificate and its private key.")
    try:
        return Certificate(settings.tls_cert, settings.tls_key)
    except BadCertificate as error:
        raise RefusesToStart(str(error)) from None


def check_confinement(settings: Settings) -> None:
    """Raise RefusesToStart where parsers and trainers cannot be confined and must be; else say what lacks."""
    os.environ[confinement.MODE] = settings.confinement  # however it was given
    lacking = confinement.lacking()
    if not lacking or settings.confinement == "off":
        return
    told = f"this kernel cannot keep parsers and trainers from: {', '.join(lacking)}"
    if settings.confinement == "required":
        raise RefusesToStart(f"{told}. CHAINRULE_CONFINEMENT=auto goes without.")
    log.warning("%s; see docs/security.md", told)


def check_file_system(settings: Settings, mounts: Path = MOUNTS) -> None:
    """Raise RefusesToStart for SQLite on a file system of the network, unless it is allowed."""
    url = make_url(settings.url)
    if url.get_backend_name() != "sqlite" or not url.database or settings.sqlite_on_network:
        return
    path = Path(url.database)
    kind = network_of(path, mounts)
    if kind is not None:
        raise RefusesToStart(
            f"{path} is on a network file system ({kind}), where locks may not hold and SQLite loses data: "
            "put --data-dir on a local disk, or use Postgres (--database-url). "
            "CHAINRULE_SQLITE_ON_NETWORK=true goes without this check."
        )


def keep_temporary_files(data_dir: Path) -> None:
    """What SQLite does not keep in memory is on the disk whose reserve is kept, and not in /tmp.

    Before the first `Database`: SQLite looks at this once.
    """
    os.environ["SQLITE_TMPDIR"] = str(data_dir.absolute())


def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; then finish requests, hand jobs back, and return."""
    check_exposure(settings)
    check_file_system(settings)
    secure = certificate(settings)
    logs.configure(settings.log_format, "api")
    check_confinement(settings)
    confinement.shed()
    os.umask(0o077)  # what we write is for us alone, also in a directory that others made
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    telemetry.prepare()
    keep_temporary_files(settings.data_dir)
    database = Database(settings.url)
    prepare(settings, database)
    application = create_app(settings, database)
    gc.freeze()  # all this stays: a collection that looked at it would hold up every request
    gc.enable()
    # Forms go through a temporary file. Here it is on the disk whose reserve is kept, and not in /tmp.
    tempfile.tempdir = str(settings.data_dir / "incoming")
    state: State = application.state.chainrule
    worker = EmbeddedWorker(surroundings(settings), database) if settings.workers else None
    sender = EmbeddedSender(sending(settings)) if settings.webhooks else None
    children = [each for each in (worker, sender) if each is not None]
    server = Server(
        application,
        settings,
        secure,
        in_loop=[state.watch.stop, state.jail.close],
        at_once=[each.begin_stop for each in children],
    )

    def stop(*_: object) -> None:
        server.should_exit = True

    for each in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises the signal once more when it is done
        signal.signal(each, stop)
    if secure is not None:
        signal.signal(signal.SIGHUP, lambda *_: secure.reload())
    try:
        listening = server.listen()  # before we say so
    except SystemExit:  # uvicorn has said why
        place = f"{settings.host}, port {settings.port},"
        raise RefusesToStart(f"{place} cannot be listened on; --port takes another, 0 a free one.") from None
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
    scheme = "http" if secure is None else "https"
    address = f"[{host}]" if ":" in host else host
    sys.stdout.write(f"Chainrule listens on {scheme}://{address}:{port}\n")
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
