"""Sending a large file in parts, and going on where a connection was lost."""

import asyncio
import contextlib
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response
from fastapi import Path as PathParam
from starlette.requests import ClientDisconnect

from app.audit.acting import acting, current
from app.datasets.jail import ParseRequest
from app.datasets.schemas import DatasetAnswer
from app.datasets.storing import Reading
from app.dependencies import (
    OnceDep,
    PrincipalDep,
    State,
    StateDep,
    WindowDep,
    created,
    listed,
    media_type,
    need_room,
    router,
    with_room,
)
from app.errors import NotFound, TooLarge, UnsupportedMediaType
from app.keys.service import Principal
from app.openapi import LABEL_FILTER, creates, later, refused
from app.schemas import Page
from app.storage.paging import page
from app.storage.tables import Upload
from app.uploads import service
from app.uploads.schemas import UploadAnswer, UploadCreate
from app.uploads.service import Part

routes = router("/v1/uploads", "uploads")

BLOCK = 1 << 20
TYPES = ("application/octet-stream", "application/partial-upload")

UploadId = Annotated[
    str, PathParam(max_length=64, description="The upload's id.", examples=["upl_0n5c1k4v8d2s6m9q3x7z1b5f"])
]
OFFSET: dict[str, Any] = {
    "Upload-Offset": {
        "description": "Bytes that are here for good: where the next part begins.",
        "schema": {"type": "string", "examples": ["16777216"]},
    }
}
PART: dict[str, Any] = {
    "required": True,
    "description": "The bytes from Upload-Offset on, as many as you like.",
    "content": {kind: {"schema": {"type": "string", "contentMediaType": kind}} for kind in TYPES},
}


@routes.post(
    "",
    status_code=201,
    response_model=UploadAnswer,
    summary="Begin an upload in parts",
    responses={
        **creates(201, "Its parts may come."),
        403: refused("The role is too low; or the project has as much as it may, and quota names the limit."),
        429: later("As many uploads of this project are under way as may."),
    },
    dependencies=[Depends(need_room)],
)
def create(body: UploadCreate, state: StateDep, principal: PrincipalDep, once: OnceDep) -> Response:
    """Say how large a file is; then send it with PATCH, in one or more parts, and complete it.

    One that nothing is added to for 24 hours is deleted.
    """
    settings = state.settings
    parts = state.database, state.files, state.disk, state.quotas
    limits = settings.max_uploads_per_project, settings.max_upload_bytes
    make = partial(service.create, *parts, *limits, principal, body, once)
    return created(once.run(body.as_sent, make))


@routes.get(
    "",
    response_model=Page[UploadAnswer],
    summary="List uploads",
    response_description="A page of them.",
    openapi_extra=LABEL_FILTER,
)
def listing(state: StateDep, principal: PrincipalDep, window: WindowDep) -> dict[str, Any]:
    """Files of this project that come in parts, newest first; what is complete is a dataset."""
    with state.database.reading() as session:
        rows, more = page(session, Upload, principal.project_id, window)
        return listed([service.answer(row) for row in rows], more)


@routes.get(
    "/{upload_id}",
    response_model=UploadAnswer,
    summary="Read an upload",
    response_description="The upload; its offset says where to go on.",
    responses={200: {"headers": OFFSET}},
)
def read(upload_id: UploadId, response: Response, state: StateDep, principal: PrincipalDep) -> dict[str, Any]:
    """How much of the file is here: where to go on after a lost connection."""
    with state.database.reading() as session:
        found = service.answer(service.get(session, principal, upload_id))
    response.headers["Upload-Offset"] = str(found["offset"])
    return found


@routes.patch(
    "/{upload_id}",
    response_model=UploadAnswer,
    summary="Send a part",
    response_description="The upload, with what has come.",
    responses={
        200: {"headers": OFFSET},
        409: refused("Another offset is next, another request is adding to it, or another host has it."),
        413: refused("There is more than the upload was to have; nothing of the part is kept."),
    },
    openapi_extra={"requestBody": PART},
)
async def append(
    upload_id: UploadId,
    request: Request,
    response: Response,
    state: StateDep,
    principal: PrincipalDep,
    upload_offset: Annotated[
        str,
        Header(
            pattern="^[0-9]{1,15}$",
            description="Where in the file this part begins.",
            examples=["16777216"],
        ),
    ],
) -> dict[str, Any]:
    """Add bytes from Upload-Offset on. What came before a connection was lost is kept: read the offset."""
    if media_type(request) not in TYPES:
        raise UnsupportedMediaType(f"Send {' or '.join(TYPES)}.")
    known = await asyncio.to_thread(_known, state, principal, upload_id)
    with service.appending(state.files, known) as file:
        part = await asyncio.to_thread(
            service.next_part, state.database, state.files, principal, upload_id, int(upload_offset)
        )
        found = await _append(with_room(request, state.disk), file, part, state, principal)
    response.headers["Upload-Offset"] = str(found["offset"])
    return found


def _known(state: State, principal: Principal, upload_id: str) -> str:
    """The id, of an upload of this project's, whose file may be opened. Raises NotFound."""
    with state.database.reading() as session:
        upload = service.get(session, principal, upload_id)
    service.check_host(state.files, upload)
    return upload.id


async def _append(
    request: Request, file: int, part: Part, state: State, principal: Principal
) -> dict[str, Any]:
    """Write what comes, and confirm what is on the disk, also where no more comes."""
    os.ftruncate(file, part.offset)  # beyond it is what was never confirmed
    os.lseek(file, part.offset, os.SEEK_SET)
    count = 0

    def keep() -> dict[str, Any]:
        os.fsync(file)
        return service.confirm(state.database, principal, part, count)

    try:
        async for block in request.stream():
            if part.offset + count + len(block) > part.size:
                raise TooLarge(f"The upload was to have {part.size} bytes, and this part goes beyond.")
            count += os.write(file, block)
    except TooLarge:
        raise
    except (ClientDisconnect, Exception):
        if count:
            await asyncio.to_thread(keep)
        raise
    return await asyncio.to_thread(keep)


@routes.post(
    "/{upload_id}/complete",
    status_code=201,
    response_model=DatasetAnswer,
    summary="Complete an upload",
    responses={
        **creates(201, "The file is a dataset, or is being read as one.", "Or some of it is still to come."),
        403: refused("The role is too low; or the project has as much as it may, and quota names the limit."),
        429: later("As many uploads of this project are under way as may."),
    },
    dependencies=[Depends(need_room)],
)
async def complete(upload_id: UploadId, state: StateDep, principal: PrincipalDep, once: OnceDep) -> Response:
    """Read the file as a dataset. Where it is none the upload stays, to be deleted."""
    with state.admission.under_way(principal.project_id):
        known = await asyncio.to_thread(once.look_up, lambda: {"upload": upload_id})
        if known is not None:
            return created(known)
        find = partial(service.whole, state.database, state.files, principal, upload_id)
        upload = await asyncio.to_thread(find)
        place = state.uploads.place()
        await asyncio.to_thread(_link, state.files.path(upload.id), place, upload)
        said = {"name": upload.name, "metadata": upload.labels, "shared": upload.shared}
        request = ParseRequest(upload.columns, upload.charset)
        reading = Reading(principal, place, said, request, once)
        act = current()
        made = None if act is None else replace(act, verb="create", collection="datasets", object_id=None)
        with acting(made):
            answered = await state.readings.create(reading, lambda: {"upload": upload_id})
        with contextlib.suppress(NotFound):  # another request was faster
            await asyncio.to_thread(service.delete, state.database, state.files, principal, upload_id)
        return created(answered)


def _link(path: Path, place: Path, upload: Upload) -> None:
    """A second name for the file, for whoever reads it: the first stays until it is known to be a dataset."""
    service.check_sha256(path, upload)
    os.link(path, place)


@routes.delete(
    "/{upload_id}",
    status_code=204,
    summary="Delete an upload",
    response_description="It is deleted.",
)
def delete(upload_id: UploadId, state: StateDep, principal: PrincipalDep) -> None:
    """Delete what has come of the file."""
    service.delete(state.database, state.files, principal, upload_id)
