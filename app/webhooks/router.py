"""Making and managing webhooks."""

from typing import Annotated, Any

from fastapi import Path, Response

from app.dependencies import OnceDep, PrincipalDep, StateDep, WindowDep, created, listed, rename, router
from app.keys.idempotency import Answered
from app.openapi import LABEL_FILTER, creates
from app.schemas import Page
from app.storage.paging import page
from app.storage.tables import Webhook
from app.webhooks import service
from app.webhooks.schemas import NewWebhookAnswer, WebhookAnswer, WebhookChange, WebhookCreate

routes = router("/v1/webhooks", "webhooks")

WebhookId = Annotated[
    str, Path(max_length=64, description="The webhook's id.", examples=["hook_0n5c1k4v8d2s6m9q3x7z1b5f"])
]


@routes.post(
    "",
    status_code=201,
    response_model=NewWebhookAnswer,
    summary="Make a webhook",
    responses=creates(
        201, "It is made; this is the only sight of its secret.", "Or this server sends no webhooks."
    ),
)
def create(body: WebhookCreate, state: StateDep, principal: PrincipalDep, once: OnceDep) -> Response:
    """Send every event of this project's jobs, from now on, as a signed message (Standard Webhooks)."""

    def make() -> Answered:
        with once.writing() as session:
            webhook, secret = service.create(session, state.settings, principal, body)
            content = {**service.answer(session, webhook), "secret": secret}
            return once.answer(session, f"/v1/webhooks/{webhook.id}", content, "secret")

    return created(once.run(body.as_sent, make))


@routes.get(
    "",
    response_model=Page[WebhookAnswer],
    summary="List webhooks",
    response_description="A page of them.",
    openapi_extra=LABEL_FILTER,
)
def listing(state: StateDep, principal: PrincipalDep, window: WindowDep) -> dict[str, Any]:
    """Webhooks of this project, newest first; no secrets."""
    with state.database.reading() as session:
        rows, more = page(session, Webhook, principal.project_id, window)
        return listed([service.answer(session, row) for row in rows], more)


@routes.get(
    "/{webhook_id}",
    response_model=WebhookAnswer,
    summary="Read a webhook",
    response_description="The webhook.",
)
def read(webhook_id: WebhookId, state: StateDep, principal: PrincipalDep) -> dict[str, Any]:
    """Whether it sends, how many jobs' messages wait, and what went wrong last."""
    with state.database.reading() as session:
        return service.answer(session, service.get(session, principal, webhook_id))


@routes.patch(
    "/{webhook_id}",
    response_model=WebhookAnswer,
    summary="Change a webhook",
    response_description="The webhook as it is now.",
)
def change(
    webhook_id: WebhookId, body: WebhookChange, state: StateDep, principal: PrincipalDep
) -> dict[str, Any]:
    """Change its URL, types, name or metadata; stop it, or let it go on where it stopped."""
    with state.database.writing() as session:
        webhook = service.change(session, state.settings, principal, webhook_id, body)
        rename(webhook, body)
        session.flush()
        state.database.announce(session)
        return service.answer(session, webhook)


@routes.delete(
    "/{webhook_id}", status_code=204, summary="Delete a webhook", response_description="It is deleted."
)
def delete(webhook_id: WebhookId, state: StateDep, principal: PrincipalDep) -> None:
    """What it has not sent yet is not sent any more."""
    with state.database.writing() as session:
        service.delete(session, principal, webhook_id)
