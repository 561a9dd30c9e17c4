"""The groups with which an installation begins."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client as Browser

from aiplatform.first_groups import make_first_groups

pytestmark = pytest.mark.django_db
_LISTS = (
    *("accounts/apikey", "accounts/auditentry", "accounts/client", "accounts/tier"),
    *("alerts/channel", "alerts/delivery", "alerts/incident", "alerts/reportschedule", "alerts/rule"),
    *("auth/group", "auth/user"),
    *("providers/deployment", "providers/exchangerate", "providers/price", "providers/provider", "providers/route"),
    *("usage/budget", "usage/hold", "usage/proof", "usage/repricing", "usage/usagerecord"),
    "vectors/vectorcollection",
)
_MONEY = {"providers/exchangerate", "providers/price"}
_OF_USERS = {"auth/group", "auth/user"}


def _in(group: str) -> Browser:
    user = User.objects.create_user("bea", password="a-long-password", is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    browser = Browser()
    browser.force_login(user)
    return browser


def _open(browser: Browser, way: str) -> set[str]:
    return {page for page in _LISTS if browser.get(f"/admin/{page}/{way}").status_code == 200}


def test_who_may_see_everything_changes_nothing() -> None:
    make_first_groups()
    browser = _in("May see everything")
    assert _open(browser, "") == set(_LISTS)
    assert _open(browser, "add/") == set()


def test_finance_reads_what_was_used_and_sets_budgets_and_reports() -> None:
    make_first_groups()
    browser = _in("Finance")
    used = {page for page in _LISTS if page.startswith("usage/")}
    told = {"alerts/channel", "alerts/delivery", "alerts/reportschedule"}
    assert _open(browser, "") == used | told | _MONEY | {"accounts/apikey", "accounts/client"}
    assert _open(browser, "add/") == {"usage/budget", "alerts/reportschedule"}


def test_operators_run_it_and_leave_users_and_budgets_alone() -> None:
    make_first_groups()
    browser = _in("Operator")
    assert _open(browser, "") == set(_LISTS) - _OF_USERS
    run = {page for page in _open(browser, "add/") if page.startswith(("providers/", "alerts/", "accounts/"))}
    assert _open(browser, "add/") == run
    assert {"providers/provider", "providers/price", "providers/route", "alerts/rule", "accounts/apikey"} <= run


def test_what_was_changed_stays_so() -> None:
    make_first_groups()
    Group.objects.exclude(name="Finance").delete()
    Group.objects.get(name="Finance").permissions.clear()

    make_first_groups()

    assert [group.permissions.count() for group in Group.objects.all()] == [0]
