"""The server's settings: frozen, read once, each also an environment variable ``CHAINRULE_…``."""

import contextlib
import ipaddress
import os
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

MEMORY_SHARE = 0.8
MOST_DAYS = 36_500
CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def known_url(text: str) -> str:
    """The URL, if it is one of a database. Raises ValueError, without the password that it may hold."""
    from sqlalchemy.engine import make_url  # whoever asks for --help has no need of it
    from sqlalchemy.exc import ArgumentError

    with contextlib.suppress(ArgumentError, ValueError):
        url = make_url(text)
        if url.get_backend_name() == "postgresql" or (url.drivername == "sqlite" and url.database):
            return text
    raise ValueError("write postgresql://user:password@host/name, or sqlite:///path/to/file")


def _listed(given: object) -> object:
    """The parts of a variable, which has commas between them."""
    return (
        tuple(each.strip() for each in given.split(",") if each.strip()) if isinstance(given, str) else given
    )


def _network(given: str) -> str:
    return str(ipaddress.ip_network(given, strict=False) if "/" in given else ipaddress.ip_address(given))


File = Annotated[Path, AfterValidator(Path.absolute)]
Host = Annotated[str, Field(max_length=253, pattern=r"^(\*|(\*\.)?[A-Za-z0-9._-]+|\[?[0-9A-Fa-f:.]+\]?)$")]
Origin = Annotated[str, Field(pattern=r"^(\*|https?://[A-Za-z0-9._\[\]:-]+)$")]
Proxy = Annotated[str, AfterValidator(_network)]


class Settings(BaseSettings):
    model_config = SettingsConfigDict(
        env_prefix="CHAINRULE_", frozen=True, extra="forbid", validate_default=True
    )

    host: str = Field("127.0.0.1", description="Address to listen on; loopback unless you say otherwise.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    data_dir: Annotated[Path, AfterValidator(Path.absolute)] = Field(
        Path("chainrule-data"), description="Directory of the SQLite database, blobs and caches."
    )
    database_url: Annotated[str, AfterValidator(known_url)] | None = Field(
        None, description="postgresql://… for Postgres; default is SQLite in the data directory."
    )
    sqlite_on_network: bool = Field(
        False, description="Allow SQLite on a network file system, though its locks may not hold there."
    )
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=0,
        le=256,
        description="Trainer slots of this process; 0 for an API without workers.",
    )
    admin_key: SecretStr | None = Field(
        None, min_length=16, description="The admin key, instead of one made at first start."
    )
    insecure_http: bool = Field(
        False, description="Allow a public address without TLS, for a server behind a TLS proxy."
    )
    tls_cert: File | None = Field(None, description="PEM file of the certificate and its chain, for TLS.")
    tls_key: File | None = Field(None, description="PEM file of its private key, without a passphrase.")
    allowed_host: Annotated[tuple[Host, ...], NoDecode, BeforeValidator(_listed)] = Field(
        (), description="Names that the server answers to, as *.example.com; * for every name."
    )
    cors_origin: Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_listed)] = Field(
        (), description="Origins whose pages may call the API, as https://lab.example.com; * for all."
    )
    trusted_proxy: Annotated[tuple[Proxy, ...], NoDecode, BeforeValidator(_listed)] = Field(
        (), description="Addresses or networks whose X-Forwarded-For and X-Forwarded-Proto are believed."
    )
    max_connections: int = Field(
        4_000, ge=16, description="Most connections at once, if there are file descriptors for them."
    )
    head_seconds: float = Field(
        10.0, gt=0, le=60, description="A request's head that is not whole after so long is cut off."
    )
    body_seconds: float = Field(
        20.0, gt=0, le=600, description="A client that sends or takes nothing for so long is cut off."
    )
    least_bytes_per_second: float = Field(
        1_024.0, gt=0, description="A client that sends or takes less for longer is cut off, too."
    )
    keep_alive_seconds: float = Field(
        20.0, ge=1, le=600, description="A connection without a request is closed after so long."
    )
    lease_seconds: float = Field(
        10.0, ge=2, le=600, description="A worker that is silent for longer loses its jobs."
    )
    max_running_jobs: int | None = Field(
        None, ge=0, description="Most running jobs of a project that has no limit of its own."
    )
    max_queued_jobs: int = Field(
        10_000, ge=0, description="Most waiting jobs of a project that has no limit of its own."
    )
    max_datasets: int | None = Field(
        None, ge=0, description="Most datasets of a project that has no limit of its own."
    )
    max_architectures: int | None = Field(
        None, ge=0, description="Most stored architectures of a project that has no limit of its own."
    )
    max_aliases: int | None = Field(
        None, ge=0, description="Most aliases of a project that has no limit of its own."
    )
    max_stored_bytes: int | None = Field(
        None, ge=0, description="Most bytes stored of a project that has no limit of its own."
    )
    max_multiply_adds_per_day: int | None = Field(
        None, ge=0, description="Most multiply-adds in a day (UTC) of a project that has no limit of its own."
    )
    max_reads_per_minute: int | None = Field(
        None, gt=0, description="Most reading requests a minute with one key."
    )
    max_writes_per_minute: int | None = Field(
        None, gt=0, description="Most writing requests a minute with one key, without uploads."
    )
    max_predictions_per_minute: int | None = Field(
        None, gt=0, description="Most predictions, evaluations and traces a minute with one key."
    )
    max_uploads_per_minute: int | None = Field(
        None, gt=0, description="Most uploads of datasets a minute with one key."
    )
    snapshot_seconds: float = Field(2.0, gt=0, description="Least time between two snapshots of a job.")
    webhooks: bool = Field(False, description="Allow webhooks: the only requests that a server makes.")
    webhook_private: bool = Field(
        False, description="Allow webhooks to private addresses, and over plain HTTP."
    )
    webhook_retry_seconds: float = Field(
        5.0, gt=0, le=600, description="Pause before a webhook's second attempt; later ones are longer."
    )
    trainer_nice: int = Field(
        10, ge=0, le=19, description="By how much trainers yield to the API; 0: every process is equal."
    )
    trainer_stall_seconds: float = Field(
        120.0, ge=2, le=86_400, description="A trainer that uses no processor time for so long is killed."
    )
    log_format: Literal["auto", "json", "text"] = Field(
        "auto", description="Log lines as json or text; auto is text on a terminal, else json."
    )
    log_requests: bool = Field(True, description="Log a line for each request.")
    confinement: Literal["auto", "required", "off"] = Field(
        "auto",
        description="Confine parsers and trainers where the kernel can; required: start only where it can.",
    )
    shutdown_seconds: float = Field(
        5.0, gt=0, le=60, description="How long open requests may go on after SIGTERM."
    )
    metrics_open: bool = Field(False, description="Answer GET /metrics without a key.")
    metrics_key: SecretStr | None = Field(
        None, min_length=16, description="A key that is good for GET /metrics, and for nothing else."
    )
    disk_reserve_bytes: int | None = Field(
        None, ge=0, description="Free bytes of the data directory's disk that nothing new may use."
    )
    max_upload_bytes: int = Field(4 * 2**30, gt=0, description="Largest dataset upload, also expanded.")
    max_json_bytes: int = Field(
        64 * 2**20, gt=0, description="Largest JSON body with rows or parameters; others: 1 MiB."
    )
    max_wait_seconds: float = Field(60.0, gt=0, description="Upper limit of ?wait=.")
    max_streams: int = Field(1_000, gt=0, description="Most event streams and held ?wait= requests at once.")
    max_streams_per_key: int = Field(250, gt=0, description="Most of them with one API key.")
    stream_stall_seconds: float = Field(
        10.0, gt=0, description="A stream whose client takes nothing for so long is cut off."
    )
    max_stream_seconds: float = Field(
        3600.0, gt=0, le=86_400, description="Greatest age of an event stream; its client then comes back."
    )
    max_wrong_keys_per_minute: int = Field(
        100, gt=0, description="Most wrong API keys from one address that are looked up in a minute."
    )
    max_columns: int = Field(5_000, gt=0, description="Most columns of a dataset.")
    max_hidden_layers: int = Field(64, gt=0, description="Most hidden layers of an architecture.")
    max_units: int = Field(65_536, gt=0, description="Most units of a layer.")
    max_parameters: int = Field(50_000_000, gt=0, description="Most weights and biases of a network.")
    max_kept_bytes: int = Field(
        2**30, ge=0, description="Most bytes that the snapshots which a job keeps may take."
    )
    job_memory_bytes: int | None = Field(
        None, gt=0, description="Most memory of one job; one that needs more is refused."
    )
    max_threads: int = Field(
        default_factory=lambda: min(256, os.cpu_count() or 1),
        ge=1,
        le=256,
        description="Most threads, and so cores, of one job.",
    )
    max_predict_rows: int = Field(100_000, gt=0, description="Most rows of one JSON prediction.")
    warm_model_bytes: int = Field(
        512 * 2**20, ge=0, description="Most bytes of the models that are kept in memory for predictions."
    )
    max_uploads_per_project: int = Field(
        32, gt=0, description="Most uploads of one project that are under way at once."
    )
    max_parses: int = Field(
        default_factory=lambda: 2 * max(2, os.cpu_count() or 1),
        gt=0,
        le=32,
        description="Most uploads that are read at once; half of them of one project.",
    )
    keep_jobs_days: float | None = Field(
        None,
        gt=0,
        le=MOST_DAYS,
        description="Days after which an ended job is deleted; not one whose model has an alias.",
    )
    keep_models_days: float | None = Field(
        None,
        gt=0,
        le=MOST_DAYS,
        description="Days after which a model is deleted; not one with an alias, or of an unfinished job.",
    )
    keep_datasets_days: float | None = Field(
        None,
        gt=0,
        le=MOST_DAYS,
        description="Days without a job after which a dataset is deleted; not one that is shared.",
    )
    parse_seconds: float = Field(900.0, gt=0, description="Time limit for reading one upload.")
    parse_memory_bytes: int = Field(4 * 2**30, gt=0, description="Memory limit for reading one upload.")

    @property
    def url(self) -> str:
        """The database's SQLAlchemy URL."""
        return self.database_url or f"sqlite:///{(self.data_dir / 'chainrule.sqlite').absolute()}"

    @property
    def cores(self) -> int:
        """The cores of this machine."""
        return os.cpu_count() or 1

    @cached_property
    def memory_of_a_job(self) -> int:
        """The most bytes that a job may need."""
        if self.job_memory_bytes is not None:
            return self.job_memory_bytes
        return int(MEMORY_SHARE * _memory()) // max(1, self.workers)

    @property
    def cache_dir(self) -> Path:
        """What this host can rebuild: tables of datasets."""
        return self.data_dir / "cache"

    @property
    def incoming_dir(self) -> Path:
        """What is being received, and what the children that read it see."""
        return self.data_dir / "incoming"

    @property
    def admin_key_path(self) -> Path:
        return self.data_dir / "admin.key"


def _memory() -> int:
    """Bytes of memory of this machine, or of the container that we are in."""
    sizes = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):  # "max": no limit
            sizes.append(int(Path(path).read_text()))
    return min(sizes)
