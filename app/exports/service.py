"""Models as files, out and in. What is written is kept in this host's cache; a child writes and reads."""

import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from app import __version__
from app.errors import QuotaReached
from app.exports.formats import FORMATS
from app.exports.workshop import Workshop
from app.keys.idempotency import Answered, Once
from app.keys.service import Principal
from app.models import service as models
from app.projects import quotas
from app.projects.quotas import Quotas
from app.settings import Settings
from app.storage.blobs import Blobs, Staged
from app.storage.columns import new_id, now
from app.storage.disk import Disk
from app.storage.tables import Model

Json = dict[str, Any]


class Export(NamedTuple):
    """A file, what a client is to call it, and what it was tried in."""

    path: Path
    name: str
    media_type: str
    proof: str


class Exports:
    """Writes models into files and reads them back."""

    def __init__(self, blobs: Blobs, disk: Disk, settings: Settings, default: Quotas) -> None:
        self._blobs = blobs
        self._disk = disk
        self._settings = settings
        self._default = default
        self._cache = settings.cache_dir
        self._incoming = (settings.data_dir / "incoming").absolute()
        self._workshop = Workshop(self._incoming)

    def close(self) -> None:
        """End the children that are at work. For good."""
        self._workshop.close()

    def write(self, principal: Principal, model_id: str, name: str) -> Export:
        """The model in that format. Raises NotFound, ExportDiffers, or Invalid where it cannot hold it."""
        made = FORMATS[name]
        with tempfile.TemporaryDirectory(dir=self._incoming) as scratch:
            source, target = Path(scratch, "source"), Path(scratch, "target")
            with self._blobs.database.reading() as session:
                row = models.get(session, principal, model_id)
                document = _document(row)
                place = self._cache / f"{_key(document, name)}.{made.suffix}"
                proof = _kept(place)
                if proof is None:
                    self._disk.require(2 * row.size_bytes)
                    self._blobs.copy(session, row.parameters, source)
            if proof is None:
                proof = self._write(document, name, source, target, place)
        return Export(place, f"{row.id}.{made.suffix}", made.media_type, proof)

    def _write(self, document: Json, name: str, source: Path, target: Path, place: Path) -> str:
        done = self._workshop.do(
            verb="write", format=name, document=document, source=str(source), target=str(target)
        )
        proof: str = done["proof"]
        self._disk.require(target.stat().st_size)
        self._cache.mkdir(parents=True, exist_ok=True)
        _move(target, place)
        target.write_text(proof)
        _move(target, _beside(place))
        return proof

    def place(self) -> Path:
        """Where to write a file that is to be read; whoever asks deletes it."""
        return self._incoming / secrets.token_hex(16)

    def read(self, principal: Principal, upload: Path, kind: str, name: str | None, once: Once) -> Answered:
        """The model in an uploaded file, as a row. Raises Invalid for what is none, and QuotaReached."""
        limits = ("max_hidden_layers", "max_units", "max_parameters")
        asked = {each: getattr(self._settings, each) for each in limits}
        with tempfile.TemporaryDirectory(dir=self._incoming) as scratch:
            target = Path(scratch, "target")
            told = self._workshop.do(
                verb="read", format=kind, source=str(upload), target=str(target), limits=asked
            )
            self._disk.require(target.stat().st_size)
            staged = self._blobs.stage(target)
            try:
                return self._store(principal, told, name, staged, once)
            except QuotaReached:
                with self._blobs.database.writing() as session:
                    self._blobs.discard(session, staged)
                raise

    def _store(
        self, principal: Principal, told: Json, name: str | None, staged: Staged, once: Once
    ) -> Answered:
        row = Model(
            id=new_id("mdl"),
            project_id=principal.project_id,
            created_by=principal.key_id,
            created_at=now(),
            name=name or told["name"],
            labels={},
            job_id=None,
            epoch=None,
            dataset_id=None,
            dataset_sha256=told["dataset_sha256"],
            task=told["task"],
            architecture=told["architecture"],
            training=told["training"],
            encoding=told["encoding"],
            parameter_count=told["parameter_count"],
            parameters=staged.sha256,
            size_bytes=staged.size,
            sha256=told["sha256"],
            cost=None,
            metrics={},
        )
        with once.writing() as session:
            self._blobs.attach(session, staged)
            held = quotas.of(session, principal.project_id, self._default, lock=True)
            quotas.admit_bytes(session, principal.project_id, held, staged.size)
            session.add(row)
            session.flush()
            return once.answer(session, f"/v1/models/{row.id}", models.answer(session, row))


def as_sent(upload: Path, kind: str, name: str | None) -> Callable[[], Json]:
    """What tells one import from another."""

    def sent() -> Json:
        with upload.open("rb") as file:
            return {"file": hashlib.file_digest(file, "sha256").hexdigest(), "kind": kind, "name": name}

    return sent


def _document(row: Model) -> Json:
    """All of a model but its parameters, as JSON values."""
    told = models.described(row)
    return {
        "object": "model_export",
        "version": 1,
        "name": row.name,
        "task": row.task,
        "architecture": row.architecture,
        "training": row.training,
        "encoding": row.encoding,
        "classes": told["classes"],
        "dtype": row.training.get("dtype", "float32"),
        "parameter_count": row.parameter_count,
        "sha256": row.sha256,
        "dataset_sha256": row.dataset_sha256,
        "epoch": row.epoch,
        "cost": row.cost,
        "metrics": row.metrics,
    }


def _key(document: Json, name: str) -> str:
    """One for each content: a model that is renamed, and a newer server, write anew."""
    told = json.dumps([__version__, name, document], sort_keys=True)
    return f"export-{hashlib.sha256(told.encode()).hexdigest()}"


def _beside(place: Path) -> Path:
    return place.with_name(f"{place.name}.proof")


def _kept(place: Path) -> str | None:
    """The proof of a file that is in the cache, which is used, and so not swept for a while; or None."""
    try:
        os.utime(place)
        os.utime(_beside(place))
        return _beside(place).read_text()
    except FileNotFoundError:
        return None


def _move(source: Path, place: Path) -> None:
    """Into the cache, on whatever file system, whole or not at all."""
    partial = place.with_name(f"{place.name}.{secrets.token_hex(4)}")
    try:
        shutil.move(source, partial)
        partial.replace(place)
    finally:
        partial.unlink(missing_ok=True)
