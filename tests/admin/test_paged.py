"""A provider's and a route's models, page by page. Ten to a page here: forms take long to be drawn."""

from __future__ import annotations

from typing import Any

import pytest
from django.db.models.signals import post_init
from django.test import Client as Browser
from django.urls import reverse

from accounts.admin_meanwhile import CHANGED
from providers.admin.provider_form import ModelInline
from providers.admin.route import TargetInline
from providers.models import Deployment, Price, Provider, Route, RouteTarget

pytestmark = pytest.mark.django_db
MODELS = 21


@pytest.fixture(autouse=True)
def ten_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ModelInline.per_page == TargetInline.per_page == 100
    monkeypatch.setattr(ModelInline, "per_page", 10)
    monkeypatch.setattr(TargetInline, "per_page", 10)


@pytest.fixture(autouse=True)
def provider() -> Provider:
    """Of two full pages of models, and one model more."""
    provider = Provider.objects.create(name="Own", slug="own", kind="demo")
    models = [Deployment(provider=provider, name=f"model-{number}") for number in range(MODELS)]
    Deployment.objects.bulk_create(models)
    Price.objects.bulk_create([Price(deployment=each, input_per_million=1, output_per_million=2) for each in models])
    return provider


@pytest.fixture
def url(provider: Provider) -> str:
    return reverse("admin:providers_provider_change", args=[provider.pk])


def _opened(staff: Browser, url: str, page: str = "") -> dict[str, str]:
    answer = staff.get(url + page)
    return _shown(answer) | {"_seen": answer.context["seen"]}


def _models(posted: dict[str, str]) -> list[str]:
    return [posted[f"deployments-{row}-name"] for row in range(int(posted["deployments-INITIAL_FORMS"]))]


def _shown(answer: Any) -> dict[str, str]:
    """What a browser posts from a page that nobody has touched."""
    formsets = [inline.formset for inline in answer.context["inline_admin_formsets"]]
    forms = [answer.context["adminform"].form, *formsets, *(form for formset in formsets for form in formset.forms)]
    fields = [field for form in forms for field in getattr(form, "management_form", form)]
    values = {field.html_name: field.value() for field in fields}
    values = {name: "on" if value is True else value for name, value in values.items()}
    return {name: str(value) for name, value in values.items() if value is not None and value is not False}


def test_a_routes_models_are_shown_and_saved_a_page_at_a_time(staff: Browser) -> None:
    route = Route.objects.create(name="all")
    RouteTarget.objects.bulk_create(RouteTarget(route=route, deployment=each) for each in Deployment.objects.all())
    url = reverse("admin:providers_route_change", args=[route.pk])
    posted = _opened(staff, url, "?targets-page=2")
    named = [posted[f"targets-{row}-deployment"] for row in range(10)]
    assert named == [str(each.deployment_id) for each in route.targets.all()[10:20]]

    assert staff.post(f"{url}?targets-page=2", posted | {"targets-7-weight": "9"}).status_code == 302
    assert [str(each.deployment_id) for each in route.targets.filter(weight=9)] == [named[7]]

    first = str(route.targets.all()[0].deployment_id)
    posted = _opened(staff, url, "?targets-page=2") | {"targets-3-deployment": first}
    assert "Another page of this route has this model." in staff.post(f"{url}?targets-page=2", posted).content.decode()
    assert route.targets.count() == MODELS


# --- a provider's models ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("page", "number"), [("", 1), ("1", 1), ("2", 2), ("3", 3), ("4", 1), ("0", 1), ("²", 1)])
def test_a_providers_models_are_shown_a_page_at_a_time(staff: Browser, url: str, page: str, number: int) -> None:
    names = sorted(f"model-{each}" for each in range(MODELS))
    answer = staff.get(url, {"deployments-page": page})

    assert _models(_shown(answer)) == names[10 * (number - 1) : 10 * number]
    assert f'aria-current="page">{number}<' in answer.content.decode()


def test_a_page_reads_no_more_prices_than_it_shows(staff: Browser, url: str) -> None:
    read: list[object] = []

    def note(**facts: Any) -> None:
        read.append(facts["instance"])

    post_init.connect(note, sender=Price)
    try:
        staff.get(url, {"deployments-page": "3"})
    finally:
        post_init.disconnect(note, sender=Price)
    assert len(read) == 1


def test_few_models_have_no_pages(staff: Browser, url: str) -> None:
    Price.objects.all().delete()
    Deployment.objects.exclude(name__lt="model-18").delete()
    assert Deployment.objects.count() == 10
    assert "deployments-page" not in staff.get(url).content.decode()


def test_what_is_saved_on_one_page_of_models_leaves_the_others_as_they_were(staff: Browser, url: str) -> None:
    before = {each.name: (each.pk, each.type, each.is_active) for each in Deployment.objects.all()}
    posted = _opened(staff, url, "?deployments-page=2")
    first, second, third = _models(posted)[:3]
    del posted["deployments-2-is_active"]
    added = {"deployments-TOTAL_FORMS": "11", "deployments-10-name": "a-new-one", "deployments-10-type": "chat"}

    changed = {"deployments-0-output_price": "9", "deployments-1-name": "z-renamed"}
    answer = staff.post(f"{url}?deployments-page=2", posted | changed | added | {"_continue": "on"})

    assert answer.status_code == 302
    assert answer["Location"] == f"{url}?deployments-page=2"
    after = {each.name: (each.pk, each.type, each.is_active) for each in Deployment.objects.all()}
    assert Price.objects.get(output_per_million=9).deployment.name == first
    assert after.pop("z-renamed") == before.pop(second)
    assert after.pop(third) == (before.pop(third)[0], "chat", False)
    assert after.pop("a-new-one")
    assert after == before
    assert Price.objects.count() == MODELS + 1


def test_a_model_is_deleted_from_a_later_page_and_one_with_a_price_is_not(staff: Browser, url: str) -> None:
    posted = _opened(staff, url, "?deployments-page=3") | {"deployments-0-DELETE": "on"}
    kept = staff.post(f"{url}?deployments-page=3", posted)
    assert "has a price, and prices are history" in kept.content.decode()

    Price.objects.all().delete()
    posted |= {"_seen": staff.get(url).context["seen"]}
    posted = {name: value for name, value in posted.items() if "_price" not in name}
    assert staff.post(f"{url}?deployments-page=3", posted).status_code == 302
    assert Deployment.objects.count() == MODELS - 1


def test_a_mistake_on_a_later_page_shows_that_page_as_it_was_typed(staff: Browser, url: str) -> None:
    posted = _opened(staff, url, "?deployments-page=2")
    wrong = {"deployments-0-output_price": "", "deployments-1-name": "z-renamed", "deployments-2-name": "model-0"}
    answer = staff.post(f"{url}?deployments-page=2", posted | wrong)
    page = answer.content.decode()

    assert "A price cannot be taken back." in page
    assert "Another page has a model of this name." in page
    assert 'aria-current="page">2<' in page
    assert _models(_shown(answer)) == [_models(posted)[0], "z-renamed", "model-0", *_models(posted)[3:]]
    assert not Deployment.objects.filter(name="z-renamed").exists()


def test_models_that_others_have_moved_to_another_page_are_saved_all_the_same(staff: Browser, url: str) -> None:
    posted = _opened(staff, url, "?deployments-page=2") | {"deployments-9-output_price": "9"}
    last = _models(posted)[-1]
    Deployment.objects.create(provider=Provider.objects.get(), name="a-new-one", is_active=False)

    told = staff.post(f"{url}?deployments-page=2", posted)
    assert CHANGED in told.content.decode()
    again = _shown(told) | {"_seen": told.context["seen"]}
    assert staff.post(f"{url}?deployments-page=2", again).status_code == 302
    assert Price.objects.get(output_per_million=9).deployment.name == last
