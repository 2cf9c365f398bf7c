"""Webhooks are off by default, and lead to no private place."""

import pytest

from app.errors import Invalid, WebhooksDisabled
from app.settings import Settings
from app.storage.database import Database
from app.webhooks import service
from app.webhooks.schemas import WebhookChange, WebhookCreate
from tests.support.rows import principal

PUBLIC = WebhookCreate(url="https://example.com")
INSIDE = "https://169.254.169.254/latest"


def test_they_are_off_by_default(database: Database) -> None:
    who = principal(database)
    with pytest.raises(WebhooksDisabled, match="CHAINRULE_WEBHOOKS"), database.writing() as session:
        service.create(session, Settings(), who, PUBLIC)


def test_they_lead_to_no_private_place(database: Database) -> None:
    who, settings = principal(database), Settings(webhooks=True)
    with pytest.raises(Invalid) as refused, database.writing() as session:
        service.create(session, settings, who, WebhookCreate(url=INSIDE))
    assert [each.param for each in refused.value.faults] == ["url"]
    with database.writing() as session:
        webhook_id = service.create(session, settings, who, PUBLIC)[0].id
    with pytest.raises(Invalid), database.writing() as session:
        service.change(session, settings, who, webhook_id, WebhookChange(url=INSIDE))
    with database.reading() as session:
        assert service.get(session, who, webhook_id).url == PUBLIC.url


def test_a_project_has_so_many_and_no_more(database: Database) -> None:
    who, settings = principal(database), Settings(webhooks=True)
    with database.writing() as session:
        for _ in range(service.MOST):
            service.create(session, settings, who, PUBLIC)
    with pytest.raises(Invalid, match="at most"), database.writing() as session:
        service.create(session, settings, who, PUBLIC)
    stranger = principal(database, "another")
    with database.writing() as session:
        service.create(session, settings, stranger, PUBLIC)
