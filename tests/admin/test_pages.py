"""Every page of every model answers, on an empty and on a busy installation, and gives no secret away."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.test import Client as Browser
from django.test import RequestFactory
from django.urls import reverse

from providers.models import Provider
from tests.admin import demo
from usage.models import UsageRecord

admin.autodiscover()  # as the URLs do, with the first page
MODELS = sorted(admin.site._registry, key=lambda model: model._meta.label)
by_label = pytest.mark.parametrize("model", MODELS, ids=lambda model: model._meta.label_lower)


def page(model: Any, name: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


def may_add(model: Any) -> bool:
    request = RequestFactory().get("/")
    request.user = User.objects.get(username="admin")
    return admin.site._registry[model].has_add_permission(request)


def test_all_of_the_product_is_there() -> None:
    names = {model._meta.label for model in MODELS}
    assert names >= {
        "providers.Provider",
        "providers.Deployment",
        "providers.Price",
        "providers.Route",
        "accounts.Client",
        "accounts.ApiKey",
        "accounts.Tier",
        "usage.UsageRecord",
        "usage.Hold",
        "auth.User",
        "auth.Group",
    }


@by_label
def test_an_empty_list_and_the_form_for_the_first(staff: Browser, model: Any) -> None:
    assert staff.get(page(model, "changelist")).status_code == 200
    assert staff.get(page(model, "add")).status_code == (200 if may_add(model) else 403)


def test_an_empty_list_says_what_belongs_there(staff: Browser) -> None:
    shown = staff.get(reverse("admin:usage_budget_changelist")).content.decode()
    assert "No budgets yet" in shown
    assert "A budget bounds what a client" in shown
    assert "Add budget" in shown
    searched = staff.get(reverse("admin:usage_budget_changelist"), {"q": "nobody"}).content.decode()
    assert "Nothing matches" in searched
    assert "No budgets yet" not in searched


@by_label
def test_a_full_list_and_its_rows_answer_and_show_no_providers_key_and_load_nothing_from_another_host(
    staff: Browser, filled: None, model: Any
) -> None:
    rows = list(model._default_manager.all()[:3])
    pages = [page(model, "changelist"), *(page(model, "change", row.pk) for row in rows)]
    for url in [*pages, *(page(model, "history", row.pk) for row in rows[:1])]:
        answer = staff.get(url)
        text = answer.content.decode()
        assert answer.status_code == 200
        assert demo.SECRET not in text
        assert "gAAAAA" not in text  # as all ciphertext begins
        assert re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(?:https?:)?//[^"]*"', text) == []


def test_a_section_is_headed_by_its_own_name(staff: Browser) -> None:
    shown = staff.get(reverse("admin:app_list", args=["providers"])).content.decode()
    assert "Where calls go" in shown
    assert "administration" not in shown


def test_what_nobody_can_change_has_no_button_for_its_history(staff: Browser, filled: None) -> None:
    written, made = UsageRecord.objects.all()[0], Provider.objects.all()[0]
    assert "/history/" not in staff.get(page(UsageRecord, "change", written.pk)).content.decode()
    assert "/history/" in staff.get(page(Provider, "change", made.pk)).content.decode()


@by_label
def test_search_and_every_filter(staff: Browser, filled: None, model: Any) -> None:
    listed = staff.get(page(model, "changelist"), {"q": "gpt"})
    assert listed.status_code == 200
    if "cl" not in listed.context:
        return  # a page of its own in place of a list
    for spec in listed.context["cl"].filter_specs:
        for choice in getattr(spec, "lookup_choices", []):
            if isinstance(choice, tuple):
                name = getattr(spec, "parameter_name", None) or spec.lookup_kwarg
                assert staff.get(page(model, "changelist"), {name: choice[0]}).status_code == 200


@by_label
def test_a_stranger_is_asked_to_log_in(db: None, model: Any) -> None:
    answer = Browser().get(page(model, "changelist"))
    assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/admin/login/")


def test_somebody_without_permissions_sees_no_figures(filled: None) -> None:
    browser = Browser()
    browser.force_login(User.objects.create_user("eve", password="a-long-password", is_staff=True))
    home = browser.get("/admin/")
    assert home.status_code == 200
    assert "aip-figure" not in home.content.decode()
    assert browser.get(page(MODELS[0], "changelist")).status_code == 403


def test_a_reader_of_providers_may_not_test_them(filled: None) -> None:
    browser, reader = Browser(), User.objects.create_user("rae", password="a-long-password", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_provider"))
    browser.force_login(reader)
    provider = Provider.objects.get(slug="demo")

    assert browser.get(page(Provider, "changelist")).status_code == 200
    assert browser.post(reverse("admin:providers_provider_test_connection", args=[provider.pk])).status_code == 403
