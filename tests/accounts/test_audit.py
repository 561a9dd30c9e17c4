"""The audit trail: whoever changes something is written down with it, and nobody can take it back."""

from __future__ import annotations

from contextvars import copy_context
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, transaction
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import acting
from accounts.audit import note_count
from accounts.models import ApiKey, AuditEntry, Client, Tier
from core import calling
from providers.models import Credential, Provider

pytestmark = pytest.mark.django_db
SECRET = "sk-test-1234567890abcdef"
GPT4: dict[str, Any] = {
    "name": "OpenAI GPT-4",
    "type": "OPENAI",
    "apiKey": SECRET,
    "model": "gpt-4",
    "pricing": {"inputTokenCost": 0.03, "outputTokenCost": 0.06, "currency": "USD"},
}


@pytest.fixture
def api() -> APIClient:
    _, secret = ApiKey.mint(client=Client.objects.create(name="operations"), name="ci", scope="manage")
    return APIClient(headers={"Authorization": f"Bearer {secret}", "X-Request-ID": "req-1"})


@pytest.fixture
def staff() -> Browser:
    browser = Browser()
    browser.force_login(User.objects.create_superuser("anna", password="a-long-password"))
    return browser


def told(**wanted: Any) -> list[tuple[str, str, str]]:
    rows = AuditEntry.objects.filter(**wanted).order_by("id")
    return [(row.action, row.object_type, row.object_name) for row in rows]


def test_what_nobody_does_leaves_no_entry() -> None:
    Tier.objects.create(name="gold").delete()

    assert told() == []


def test_a_key_that_sets_up_a_provider_is_named_and_the_secret_is_not(api: APIClient) -> None:
    assert api.post("/api/ai-providers", GPT4, format="json").status_code == 201

    assert {row.actor for row in AuditEntry.objects.all()} == {"operations · ci"}
    assert ("added", "provider", "OpenAI GPT-4") in told(actor_kind="key")
    kept = AuditEntry.objects.get(object_type="key")
    assert {"field": "secret", "before": None, "after": "hidden"} in kept.changes
    everything = str(list(AuditEntry.objects.values()))
    assert SECRET not in everything
    assert Credential.objects.get().secret not in everything


def test_the_list_of_it_can_be_narrowed_down_and_nobody_writes_to_it(api: APIClient) -> None:
    tier = api.post("/api/accounts/tiers", {"name": "gold"}, format="json").json()
    api.patch(f"/api/accounts/tiers/{tier['id']}", {"requestsPerHour": 7}, format="json")

    [row] = api.get("/api/audit", {"action": "changed", "objectId": tier["id"]}).json()["results"]

    assert row["changes"] == [{"field": "requests_per_hour", "before": None, "after": 7}]
    assert (row["actorKind"], row["actor"], row["objectType"]) == ("key", "operations · ci", "tier")
    assert api.get("/api/audit", {"actor": "nobody"}).json()["results"] == []
    assert api.get("/api/audit/" + row["id"]).json() == row
    assert api.post("/api/audit", {}, format="json").status_code == 405
    assert api.delete("/api/audit/" + row["id"]).status_code == 405


def test_a_key_that_is_made_is_told_without_what_it_is_known_by(api: APIClient) -> None:
    made = api.post("/api/accounts/keys", {"client": "operations", "name": "new"}, format="json").json()

    changes = {each["field"]: each["after"] for each in AuditEntry.objects.get(object_id=made["id"]).changes}
    assert changes["digest"] == "hidden"
    everything = str(list(AuditEntry.objects.values()))
    assert made["key"] not in everything
    assert ApiKey.objects.get(pk=made["id"]).digest not in everything


def test_what_was_empty_and_stays_so_is_not_told() -> None:
    with acting.commanding("test"):
        Tier.objects.create(name="gold")
        Client.objects.create(name="alice")

    fields = {entry.object_name: {each["field"] for each in entry.changes} for entry in AuditEntry.objects.all()}
    assert fields["gold"] == {"name"}
    assert not {"description", "allowed_models", "requests_per_hour"} & fields["alice"]


def test_what_is_long_is_cut_so_that_every_database_takes_it() -> None:
    models = "d" * 5_000
    with acting.commanding("c" * 300):
        Client.objects.create(name="alice", allowed_models=models)
        note_count("k" * 100, "n" * 300, "what", 1)

    alice = AuditEntry.objects.get(object_name="alice")
    many = AuditEntry.objects.exclude(pk=alice.pk).get()
    told = {each["field"]: each["after"] for each in alice.changes}["allowed_models"]
    assert told == "d" * 1_000 + "…"
    assert [len(each) for each in (many.actor, many.object_type, many.object_name)] == [200, 64, 200]


def test_a_change_is_told_with_the_request_that_made_it(api: APIClient) -> None:
    def served() -> str:
        calling.begin("req-7", "")
        api.post("/api/accounts/tiers", {"name": "gold"}, format="json")
        return AuditEntry.objects.get().request_id

    assert copy_context().run(served) == "req-7"


def test_rows_that_are_left_as_they_are_are_not_told_as_new() -> None:
    gold, silver = Tier.objects.create(name="gold"), Tier(name="silver")
    with acting.commanding("test"):
        Tier.objects.bulk_create([gold, silver], ignore_conflicts=True)

    assert told() == [("added", "tier", "silver")]


def test_what_is_refused_leaves_no_entry(api: APIClient) -> None:
    api.post("/api/accounts/tiers", {"name": "gold", "requestsPerHour": -1}, format="json")

    assert told() == []


def test_what_an_administrator_changes_is_written_with_before_and_after(staff: Browser) -> None:
    client = Client.objects.create(name="shop")

    for description in ("The shop", "The shop"):  # the second time nothing changes
        form = {"name": "shop", "description": description, "is_active": "on"}
        form |= {"keys-TOTAL_FORMS": "0", "keys-INITIAL_FORMS": "0"}
        assert staff.post(reverse("admin:accounts_client_change", args=[client.pk]), form).status_code == 302

    [row] = AuditEntry.objects.all()
    assert (row.actor_kind, row.actor, row.action, row.object_id) == (
        "administrator",
        "anna",
        "changed",
        str(client.pk),
    )
    assert row.changes == [{"field": "description", "before": "", "after": "The shop"}]


def test_a_button_that_changes_many_rows_leaves_an_entry_for_each(staff: Browser) -> None:
    owner = Client.objects.create(name="shop")
    revoked = [ApiKey.mint(client=owner, name=name)[0] for name in ("one", "two")]

    staff.post(
        reverse("admin:accounts_apikey_changelist"),
        {"action": "revoke", "_selected_action": [str(key.pk) for key in revoked]},
    )

    assert sorted(told()) == [("changed", "API key", "shop · one"), ("changed", "API key", "shop · two")]
    assert AuditEntry.objects.all()[0].changes == [{"field": "is_active", "before": True, "after": False}]


def test_a_deletion_says_what_there_was(staff: Browser) -> None:
    tier = Tier.objects.create(name="gold", requests_per_hour=7)

    staff.post(reverse("admin:accounts_tier_delete", args=[tier.pk]), {"post": "yes"})

    [row] = AuditEntry.objects.all()
    assert (row.action, row.object_name) == ("deleted", "gold")
    assert {"field": "requests_per_hour", "before": 7, "after": None} in row.changes


def test_a_change_of_a_user_is_told_without_its_values(staff: Browser) -> None:
    form = {
        "username": "bob",
        "usable_password": "true",
        "password1": "a-long-password",
        "password2": "a-long-password",
    }

    assert staff.post(reverse("admin:auth_user_add"), form).status_code == 302

    assert told() == [("added", "user", "bob")]


def test_the_database_refuses_to_change_or_delete_an_entry(api: APIClient) -> None:
    api.post("/api/accounts/tiers", {"name": "gold"}, format="json")

    for attempt in (AuditEntry.objects.all().delete, lambda: AuditEntry.objects.update(actor="nobody")):
        with pytest.raises(DatabaseError), transaction.atomic():
            attempt()
    assert told() == [("added", "tier", "gold")]


def test_amounts_and_times_read_as_on_other_pages_and_long_values_are_cut_on_the_list(staff: Browser) -> None:
    changes = [
        {"field": "input_per_million", "before": None, "after": "2.5000000000"},
        {"field": "starts_at", "before": None, "after": "2026-11-01 00:00:00+00:00"},
        {"field": "price", "before": None, "after": "x" * 500},
    ]
    AuditEntry.objects.create(
        actor_kind="user", actor="anna", action="added", object_type="price", object_name="m", changes=changes
    )

    page = staff.get(reverse("admin:accounts_auditentry_changelist")).content.decode()

    assert "input per million: 2.5<" in page
    assert "starts: 1 Nov 2026, 00:00<" in page
    assert "x" * 100 not in page


def test_the_page_reads_like_a_story(staff: Browser) -> None:
    provider = Provider.objects.create(name="Own", slug="own", kind="demo")
    staff.post(
        reverse("admin:providers_provider_changelist"),
        {"action": "deactivate", "_selected_action": [str(provider.pk)]},
    )

    page = staff.get(reverse("admin:accounts_auditentry_changelist")).content.decode()

    assert "is active: yes → no" in page
    assert "anna" in page
    assert staff.get(reverse("admin:accounts_auditentry_change", args=[AuditEntry.objects.get().pk])).status_code == 200


@pytest.mark.parametrize(
    ("zone", "at"), [("Europe/Berlin", "0001-01-01T00:00:00"), ("America/Los_Angeles", "9999-12-31T23:59:59")]
)
def test_a_time_that_some_clock_cannot_tell_is_refused_by_the_api_by_name(api: APIClient, zone: str, at: str) -> None:
    with timezone.override(ZoneInfo(zone)):
        for name in ("start", "end"):
            answer = api.get("/api/audit", {name: at})
            assert (answer.status_code, list(answer.json()["fields"])) == (400, [name])
        made = api.post("/api/accounts/keys", {"client": "operations", "expiresAt": at}, format="json")
        assert (made.status_code, list(made.json()["fields"])) == (400, ["expiresAt"])
