"""Pages for people: by their clock, in plain words, and with a way on where there is nothing."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from importlib import import_module
from zoneinfo import ZoneInfo

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission, User
from django.test import Client as Browser
from django.urls import reverse

from accounts.models import ApiKey, AuditEntry, Client
from aiplatform import reader_zone
from providers.models import Deployment, Price, Provider
from usage.models import Budget, BudgetWindow

pytestmark = pytest.mark.django_db
_MOMENT = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)


@pytest.fixture
def model() -> Deployment:
    provider = Provider.objects.create(name="Ours", slug="ours", kind="demo")
    return Deployment.objects.create(provider=provider, name="large")


def _price(model: Deployment, currency: str, rate: int) -> Price:
    return Price.objects.create(
        deployment=model,
        currency=currency,
        valid_from=_MOMENT,
        input_per_million=Decimal(rate),
        output_per_million=Decimal(rate),
    )


def _page(browser: Browser, name: str, *args: object) -> str:
    answer = browser.get(reverse(name, args=args))
    assert answer.status_code == 200
    return answer.content.decode()


def test_times_are_those_of_the_readers_clock(staff: Browser, model: Deployment) -> None:
    _price(model, "USD", 1)
    assert "31 Jan 2026, 23:30" in _page(staff, "admin:providers_price_changelist")

    staff.cookies[reader_zone.COOKIE] = "Asia/Tokyo"
    page = _page(staff, "admin:providers_price_changelist")

    assert "1 Feb 2026, 08:30" in page
    assert "Times: Asia/Tokyo" in page


def test_the_sign_in_page_has_the_browser_say_its_time_zone_for_the_first_page_after_it(db: None) -> None:
    scripts = re.findall(r'<script src="([^"]+)"', Browser().get(reverse("admin:login")).content.decode())

    assert any("aiplatform/admin" in script for script in scripts)


def test_a_time_is_taken_by_the_readers_clock(staff: Browser, model: Deployment) -> None:
    staff.cookies[reader_zone.COOKIE] = "Asia/Tokyo"
    given = {"deployment": model.pk, "valid_from_0": "2026-02-01", "valid_from_1": "08:30", "currency": "USD"}
    tiers = {"tiers-TOTAL_FORMS": "0", "tiers-INITIAL_FORMS": "0"}
    rates = {"input_per_million": "1", "output_per_million": "2"}

    answer = staff.post(reverse("admin:providers_price_add"), given | tiers | rates)

    assert answer.status_code == 302, answer.content.decode()
    assert Price.objects.get().valid_from == _MOMENT


@pytest.mark.parametrize("name", ["", "Mars/Base", "../etc/passwd", "/etc/passwd", "a" * 5_000, "."])
def test_what_names_no_zone_changes_nothing(staff: Browser, name: str) -> None:
    staff.cookies[reader_zone.COOKIE] = name

    assert "Times: UTC" in _page(staff, "admin:index")


def test_a_budgets_period_begins_by_its_own_midnight(staff: Browser) -> None:
    Client.objects.create(name="alice")
    form = {"name": "Search", "scope": "client", "client": "alice", "cap_pico": "5", "period": "month"}
    more = {"time_zone": "Asia/Tokyo", "is_active": "on", "windows-TOTAL_FORMS": "0", "windows-INITIAL_FORMS": "0"}
    staff.cookies[reader_zone.COOKIE] = "America/New_York"
    assert staff.post(reverse("admin:usage_budget_add"), form | more | {"count_so_far": "on"}).status_code == 302

    page = _page(staff, "admin:usage_budget_change", Budget.objects.get().pk)

    begun = BudgetWindow.objects.get().starts_at.astimezone(ZoneInfo("Asia/Tokyo"))
    assert f">1 {begun:%b %Y}<" in page
    assert "A client: alice" in page


def test_amounts_of_two_currencies_are_not_compared(staff: Browser, model: Deployment) -> None:
    _price(model, "USD", 1)
    other = Deployment.objects.create(provider=model.provider, name="small")
    _price(other, "EUR", 3)

    assert "3 EUR, $1" in _page(staff, "admin:providers_provider_changelist")


def test_who_is_made_a_user_can_sign_in(staff: Browser) -> None:
    password = "a-long-password-9"
    given = {"username": "bea", "email": "bea@example.com", "password1": password, "password2": password}

    assert staff.post(reverse("admin:auth_user_add"), given).status_code == 302

    user = User.objects.get(username="bea")
    assert (user.is_staff, user.is_superuser) == (True, False)
    assert Browser().login(username="bea", password=password)
    page = _page(staff, "admin:auth_user_change", user.pk)
    assert "argon2" not in page
    assert reverse("admin:auth_user_password_change", args=[user.pk]) in page


def test_who_may_change_users_makes_nobody_mightier(staff: Browser) -> None:
    bob = User.objects.create_user("bob", password="a-long-password", is_staff=True)
    bob.user_permissions.set(Permission.objects.filter(content_type__app_label="auth", codename__endswith="_user"))
    browser, admin = Browser(), User.objects.get(username="admin")
    browser.force_login(bob)
    form = {"username": "bob", "is_active": "on", "is_staff": "on", "is_superuser": "on"}
    every = {"user_permissions": list(Permission.objects.values_list("pk", flat=True))}
    password = {"password1": "another-long-word-9", "password2": "another-long-word-9"}

    changed = browser.post(reverse("admin:auth_user_change", args=[bob.pk]), form | every | {"first_name": "Bob"})
    taken = browser.post(reverse("admin:auth_user_password_change", args=[admin.pk]), password)
    deleted = browser.post(reverse("admin:auth_user_delete", args=[admin.pk]), {"post": "yes"})
    browser.post(reverse("admin:auth_user_add"), {"username": "eve", "is_superuser": "on"} | password)

    bob.refresh_from_db()
    assert changed.status_code == 302
    assert (bob.first_name, bob.is_superuser, bob.user_permissions.count()) == ("Bob", False, 4)
    assert (taken.status_code, deleted.status_code) == (403, 403)
    assert list(User.objects.filter(is_superuser=True)) == [admin]


@pytest.mark.parametrize("by_group", [True, False])
@pytest.mark.parametrize("is_active", [True, False])
def test_who_may_change_users_becomes_nobody_who_may_what_he_may_not(
    staff: Browser, *, by_group: bool, is_active: bool
) -> None:
    of_users = Permission.objects.filter(content_type__app_label="auth", codename__endswith="_user")
    more = Permission.objects.filter(codename="change_credential")
    bob, carol, dave = (
        User.objects.create_user(
            name, password="a-long-password", is_staff=True, is_active=name != "carol" or is_active
        )
        for name in ("bob", "carol", "dave")
    )
    bob.user_permissions.set(of_users)
    dave.user_permissions.set(of_users)
    if by_group:
        group = Group.objects.create(name="Operators")
        group.permissions.set(more)
        carol.groups.add(group)
    else:
        carol.user_permissions.set(more)
    browser = Browser()
    browser.force_login(bob)
    password = {"password1": "another-long-word-9", "password2": "another-long-word-9"}
    form = {"username": "carol", "email": "bob@example.com", "is_active": "on", "is_staff": "on"}
    listed = reverse("admin:auth_user_changelist")
    chosen = {"action": "delete_selected", "_selected_action": [carol.pk, dave.pk], "post": "yes"}

    refused = [
        browser.post(reverse("admin:auth_user_password_change", args=[carol.pk]), password),
        browser.post(reverse("admin:auth_user_change", args=[carol.pk]), form),
        browser.post(reverse("admin:auth_user_delete", args=[carol.pk]), {"post": "yes"}),
        browser.post(listed, chosen),
    ]
    allowed = browser.post(reverse("admin:auth_user_password_change", args=[dave.pk]), password)

    assert [answer.status_code for answer in (*refused, allowed)] == [403, 403, 403, 403, 302]
    assert User.objects.get(username="carol").check_password("a-long-password")
    assert User.objects.get(username="dave").check_password("another-long-word-9")


def test_who_may_change_groups_does_not_widen_his_own(staff: Browser) -> None:
    group = Group.objects.create(name="Readers")
    bob = User.objects.create_user("bob", password="a-long-password", is_staff=True)
    bob.groups.add(group)
    bob.user_permissions.set(Permission.objects.filter(content_type__app_label="auth", codename__endswith="_group"))
    browser = Browser()
    browser.force_login(bob)
    of_providers = Permission.objects.filter(content_type__app_label="providers", codename__contains="provider")
    every = {"name": "Readers", "permissions": list(of_providers.values_list("pk", flat=True))}

    answer = browser.post(reverse("admin:auth_group_change", args=[group.pk]), every)

    assert (answer.status_code, group.permissions.count()) == (403, 0)
    assert browser.get(reverse("admin:auth_group_changelist")).status_code == 200
    staff.post(reverse("admin:auth_group_change", args=[group.pk]), every)
    assert group.permissions.count() == len(every["permissions"])


def test_permissions_that_allow_nothing_are_not_offered(staff: Browser) -> None:
    page = staff.get(reverse("admin:auth_group_add")).content.decode()

    assert "Can view provider" in page
    assert "Can add guesses" not in page
    assert "Can delete session" not in page


def test_the_api_reference_asks_people_to_sign_in(staff: Browser) -> None:
    answer = Browser().get(reverse("docs"), headers={"Accept": "text/html"})

    assert (answer.status_code, answer["Location"]) == (302, f"/admin/login/?next={reverse('docs')}")
    assert _page(staff, "docs")


def test_what_is_not_there_says_so_and_leads_home(staff: Browser) -> None:
    answer = staff.get("/admin/nothing/")

    assert answer.status_code == 404
    assert "There is no such page" in answer.content.decode()


def test_a_form_from_another_address_is_told_which_setting_names_it() -> None:
    answer = Browser(enforce_csrf_checks=True).post(reverse("admin:login"), {"username": "admin"})

    assert answer.status_code == 403
    assert "CSRF_TRUSTED_ORIGINS" in answer.content.decode()


def test_no_script_and_no_other_site_gets_at_a_session(db: None) -> None:
    User.objects.create_superuser("bea", password="a-long-password-9")
    browser = Browser()

    browser.post(reverse("admin:login"), {"username": "bea", "password": "a-long-password-9"})

    cookie = browser.cookies["sessionid"]
    assert (cookie["httponly"], cookie["samesite"]) == (True, "Lax")


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("k7#Qz-9!x", "at least 10 characters"),
        ("password123", "too common"),
        ("barbara.miller", "too similar to the username"),
    ],
)
def test_a_password_that_is_soon_guessed_is_refused(staff: Browser, password: str, why: str) -> None:
    barbara = User.objects.create_user("barbara.miller", password="a-long-password-9", is_staff=True)
    given = {"password1": password, "password2": password}

    page = staff.post(reverse("admin:auth_user_password_change", args=[barbara.pk]), given)

    assert why in page.content.decode()
    barbara.refresh_from_db()
    assert barbara.check_password("a-long-password-9")


def test_what_cannot_be_deleted_says_why_and_what_to_do_instead(staff: Browser, filled: None) -> None:
    client = Client.objects.get(name="mobile-app")

    page = _page(staff, "admin:accounts_client_delete", client.pk)

    assert "“mobile-app” cannot be deleted" in page
    assert "mobile-app · production" in page
    assert "Switch it off instead" in page


def test_the_audit_trail_writes_no_amount_in_exponents(staff: Browser, model: Deployment) -> None:
    form = {"deployment": model.pk, "input_per_million": "0", "output_per_million": "0.0000001", "currency": "USD"}
    staff.post(reverse("admin:providers_price_add"), form | {"tiers-TOTAL_FORMS": 0, "tiers-INITIAL_FORMS": 0})

    page = _page(staff, "admin:accounts_auditentry_change", AuditEntry.objects.get(object_type="price").pk)

    assert "output per million: 0.0000001<" in page
    assert "E-" not in page


def test_a_history_leads_to_what_commands_and_the_api_did(staff: Browser) -> None:
    client = Client.objects.create(name="alice")

    page = _page(staff, "admin:accounts_client_history", client.pk)

    assert f"{reverse('admin:accounts_auditentry_changelist')}?q={client.pk}" in page
    assert _page(staff, "admin:accounts_auditentry_changelist")


def test_a_rule_and_a_report_for_nobody_are_refused_at_their_fields(staff: Browser, model: Deployment) -> None:
    watched = {"name": "Mine", "measure": "cost", "limit": "5", "scope": "provider", "severity": "info"}
    more = {"window_minutes": "15", "minimum_calls": "0", "for_minutes": "0", "time_zone": "UTC"}

    rule = staff.post(reverse("admin:alerts_rule_add"), watched | more | {"subject": "Ours"}).content.decode()
    report = staff.post(reverse("admin:alerts_reportschedule_add"), {"name": "X", "client": "bob"}).content.decode()

    assert "There is no provider “Ours”. There is: ours." in rule
    assert "There is no client “bob”. There is: admin." in report


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Los_Angeles"])
def test_what_was_kept_before_the_bound_of_times_is_shown_to_readers_everywhere(
    staff: Browser, model: Deployment, zone: str
) -> None:
    client = Client.objects.create(name="alice")
    for moment in (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)):
        ApiKey.objects.create(client=client, digest=str(moment), expires_at=moment)
        price = _price(model, "USD", 1)
        Price.objects.filter(pk=price.pk).update(valid_from=moment)
    staff.cookies[reader_zone.COOKIE] = zone

    _page(staff, "admin:providers_price_changelist")
    _page(staff, "admin:providers_deployment_change", model.pk)
    _page(staff, "admin:accounts_apikey_changelist")
    import_module("accounts.migrations.0007_times_that_every_clock_can_tell").bring_within_bounds(apps, None)
    for key in ApiKey.objects.all():
        _page(staff, "admin:accounts_apikey_change", key.pk)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Los_Angeles"])
@pytest.mark.parametrize("at", [("9999-12-31", "23:59"), ("0001-01-01", "00:00"), ("1970-12-30", "23:59")])
def test_a_time_that_some_clock_cannot_tell_is_refused_by_name(
    staff: Browser, model: Deployment, zone: str, at: tuple[str, str]
) -> None:
    alice = Client.objects.create(name="alice")
    key = {"client": alice.pk, "scope": "call", "expires_at_0": at[0], "expires_at_1": at[1]}
    price = {"deployment": model.pk, "valid_from_0": at[0], "valid_from_1": at[1], "currency": "USD"}
    rates = {"input_per_million": "1", "output_per_million": "2"}
    tiers = {"tiers-TOTAL_FORMS": "0", "tiers-INITIAL_FORMS": "0"}
    staff.cookies[reader_zone.COOKIE] = zone

    answers = [
        staff.post(reverse("admin:accounts_apikey_add"), key),
        staff.post(reverse("admin:providers_price_add"), price | rates | tiers),
    ]

    for answer in answers:
        assert answer.status_code == 200
        assert "Choose a time between the years 1971 and 9989." in answer.content.decode()
