"""Webhooks as clients see them. What is sent, and when, is in `delivery`."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from app.errors import Fault, Invalid, WebhooksDisabled
from app.jobs.answers import EVENT_TYPES
from app.jobs.states import State
from app.keys.service import Principal
from app.settings import Settings
from app.storage import lookup
from app.storage.columns import new_id, now
from app.storage.tables import Job, Project, Webhook, WebhookCursor
from app.webhooks import addresses, signing
from app.webhooks.schemas import WebhookChange, WebhookCreate

MOST = 20
UNSEEN = {"synchronize_session": False}
"""No cursor is loaded: what becomes of them need not be told."""

BY_CLIENT = "A client has stopped it."


def create(
    session: Session, settings: Settings, principal: Principal, asked: WebhookCreate
) -> tuple[Webhook, str]:
    """Make a webhook for every event from now on; return it and its secret, which is not shown again."""
    if not settings.webhooks:
        raise WebhooksDisabled("This server sends no webhooks; its operator can set CHAINRULE_WEBHOOKS=true.")
    _check(settings, asked.url, asked.types)
    # No job is made meanwhile: it would be neither among those that are here nor have a cursor of its own.
    session.execute(sa.select(Project.id).where(Project.id == principal.project_id).with_for_update())
    there = sa.select(sa.func.count()).where(Webhook.project_id == principal.project_id)
    if (session.scalar(there) or 0) >= MOST:
        message = f"A project has at most {MOST} webhooks."
        raise Invalid(message, Fault("url", "out_of_range", message, "Delete one that is not needed."))
    webhook = Webhook(
        id=new_id("hook"),
        project_id=principal.project_id,
        created_by=principal.key_id,
        created_at=now(),
        name=asked.name,
        labels=asked.metadata,
        url=asked.url,
        secret=signing.new_secret(),
        types=sorted(set(asked.types)),
        disabled_because=None,
    )
    session.add(webhook)
    session.flush()
    zero, at_once = sa.literal(0), sa.literal(0.0)
    behind = sa.select(sa.literal(webhook.id), Job.id, Job.event_count, zero, at_once).where(
        Job.project_id == principal.project_id, Job.status.not_in((State.SUCCEEDED, State.CANCELLED))
    )
    columns = ("webhook_id", "job_id", "seq", "attempts", "next_attempt_at")
    session.execute(sa.insert(WebhookCursor).from_select(columns, behind))
    return webhook, webhook.secret


def get(session: Session, principal: Principal, webhook_id: str, *, lock: bool = False) -> Webhook:
    return lookup.get(session, Webhook, principal.project_id, webhook_id, "webhook_id", lock=lock)


def change(
    session: Session, settings: Settings, principal: Principal, webhook_id: str, asked: WebhookChange
) -> Webhook:
    """Apply a PATCH: only the fields that were sent."""
    webhook = get(session, principal, webhook_id, lock=True)
    _check(settings, asked.url or webhook.url, asked.types or webhook.types)
    webhook.url = asked.url or webhook.url
    webhook.types = sorted(set(asked.types or webhook.types))
    if asked.enabled is not None:
        webhook.disabled_because = None if asked.enabled else webhook.disabled_because or BY_CLIENT
        at_once = {"attempts": 0, "next_attempt_at": 0.0}
        cursors = sa.update(WebhookCursor).where(WebhookCursor.webhook_id == webhook.id).values(at_once)
        session.execute(cursors, execution_options=UNSEEN)
    return webhook


def _check(settings: Settings, url: str, types: list[str]) -> None:
    unknown = [index for index, each in enumerate(types) if each not in EVENT_TYPES]
    if unknown:
        message = "There is no such type of event."
        hint = f"The types are {', '.join(EVENT_TYPES)}."
        raise Invalid(
            f"types[{unknown[0]}]: {message}",
            *(Fault(f"types[{index}]", "not_allowed", message, hint) for index in unknown),
        )
    try:
        addresses.parts_of(url, settings.webhook_private)
    except addresses.Refused as refused:
        hint = "An operator can allow private addresses and http with CHAINRULE_WEBHOOK_PRIVATE=true."
        raise Invalid(f"url: {refused}", Fault("url", "not_allowed", str(refused), hint)) from None


def delete(session: Session, principal: Principal, webhook_id: str) -> None:
    """Delete it; what it has not sent yet is not sent any more."""
    webhook = get(session, principal, webhook_id, lock=True)
    cursors = sa.delete(WebhookCursor).where(WebhookCursor.webhook_id == webhook.id)
    session.execute(cursors, execution_options=UNSEEN)
    session.delete(webhook)


def answer(session: Session, webhook: Webhook) -> dict[str, Any]:
    """The webhook as clients see it."""
    mine = WebhookCursor.webhook_id == webhook.id
    failed = sa.select(WebhookCursor.last_error).where(mine, WebhookCursor.last_error.is_not(None))
    waiting = (
        sa.select(sa.func.count())
        .select_from(WebhookCursor)
        .join(Job, Job.id == WebhookCursor.job_id)
        .where(mine, WebhookCursor.seq < Job.event_count)
    )
    return {
        "id": webhook.id,
        "created_at": webhook.created_at,
        "created_by": webhook.created_by,
        "name": webhook.name,
        "metadata": webhook.labels,
        "url": webhook.url,
        "types": webhook.types,
        "enabled": webhook.disabled_because is None,
        "disabled_because": webhook.disabled_because,
        "waiting": session.scalar(waiting) or 0,
        "last_error": session.scalar(failed.limit(1)),
    }
