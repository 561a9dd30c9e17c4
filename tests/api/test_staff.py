"""Those who may sign in, and not everything: in their session the API allows them what the admin's pages do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse
from django.utils import timezone
from rest_framework.test import APIClient

from accounts.models import ApiKey, Client
from providers.models import Deployment, Provider
from tests.api.conftest import GPT4

pytestmark = pytest.mark.django_db

SEEN_WITH = {
    "/api/ai-providers": "view_provider",
    "/api/ai-providers/credentials": "view_credential",
    "/api/ai-providers/deployments": "view_deployment",
    "/api/ai-providers/prices": "view_price",
    "/api/ai-providers/exchange-rates": "view_exchangerate",
    "/api/ai-providers/routes": "view_route",
    "/api/ai-providers/metrics": "view_provider",
    "/api/ai-providers/health/check": "view_provider",
    "/api/ai-providers/alerts": "view_incident",
    "/api/ai-providers/statistics/usage": "view_usagerecord",
    "/api/accounts/clients": "view_client",
    "/api/accounts/keys": "view_apikey",
    "/api/accounts/tiers": "view_tier",
    "/api/usage/records": "view_usagerecord",
    "/api/usage/rollups": "view_usagerecord",
    "/api/usage/exports": "view_usagerecord",
    "/api/usage/budgets": "view_budget",
    "/api/alerts/rules": "view_rule",
    "/api/alerts/incidents": "view_incident",
    "/api/alerts/channels": "view_channel",
    "/api/alerts/schedules": "view_reportschedule",
    "/api/alerts/deliveries": "view_delivery",
    "/api/audit": "view_auditentry",
}


def _session(name: str, *granted: str) -> APIClient:
    user = User.objects.create_user(name, password="a-long-password", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=granted))
    assert user.user_permissions.count() == len(granted)
    browser = APIClient()
    browser.force_login(user)
    return browser


@pytest.mark.parametrize(("address", "permission"), SEEN_WITH.items())
def test_a_list_is_seen_with_its_permission_alone(admin: User, address: str, permission: str) -> None:
    everything = APIClient()
    everything.force_login(admin)
    nearly_all = Permission.objects.exclude(codename=permission).values_list("codename", flat=True)

    others = _session("others", *nearly_all.filter(codename__startswith="view_"))
    found = [who.get(address).status_code for who in (_session("bob"), others, _session("eve", permission), everything)]

    assert found == [403, 403, 200, 200]


def test_who_may_only_look_changes_nothing(gpt4: dict[str, Any]) -> None:
    onlooker = _session("eve", *set(SEEN_WITH.values()))
    provider, client = f"/api/ai-providers/{gpt4['id']}", Client.objects.get()

    tried = [
        onlooker.post("/api/accounts/keys", {"client": client.name, "scope": "manage"}, format="json"),
        onlooker.post("/api/ai-providers", GPT4 | {"name": "Mine"}, format="json"),
        onlooker.patch(provider, {"endpoint": "https://example.com/v1"}, format="json"),
        onlooker.put(provider, GPT4, format="json"),
        onlooker.delete(provider),
        onlooker.get(f"{provider}/models"),
        onlooker.post(f"{provider}/models", {"models": ["gpt-4"]}, format="json"),
        onlooker.patch(f"/api/accounts/clients/{client.pk}", {"isActive": False}, format="json"),
    ]

    assert {answer.status_code for answer in tried} == {403}
    assert ApiKey.objects.count() == 1
    assert Provider.objects.get().is_active


def test_each_act_takes_the_permission_of_its_name(gpt4: dict[str, Any]) -> None:
    parts = ("add_credential", "change_credential", "add_deployment", "change_deployment", "add_price")
    provider, body = f"/api/ai-providers/{gpt4['id']}", {"name": "shop"}
    changer = _session("bob", "change_provider", "change_client", *parts)
    maker = _session("eve", "delete_provider", "add_client", *parts)

    told = [
        (who.delete(provider).status_code, who.post("/api/accounts/clients", body, format="json").status_code)
        for who in (changer, maker)
    ]

    assert told == [(403, 403), (204, 201)]


def test_permissions_are_of_no_use_to_who_may_not_sign_in_to_the_admin(db: None) -> None:
    browser = _session("bob", "view_client")
    User.objects.update(is_staff=False)

    assert browser.get("/api/accounts/clients").status_code == 403


def test_a_provider_is_changed_with_all_that_its_body_writes(gpt4: dict[str, Any]) -> None:
    address, body = f"/api/ai-providers/{gpt4['id']}", {"priority": 7}
    parts = ("add_credential", "change_credential", "add_deployment", "change_deployment", "add_price")
    nearly = [each for each in parts if each != "add_deployment"]

    refused = _session("bob", "change_provider", *nearly).patch(address, body | {"model": "gpt-5"}, format="json")

    assert (refused.status_code, Deployment.objects.count()) == (403, 1)
    assert "permissions that your user does not have: providers.add_deployment." in refused.json()["error"]
    assert _session("eve", "change_provider", *parts).patch(address, body, format="json").status_code == 200


@pytest.mark.parametrize(
    ("address", "body", "own", "nested"),
    [
        ("/api/ai-providers/routes", {"name": "smart", "targets": []}, "change_route", "routetarget"),
        ("/api/accounts/tiers", {"name": "gold", "endpoints": []}, "change_tier", "endpointlimit"),
    ],
)
def test_rows_within_a_row_are_replaced_with_their_own_permissions(
    api: APIClient, address: str, body: dict[str, Any], own: str, nested: str
) -> None:
    made = f"{address}/{api.post(address, body, format='json').json()['id']}"
    parts = [f"{verb}_{nested}" for verb in ("add", "change", "delete")]

    assert _session("bob", own, *parts[:2]).patch(made, body, format="json").status_code == 403
    assert _session("eve", own, *parts).patch(made, body, format="json").status_code == 200


def test_who_may_change_a_provider_may_not_add_its_models(gpt4: dict[str, Any]) -> None:
    address = reverse("admin:providers_provider_find_models", args=[gpt4["id"]])

    answer = _session("bob", "change_provider", "view_provider").post(address, {"chosen": ["gpt-4"]})

    assert answer.status_code == 403


def test_no_key_may_do_more_than_who_made_it(db: None) -> None:
    client = Client.objects.create(name="alice")
    bob = _session("bob", "add_apikey", "change_apikey", "view_apikey")
    lesser, _ = ApiKey.mint(client=client, name="lesser")
    form = {"client": client.pk, "name": "mine", "scope": "manage"}

    asked = bob.post("/api/accounts/keys", {"client": "alice", "scope": "manage"}, format="json")
    bob.post(reverse("admin:accounts_apikey_add"), form)
    bob.post(reverse("admin:accounts_apikey_change", args=[lesser.pk]), form | {"is_active": "on"})

    assert asked.status_code == 400
    assert set(asked.json()["fields"]) == {"scope"}
    assert list(ApiKey.objects.values_list("scope", flat=True)) == ["call"]
    assert bob.post("/api/accounts/keys", {"client": "alice", "scope": "call"}, format="json").status_code == 201
    bob.post(reverse("admin:accounts_apikey_add"), form | {"scope": "call"})
    assert ApiKey.objects.filter(name="mine", scope="call").exists()


@pytest.mark.parametrize("is_revoked", [True, False])
def test_a_key_that_may_manage_is_revived_by_who_may_do_everything_alone(admin: User, *, is_revoked: bool) -> None:
    end = timezone.now() + timedelta(days=1)
    key, _ = ApiKey.mint(client=Client.objects.create(name="alice"), scope="manage")
    ApiKey.objects.update(is_active=not is_revoked, expires_at=end)
    url, page = f"/api/accounts/keys/{key.pk}", reverse("admin:accounts_apikey_change", args=[key.pk])
    form = {"name": "mine", "scope": "manage", "is_active": "on", "expires_at_0": "", "expires_at_1": ""}
    bob, everything = _session("bob", "change_apikey", "view_apikey"), APIClient()
    everything.force_login(admin)

    asked = bob.patch(url, {"isActive": True, "expiresAt": None}, format="json")
    shown = bob.post(page, form)

    assert (asked.status_code, list(asked.json()["fields"])) == (400, ["isActive" if is_revoked else "expiresAt"])
    key.refresh_from_db()
    assert (shown.status_code, key.name) == (302, "mine")
    assert (key.is_active, key.expires_at) == (not is_revoked, end.replace(microsecond=0))
    assert bob.patch(url, {"isActive": False, "expiresAt": timezone.now()}, format="json").status_code == 200
    assert everything.patch(url, {"isActive": True, "expiresAt": None}, format="json").status_code == 200


@pytest.mark.parametrize(
    ("days", "asked", "status"),
    [(1, 2, 400), (1, None, 400), (1, 1, 200), (1, 0.5, 200), (None, None, 200), (None, 5, 200)],
)
def test_nor_is_it_usable_for_longer(db: None, days: int | None, asked: float | None, status: int) -> None:
    now = timezone.now()
    end, wanted = (now + timedelta(days=each) if each is not None else None for each in (days, asked))
    key, _ = ApiKey.mint(client=Client.objects.create(name="alice"), scope="manage")
    ApiKey.objects.update(expires_at=end)

    answer = _session("bob", "change_apikey").patch(
        f"/api/accounts/keys/{key.pk}", {"expiresAt": wanted}, format="json"
    )

    key.refresh_from_db()
    assert (answer.status_code, key.expires_at) == (status, wanted if status == 200 else end)


def test_nor_is_it_revived_by_its_client(admin: User) -> None:
    client = Client.objects.create(name="alice", is_active=False)
    ApiKey.mint(client=client, scope="manage")
    url, page = f"/api/accounts/clients/{client.pk}", reverse("admin:accounts_client_change", args=[client.pk])
    form = {"description": "of ours", "is_active": "on"}
    bob, everything = _session("bob", "change_client", "view_client"), APIClient()
    everything.force_login(admin)

    asked = bob.patch(url, {"isActive": True}, format="json")
    shown = bob.post(page, form)

    assert (asked.status_code, list(asked.json()["fields"])) == (400, ["isActive"])
    client.refresh_from_db()
    assert (shown.status_code, client.description, client.is_active) == (302, "of ours", False)
    assert everything.patch(url, {"isActive": True}, format="json").status_code == 200
    assert bob.patch(url, {"isActive": False}, format="json").status_code == 200
    for harmless in ({"is_active": False}, {"is_active": True, "expires_at": timezone.now()}):
        ApiKey.objects.update(**harmless)
        assert bob.patch(url, {"isActive": True}, format="json").status_code == 200
        assert bob.patch(url, {"isActive": False}, format="json").status_code == 200
