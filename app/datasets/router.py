"""Uploading, listing and reading datasets."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Response
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile

from app.datasets import service
from app.datasets.bodies import RAW_TYPES, UPLOAD_BODY
from app.datasets.jail import ParseRequest
from app.datasets.retyping import retype
from app.datasets.schemas import DatasetAnswer, DatasetChange, Status
from app.datasets.storing import Reading
from app.dependencies import (
    DatasetId,
    OnceDep,
    PrincipalDep,
    State,
    StateDep,
    Wait,
    WindowDep,
    created,
    listed,
    media_type,
    need_room,
    rename,
    router,
    with_room,
)
from app.errors import Fault, Invalid, MalformedRequest, UnsupportedMediaType
from app.keys.idempotency import Once
from app.keys.service import Principal
from app.openapi import LABEL_FILTER, QUOTA_REACHED, WAITERS, creates, later, refused
from app.schemas import Page
from app.storage.disk import Disk
from app.storage.paging import page
from app.storage.tables import Dataset
from app.storage.waiting import at_rest

routes = router("/v1/datasets", "datasets")

FORM_CHARSETS = frozenset(
    {b"utf-8", b"utf8", b"us-ascii", b"ascii", b"iso-8859-1", b"latin-1", b"windows-1252"}
)


@routes.post(
    "",
    status_code=201,
    response_model=DatasetAnswer,
    summary="Upload a dataset",
    responses={
        **creates(201, "It is parsed and kept."),
        403: refused(QUOTA_REACHED),
        429: later("As many uploads of this project are under way as may."),
    },
    dependencies=[Depends(need_room)],
    openapi_extra={"requestBody": UPLOAD_BODY},
)
async def create(
    request: Request,
    state: StateDep,
    principal: PrincipalDep,
    once: OnceDep,
    name: Annotated[
        str | None,
        Query(
            max_length=255,
            description="Your name for it; the form's, or the JSON object's, goes before.",
            examples=["penguins"],
        ),
    ] = None,
    shared: Annotated[
        bool | None,
        Query(
            description="Whether every project may read it and train on it: for administrators.",
            examples=[False],
        ),
    ] = None,
) -> Response:
    """Parse a file into typed columns and keep it. Types are inferred from all rows.

    What takes longer than a few seconds is answered as ``processing``: read it with ?wait=.
    """
    with state.admission.under_way(principal.project_id):
        if once.key is None:  # else there may be an answer already
            await run_in_threadpool(state.uploads.foresee, principal)
        said = {key: value for key, value in (("name", name), ("shared", shared)) if value is not None}
        return await _created(request, state, principal, once, said)


async def _created(
    request: Request, state: State, principal: Principal, once: Once, said: dict[str, Any]
) -> Response:
    kind = media_type(request)
    upload = state.uploads.place()
    try:
        if kind == "multipart/form-data":
            _check_charset(request)
            async with with_room(request, state.disk).form(max_files=1, max_fields=10) as form:
                said |= _said(form)
                columns = service.object_in_text(_text(form, "columns"), "columns")
                charset = await run_in_threadpool(_save, form, upload, state.disk)
        elif kind in RAW_TYPES:
            columns, charset = {}, _charset(request.headers["content-type"])
            await _receive(with_room(request, state.disk), upload)
        else:
            raise UnsupportedMediaType(f"Send multipart/form-data with a 'file', or {', '.join(RAW_TYPES)}.")
    except BaseException:
        upload.unlink(missing_ok=True)
        raise
    sent = partial(service.as_sent, upload, dict(said), columns)
    reading = Reading(principal, upload, said, ParseRequest(columns, charset), once)
    return created(await state.readings.create(reading, sent))


def _charset(content_type: str) -> str | None:
    """What is said of a file of text; JSON is UTF-8, whatever is said."""
    kind, options = parse_options_header(content_type)
    said = options.get(b"charset")
    return said.decode("latin-1")[:40] if said and kind.startswith(b"text/") else None


def _check_charset(request: Request) -> None:
    """Raise MalformedRequest for a form in a charset that no form is in."""
    # The form's reader takes any codec of Python: some raise what it does not expect, some take minutes.
    _, options = parse_options_header(request.headers["content-type"])
    if options.get(b"charset", b"utf-8").lower() not in FORM_CHARSETS:
        raise MalformedRequest("The form's charset is not known here. Send it in UTF-8.")


def _text(form: FormData, name: str) -> str | None:
    value = form.get(name)
    if isinstance(value, UploadFile):
        raise Invalid(f"{name}: expected text.", Fault(name, "wrong_type", "Expected text, got a file."))
    return value


def _said(form: FormData) -> dict[str, Any]:
    """What a form says of its file, but for the types of columns."""
    said: dict[str, Any] = {}
    if name := _text(form, "name"):
        said["name"] = name
    if metadata := _text(form, "metadata"):
        said["metadata"] = service.object_in_text(metadata, "metadata")
    if shared := _text(form, "shared"):
        if shared not in ("true", "false"):
            message = "Expected true or false."
            raise Invalid(f"shared: {message}", Fault("shared", "wrong_type", message))
        said["shared"] = shared == "true"
    return said


def _save(form: FormData, upload: Path, disk: Disk) -> str | None:
    """Write the file, and return the charset that is said of it."""
    file = form.get("file")
    if not isinstance(file, UploadFile):
        message = "The form has no whole part 'file' with a file."
        raise Invalid(
            message,
            Fault(
                "file", "missing_field", message, "As curl -F file=@data.csv sends it, with a last boundary."
            ),
        )
    with upload.open("wb") as target:
        while block := file.file.read(1 << 20):
            disk.require(len(block))
            target.write(block)
    return _charset(file.content_type or "")


async def _receive(request: Request, upload: Path) -> None:
    """Stream the body to a file."""
    with upload.open("wb") as target:
        async for block in request.stream():
            target.write(block)  # a local file of the page cache: a hop to a thread would cost more


@routes.get(
    "",
    response_model=Page[DatasetAnswer],
    summary="List datasets",
    response_description="A page of them.",
    openapi_extra=LABEL_FILTER,
)
def listing(
    state: StateDep,
    principal: PrincipalDep,
    window: WindowDep,
    status: Annotated[
        Status | None, Query(description="Only datasets in this state.", examples=["ready"])
    ] = None,
    shared: Annotated[
        bool | None,
        Query(
            description="true: the datasets that are shared with every project, whoever shares them; "
            "false: those of this project that are not.",
            examples=[True],
        ),
    ] = None,
) -> dict[str, Any]:
    """Datasets of this project, newest first; with ?shared=true those that every project may use."""
    if status is not None:
        window = window.narrowed(status=status)
    if shared is False:
        window = window.narrowed(shared=False)
    with state.database.reading() as session:
        rows, more = page(session, Dataset, principal.project_id, window, shared=bool(shared))
        data = [service.answer(principal, row) for row in rows]
    return listed(data, more)


@routes.get(
    "/{dataset_id}",
    response_model=DatasetAnswer,
    summary="Read a dataset",
    response_description="The dataset.",
    responses={429: WAITERS},
)
async def read(
    dataset_id: DatasetId, state: StateDep, principal: PrincipalDep, wait: Wait = 0.0
) -> dict[str, Any]:
    """The dataset's columns and their profile. With ?wait= the answer comes when its file has been read."""

    def look() -> dict[str, Any]:
        with state.database.reading() as session:
            return service.answer(principal, service.get(session, principal, dataset_id, ready=False))

    return await at_rest(look, ("processing",), *state.waits(principal, wait))


@routes.patch(
    "/{dataset_id}",
    response_model=DatasetAnswer,
    summary="Change a dataset",
    response_description="The dataset as it is now.",
    responses={
        409: refused(
            "Jobs of other projects use it: it cannot stop being shared; or jobs have learned from it: its "
            "columns stay as they are."
        )
    },
)
def change(
    dataset_id: DatasetId, body: DatasetChange, state: StateDep, principal: PrincipalDep
) -> dict[str, Any]:
    """Change its name, its metadata, or the types of columns while no job has learned from it; an
    administrator also shares it with every project, or no more.

    Columns are typed anew from the values that are stored: what a number was spelled like is not among them.
    """
    if body.columns:
        parts = state.blobs, state.jail, state.settings.data_dir
        retype(*parts, principal, dataset_id, body.columns)
    with state.database.writing() as session:
        dataset = service.own(session, principal, dataset_id)
        rename(dataset, body)
        if body.shared is not None:
            service.share(session, principal, dataset, body.shared)
        return service.answer(principal, dataset)


@routes.delete(
    "/{dataset_id}",
    status_code=204,
    summary="Delete a dataset",
    response_description="It is deleted.",
    responses={409: refused("An unfinished job uses it.")},
)
def delete(dataset_id: DatasetId, state: StateDep, principal: PrincipalDep) -> None:
    """Refused while an unfinished job uses it; finished jobs keep its SHA-256."""
    with state.database.writing() as session:
        service.delete(session, state.blobs, principal, dataset_id)
