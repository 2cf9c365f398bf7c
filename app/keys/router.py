"""API keys, for administrators."""

from typing import Annotated, Any

from fastapi import Path, Query, Response

from app.dependencies import OnceDep, PartDep, PrincipalDep, StateDep, created, listed, router
from app.keys import service
from app.keys.idempotency import Answered
from app.keys.schemas import KeyAnswer, KeyCreate, NewKeyAnswer
from app.openapi import creates, refused
from app.schemas import Page
from app.storage.tables import Key

routes = router("/v1/keys", "keys", role="admin")

KeyId = Annotated[
    str, Path(max_length=64, description="The key's id.", examples=["key_0n5c1k4v8d2s6m9q3x7z1b5f"])
]


def answer(key: Key, project: str) -> dict[str, Any]:
    return {
        "id": key.id,
        "created_at": key.created_at,
        "created_by": key.created_by,
        "name": key.name,
        "project": project,
        "role": key.role,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "last_used_at": key.last_used_at,
    }


@routes.post(
    "",
    status_code=201,
    response_model=NewKeyAnswer,
    summary="Make a key",
    responses=creates(201, "It is made; this is the only sight of its secret."),
)
def create(body: KeyCreate, principal: PrincipalDep, once: OnceDep) -> Response:
    """Make a key for a project, which is made when it is new. The secret is shown once."""

    def make() -> Answered:
        with once.writing() as session:
            key, secret = service.create(
                session,
                name=body.name,
                role=body.role,
                project=body.project,
                created_by=principal.key_id,
                expires_at=body.expires_at,
            )
            content = {**answer(key, body.project), "secret": secret}
            return once.answer(session, f"/v1/keys/{key.id}", content, "secret")

    return created(once.run(body.as_sent, make))


@routes.get("", response_model=Page[KeyAnswer], summary="List keys", response_description="A page of them.")
def listing(
    state: StateDep,
    part: PartDep,
    project: Annotated[
        str | None, Query(max_length=255, description="Only keys of this project.", examples=["biology"])
    ] = None,
) -> dict[str, Any]:
    """Keys of every project, newest first; no secrets."""
    with state.database.reading() as session:
        keys, more = service.listing(session, part, project)
        return listed([answer(*each) for each in keys], more)


@routes.get("/{key_id}", response_model=KeyAnswer, summary="Read a key", response_description="The key.")
def read(key_id: KeyId, state: StateDep) -> dict[str, Any]:
    """Whose it is, what it may do, and when it was used last; not its secret."""
    with state.database.reading() as session:
        return answer(*service.get(session, key_id))


@routes.delete(
    "/{key_id}",
    status_code=204,
    summary="Revoke a key",
    response_description="It is revoked.",
    responses={409: refused("It is the last admin key: nobody could make another.")},
)
def revoke(key_id: KeyId, state: StateDep) -> None:
    """The key is refused within a second. It stays in the list: the audit log names it."""
    with state.database.writing() as session:
        service.revoke(session, key_id)
