"""What the audit trail sees besides rows that are saved: links, cascades, commands, incidents; how long it is kept."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import DatabaseError, transaction
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import acting
from accounts.audit_keeping import forget
from accounts.models import ApiKey, AuditEntry, Client, Tier
from accounts.tasks import forget_old_changes
from alerts.models import Channel, Incident, Rule
from providers.models import Deployment, Price, Provider

pytestmark = pytest.mark.django_db
SECRET = "sk-test-1234567890abcdef"


@pytest.fixture
def staff() -> Browser:
    browser = Browser()
    browser.force_login(User.objects.create_superuser("anna", password="a-long-password"))
    return browser


@pytest.fixture
def api() -> APIClient:
    _, secret = ApiKey.mint(client=Client.objects.create(name="operations"), name="ci", scope="manage")
    return APIClient(headers={"Authorization": f"Bearer {secret}"})


@pytest.fixture
def incident() -> Incident:
    now = timezone.now()
    facts: dict[str, Any] = {"measure": "error_share", "scope": "provider", "severity": "warning"}
    return Incident.objects.create(
        title="Errors", state="open", value=1, worst=1, limit=1, since=now, seen_at=now, subject="up", **facts
    )


def told(**wanted: Any) -> list[tuple[str, str, str]]:
    rows = AuditEntry.objects.filter(**wanted).order_by("at", "id")
    return [(row.action, row.object_type, row.object_name) for row in rows]


# --- links --------------------------------------------------------------------------------------------------------


def channel(name: str) -> Channel:
    return Channel.objects.create(name=name, kind="email")


def changes_of(row: Any) -> list[Any]:
    return [
        each
        for entry in AuditEntry.objects.filter(object_id=str(row.pk)).order_by("at", "id")
        for each in entry.changes
    ]


def test_links_are_told_by_their_names() -> None:
    mail, pager, other = (channel(name) for name in ("mail", "pager", "other"))
    rule = Rule.objects.create(name="Errors", measure="error_share")

    with acting.commanding("test"):
        rule.channels.add(mail)
        rule.channels.add(mail)
        rule.channels.set([mail, pager])
        rule.channels.remove(mail, other)
        rule.channels.clear()
        rule.channels.clear()

    assert changes_of(rule) == [
        {"field": "channels", "before": "", "after": "mail"},
        {"field": "channels", "before": "mail", "after": "mail, pager"},
        {"field": "channels", "before": "mail, pager", "after": "pager"},
        {"field": "channels", "before": "pager", "after": ""},
    ]


def test_links_are_told_from_their_other_end_too() -> None:
    mail = channel("mail")
    rule = Rule.objects.create(name="Errors", measure="error_share")

    with acting.commanding("test"):
        mail.rules.set([rule])

    assert changes_of(mail) == [{"field": "rules", "before": "", "after": "Errors"}]


def test_links_that_nobody_makes_leave_no_entry() -> None:
    Rule.objects.create(name="Errors", measure="error_share").channels.add(channel("mail"))

    assert told() == []


def test_links_that_an_api_call_makes_are_told_with_its_key(api: APIClient) -> None:
    channel("mail")
    rule = Rule.objects.create(name="Errors", measure="error_share")

    answer = api.patch(f"/api/alerts/rules/{rule.pk}", {"channels": ["mail"]}, format="json")

    assert answer.status_code == 200, answer.content
    assert changes_of(rule) == [{"field": "channels", "before": "", "after": "mail"}]


# --- deletions ----------------------------------------------------------------------------------------------------


def test_what_goes_with_a_deleted_row_is_told() -> None:
    provider = Provider.objects.create(name="Own", slug="own", kind="demo")
    deployment = Deployment.objects.create(provider=provider, name="chat")
    Price.objects.create(deployment=deployment, input_per_million=1, output_per_million=2)

    with acting.commanding("test"):
        provider.delete()

    kinds = sorted((action, kind) for action, kind, _ in told())
    assert kinds == [("deleted", "model"), ("deleted", "price"), ("deleted", "provider")]


def test_what_goes_with_many_deleted_rows_is_told_once() -> None:
    for name in ("gold", "silver"):
        Tier.objects.create(name=name).endpoints.create(endpoint="/v1/llm/generate", requests_per_minute=1)

    with acting.commanding("test"):
        Tier.objects.filter(name__in=["gold", "silver"]).delete()

    assert sorted(kind for _, kind, _ in told()) == ["limit of an endpoint", "limit of an endpoint", "tier", "tier"]


# --- commands -----------------------------------------------------------------------------------------------------


def test_a_command_is_named_and_its_secrets_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("mintkey", client="shop", quiet=True)

    assert {(row.actor_kind, row.actor) for row in AuditEntry.objects.all()} == {("command", "command: mintkey")}
    assert {(action, kind) for action, kind, _ in told()} == {("added", "client"), ("added", "API key")}
    assert capsys.readouterr().out.strip() not in str(list(AuditEntry.objects.values()))
    Tier.objects.create(name="gold")
    assert len(told()) == 2, "after the command nobody acts"


def test_a_command_that_adds_a_provider_says_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    import io
    import sys

    monkeypatch.setattr(sys, "stdin", io.StringIO(SECRET + "\n"))
    call_command(
        "addprovider",
        "--name=Own",
        "--kind=openai",
        "--model=m",
        "--input-price=1",
        "--output-price=2",
        "--api-key-stdin",
    )

    assert ("added", "provider", "Own") in told(actor="command: addprovider")
    assert SECRET not in str(list(AuditEntry.objects.values()))


# --- incidents ----------------------------------------------------------------------------------------------------


def test_who_acknowledges_and_silences_an_incident_is_told(staff: Browser, incident: Incident) -> None:
    page = reverse("admin:alerts_incident_changelist")
    for action in ("acknowledge_all", "silence_all"):
        staff.post(page, {"action": action, "_selected_action": [str(incident.pk)]})

    first, second = AuditEntry.objects.order_by("at", "id")
    assert (first.actor, first.object_name) == ("anna", "Errors: up")
    assert first.changes == [{"field": "state", "before": "open", "after": "acknowledged"}]
    assert [change["field"] for change in second.changes] == ["state", "silenced_until"]


def test_what_the_platform_does_with_an_incident_is_not_told(incident: Incident) -> None:
    Incident.objects.filter(pk=incident.pk).update(state="resolved")

    assert told() == []


# --- keeping ------------------------------------------------------------------------------------------------------


def entry(days_ago: int) -> AuditEntry:
    return AuditEntry.objects.create(
        at=timezone.now() - timedelta(days=days_ago), actor_kind="key", actor="ci", action="added"
    )


def test_old_entries_go_when_they_are_past_keeping(settings: Any) -> None:
    old, kept = entry(8), entry(6)

    settings.AUDIT_RETENTION_DAYS = 0
    forget_old_changes()
    assert AuditEntry.objects.count() == 2

    settings.AUDIT_RETENTION_DAYS = 7
    forget_old_changes()
    forget_old_changes()
    assert list(AuditEntry.objects.all()) == [kept]
    assert old not in AuditEntry.objects.all()


def test_after_the_purge_nobody_deletes_again() -> None:
    entry(8)
    entry(1)
    assert forget(keep_days=7, now=timezone.now()) == 1

    with pytest.raises(DatabaseError), transaction.atomic():
        AuditEntry.objects.all().delete()


# --- many at once -------------------------------------------------------------------------------------------------


def test_every_action_of_a_list_that_changes_rows_is_told(staff: Browser) -> None:
    provider = Provider.objects.create(name="Own", slug="own", kind="demo")
    page = reverse("admin:providers_provider_changelist")
    for action in ("deactivate", "activate"):
        staff.post(page, {"action": action, "_selected_action": [str(provider.pk)]})

    assert [change["after"] for change in changes_of(provider)] == [False, True]
