"""API keys: the secret is shown exactly once."""

from __future__ import annotations

import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.test import Client as Browser
from django.urls import reverse

from accounts import keys
from accounts.models import ApiKey, Client

ADD = "/admin/accounts/apikey/add/"


def make(staff: Browser) -> tuple[ApiKey, str]:
    """A key made on the page, and what the page after it shows."""
    client, _ = Client.objects.get_or_create(name="shop")
    answer = staff.post(ADD, {"client": client.pk, "name": "production", "scope": "call"})
    key = ApiKey.objects.latest("created_at")
    assert answer["Location"] == reverse("admin:accounts_apikey_secret", args=[key.pk])
    shown = staff.get(answer["Location"])
    assert "no-store" in shown["Cache-Control"]
    return key, shown.content.decode()


def test_the_secret_is_shown_exactly_once(staff: Browser) -> None:
    key, page = make(staff)

    found = re.search(r'<pre id="secret"[^>]*>(aip_[^<]+)</pre>', page)
    assert found is not None
    secret = found[1]
    assert keys.digest(secret) == key.digest
    assert f"Bearer {secret}" in page

    for url in (
        reverse("admin:accounts_apikey_secret", args=[key.pk]),
        reverse("admin:accounts_apikey_change", args=[key.pk]),
        reverse("admin:accounts_apikey_changelist"),
        reverse("admin:accounts_client_change", args=[key.client_id]),
        reverse("admin:accounts_apikey_history", args=[key.pk]),
        "/admin/",
    ):
        again = staff.get(url)
        assert again.status_code == 200
        assert secret not in again.content.decode()
    assert secret not in " ".join(f"{entry.object_repr} {entry.change_message}" for entry in LogEntry.objects.all())


def test_a_key_that_would_be_expired_from_the_start_is_refused(staff: Browser) -> None:
    client = Client.objects.create(name="shop")
    past = {"client": client.pk, "scope": "call", "expires_at_0": "2020-01-01", "expires_at_1": "00:00"}
    answer = staff.post("/admin/accounts/apikey/add/", past)
    assert "This is in the past" in answer.content.decode()
    assert not ApiKey.objects.exists()


def test_the_waiting_secret_lies_encrypted_in_the_session(staff: Browser) -> None:
    client = Client.objects.create(name="shop")
    staff.post(ADD, {"client": client.pk, "name": "", "scope": "call"})
    held = Session.objects.get().get_decoded()["fresh_api_key"]
    assert held[1].startswith("gAAAA")
    assert keys.PREFIX not in str(held)


def test_somebody_elses_session_does_not_show_it(staff: Browser) -> None:
    client = Client.objects.create(name="shop")
    staff.post(ADD, {"client": client.pk, "name": "", "scope": "call"})
    other = Browser()
    other.force_login(User.objects.create_superuser("other", "", "a-long-password"))
    page = other.get(reverse("admin:accounts_apikey_secret", args=[ApiKey.objects.get().pk])).content.decode()
    assert "shown once" in page
    assert 'id="secret"' not in page


def test_changing_a_key_leaves_its_secret_alone(staff: Browser) -> None:
    key, _ = make(staff)
    url = reverse("admin:accounts_apikey_change", args=[key.pk])
    staff.post(url, {"name": "staging", "scope": "call", "is_active": "on"})
    changed = ApiKey.objects.get()
    assert (changed.name, changed.digest, changed.client_id) == ("staging", key.digest, key.client_id)


def test_a_key_is_revoked_by_its_row_and_in_bulk(staff: Browser) -> None:
    first, _ = make(staff)
    second, _ = make(staff)
    url = reverse("admin:accounts_apikey_revoke_one", args=[first.pk])
    assert staff.get(url).status_code == 405
    staff.post(url)
    assert ApiKey.objects.filter(is_active=False).get() == first
    staff.post("/admin/accounts/apikey/", {"action": "revoke", "_selected_action": [str(second.pk)]})
    assert not ApiKey.objects.filter(is_active=True).exists()
    assert "Revoked" in staff.get("/admin/accounts/apikey/").content.decode()


@pytest.mark.parametrize("permission", [None, "view_apikey"])
def test_who_may_not_change_keys_revokes_none_and_sees_none_that_he_may_not(
    staff: Browser, permission: str | None
) -> None:
    key, _ = make(staff)
    onlooker = User.objects.create_user("eve", password="a-long-password", is_staff=True)
    onlooker.user_permissions.set(Permission.objects.filter(codename=permission))
    browser = Browser()
    browser.force_login(onlooker)

    one = browser.post(reverse("admin:accounts_apikey_revoke_one", args=[key.pk]))
    browser.post("/admin/accounts/apikey/", {"action": "revoke", "_selected_action": [str(key.pk)]})
    shown = browser.get(reverse("admin:accounts_apikey_secret", args=[key.pk]))

    key.refresh_from_db()
    assert (one.status_code, key.is_active) == (403, True)
    assert (shown.status_code, key.prefix in shown.content.decode()) == ((200, True) if permission else (302, False))


def test_a_clients_page_leads_to_a_new_key_for_it(staff: Browser) -> None:
    client = Client.objects.create(name="shop")
    answer = staff.get(reverse("admin:accounts_client_new_key", args=[client.pk]), follow=True)
    assert f'<option value="{client.pk}" selected' in answer.content.decode()
