"""The page “Try a model”: whom it lets in, which models it offers, and what it says where there is none."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client as Browser
from django.urls import reverse

from providers.models import Deployment, Provider, Route

pytestmark = pytest.mark.django_db


@pytest.fixture
def ours() -> Provider:
    return Provider.objects.create(name="Ours", slug="ours", kind="demo")


def deployed(provider: Provider, name: str, **fields: Any) -> Deployment:
    return Deployment.objects.create(provider=provider, name=name, **fields)


def route(name: str, *deployments: Deployment, **fields: Any) -> None:
    made = Route.objects.create(name=name, **fields)
    for deployment in deployments:
        made.targets.create(deployment=deployment)


def shown(browser: Browser, **query: str) -> str:
    answer = browser.get(reverse("playground"), query)
    assert answer.status_code == 200
    return answer.content.decode()


def offered(page: str) -> list[str]:
    return re.findall(r'<option value="([^"]*)"', page)


def chosen(page: str) -> list[str]:
    return re.findall(r'<option value="([^"]*)" selected', page)


def test_who_is_no_administrator_is_asked_to_sign_in_as_one(ours: Provider) -> None:
    deployed(ours, "large")
    browser = Browser()
    assert browser.get(reverse("playground"))["Location"].startswith("/admin/login/")

    browser.force_login(User.objects.create_user("eve", password="a-long-password"))

    assert browser.get(reverse("playground"))["Location"].startswith("/admin/login/")


def test_an_administrator_without_permissions_may_and_is_led_nowhere_that_is_closed(ours: Provider) -> None:
    deployed(ours, "large")
    browser = Browser()
    browser.force_login(User.objects.create_user("rae", password="a-long-password", is_staff=True))

    page = shown(browser)

    assert offered(page) == ["large"]
    assert "data-calls" not in page
    assert reverse("admin:providers_provider_add") not in page


def test_models_are_offered_by_the_names_that_callers_use(staff: Browser, ours: Provider) -> None:
    other = Provider.objects.create(name="Other", slug="other", kind="demo")
    away = Provider.objects.create(name="Away", slug="away", kind="demo", is_active=False)
    large, twin = deployed(ours, "large"), deployed(other, "large")
    small, vectors = deployed(ours, "small"), deployed(ours, "vectors", type="embedding")
    idle = deployed(ours, "idle", is_active=False)
    deployed(away, "gone")
    route("answers", large, twin)
    route("default", large, catch_all=True)
    route("search", vectors)
    route("off", large, is_active=False)
    route("dead", idle)
    route("small", small)

    names = offered(shown(staff))

    assert names == ["default", "answers", "small", "large", "other/large", "ours/large", "ours/small"]


def test_a_models_own_page_leads_here_with_it_chosen(staff: Browser, ours: Provider) -> None:
    large, small = deployed(ours, "large"), deployed(ours, "small")
    deployed(Provider.objects.create(name="Other", slug="other", kind="demo"), "large")

    led = [staff.get(f"/admin/providers/deployment/{model.pk}/try/")["Location"] for model in (large, small)]

    assert [chosen(staff.get(each).content.decode()) for each in led] == [["ours/large"], ["small"]]


def test_one_that_cannot_be_tried_is_said_to_be_so(staff: Browser, ours: Provider) -> None:
    deployed(ours, "large")
    deployed(ours, "vectors", type="embedding")

    assert "“ours/vectors” cannot be tried" in shown(staff, model="ours/vectors")
    assert "cannot be tried" not in shown(staff)


def test_without_a_model_it_says_what_to_do(staff: Browser) -> None:
    page = shown(staff)

    assert "No chat model is active" in page
    assert reverse("admin:providers_provider_add") in page
