"""What a trainer is left with: its cache, its database, and Python to rebuild a table with."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.engine import URL, make_url

from app.confinement import NETWORK, confine
from app.worker.surroundings import Surroundings

DNS_PORT, POSTGRES_PORT = 53, 5432
INTERNET = [getattr(socket, name) for name in ("AF_INET", "AF_INET6", "AF_NETLINK") if hasattr(socket, name)]


def raise_walls(surroundings: Surroundings) -> None:
    """Confine this process to what training takes. Forks, since lanes are forked.

    SQLite's files are in the data directory, and come and go; of Postgres a trainer needs the cache alone.
    """
    url, data = make_url(surroundings.url), surroundings.data_dir
    if url.get_backend_name() == "sqlite":
        os.environ["SQLITE_TMPDIR"] = str(data)  # what does not fit in memory is no business of /tmp
        files = [Path(url.database).absolute().parent] if url.database else []
        confine(keep=[data, *files], processes=True)
        return
    surroundings.cache.mkdir(parents=True, exist_ok=True)
    read = [*NETWORK, *_named_files(url)]
    families, ports = _connections(url)
    confine(read=read, keep=[surroundings.cache], families=families, ports=ports, processes=True)


def _connections(url: URL) -> tuple[list[int], list[int] | None]:
    """Address families, and TCP ports; None where a service file names them."""
    if "service" in url.query or "PGSERVICE" in os.environ:
        return [socket.AF_UNIX, *INTERNET], None
    hosts = [each for each in (url.host, *_values(url, "host"), os.environ.get("PGHOST")) if each]
    if hosts and all(each.startswith(("/", "@")) for each in hosts):
        return [socket.AF_UNIX], []
    ports = {str(url.port or ""), *_values(url, "port"), *os.environ.get("PGPORT", "").split(",")}
    named = {int(each) for each in ports if each.isdigit()}
    return [socket.AF_UNIX, *INTERNET], sorted(named | {DNS_PORT, POSTGRES_PORT})


def _values(url: URL, name: str) -> list[str]:
    found = url.query.get(name, ())
    return [each for value in ([found] if isinstance(found, str) else found) for each in value.split(",")]


def _named_files(url: URL) -> Iterator[Path]:
    """Certificates, passwords and services of libpq, where it looks for them and where it is told to."""
    home = Path.home()
    yield from (home / name for name in (".postgresql", ".pgpass", ".pg_service.conf"))
    told = [value for name in url.query for value in _values(url, name)]
    told += [value for name, value in os.environ.items() if name.startswith("PG")]
    yield from (Path(each) for each in told if each.startswith("/"))
