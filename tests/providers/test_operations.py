"""Making and changing a provider with its key, model and price."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from pytest_django import Settings

from core.vault import Secret
from providers.models import Credential, Deployment, Price, Provider, Route, RouteTarget
from providers.operations import (
    ModelSpec,
    Rates,
    add_provider,
    deactivate_provider,
    main_deployment,
    save_route,
    update_provider,
)

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
RATES = Rates(input_per_million=Decimal(30), output_per_million=Decimal(60))
NEGATIVE = dataclasses.replace(RATES, input_per_million=Decimal(-1))
GPT = ModelSpec(name="gpt-4", rates=RATES, max_output_tokens=2000, defaults={"temperature": 0.7})


def _openai(**changes: object) -> Provider:
    given = {"name": "OpenAI GPT-4", "kind": "openai", "api_key": Secret("sk-first-1234567890"), "models": [GPT]}
    return add_provider(**{**given, "now": NOW, **changes})  # type: ignore[arg-type]  # the test's own mixture


def _inputs(deployment: Deployment) -> list[Decimal]:
    return list(deployment.prices.order_by("valid_from").values_list("input_per_million", flat=True))


def test_a_provider_comes_with_its_key_its_model_and_its_price() -> None:
    provider = _openai(priority=5, requests_per_minute=60)

    deployment = provider.deployments.get()
    assert (provider.slug, provider.priority, provider.requests_per_minute) == ("openai-gpt-4", 5, 60)
    assert Credential.objects.get().reveal() == Secret("sk-first-1234567890")
    assert (deployment.max_output_tokens, deployment.defaults) == (2000, {"temperature": 0.7})
    assert deployment.price_at(NOW) == Price.objects.get()


def test_the_operator_says_how_new_providers_break_their_circuit(settings: Settings) -> None:
    before = _openai()
    settings.CIRCUIT_BREAKER_MAX_REQUESTS, settings.CIRCUIT_BREAKER_TIMEOUT_S = 7, 30

    new = _openai(name="Another")

    assert (new.failure_threshold, new.open_ms) == (7, 30_000)
    before.refresh_from_db()
    assert (before.failure_threshold, before.open_ms) == (5, 60_000)


def test_the_key_is_stored_encrypted() -> None:
    _openai()

    stored = Credential.objects.values_list("secret", "hint").get()
    assert "sk-first" not in str(stored)
    assert stored[1] == "••••7890"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"api_key": None}, "api_key"),
        ({"api_key": Secret("")}, "api_key"),
        ({"api_key": Secret("sk with space")}, "api_key"),
        ({"api_key": Secret("sk-line-break\n")}, "api_key"),
        ({"kind": "spectral"}, "kind"),
        ({"name": ""}, "name"),
        ({"slug": "Not A Slug"}, "slug"),
        ({"kind": "custom"}, "base_url"),
        ({"base_url": "not an address"}, "base_url"),
        ({"timeout_ms": 1}, "timeout_ms"),
        ({"models": [ModelSpec(name="")]}, "model"),
        ({"models": [ModelSpec(name="m", type="telepathy")]}, "type"),
        ({"models": [ModelSpec(name="m", max_output_tokens=0)]}, "max_output_tokens"),
        ({"models": [dataclasses.replace(GPT, rates=NEGATIVE)]}, "input_per_million"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_is_made(changes: dict[str, object], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        _openai(**changes)

    assert field in refused.value.message_dict
    assert not Provider.objects.exists()


def test_a_name_may_be_taken_once_and_a_slug_is_found_where_its_own_is_taken() -> None:
    _openai()

    assert _openai(name="OpenAI: GPT 4").slug == "openai-gpt-4-2"
    assert _openai(name="OpenAI GPT (4)").slug == "openai-gpt-4-3"
    with pytest.raises(ValidationError) as refused:
        _openai()
    assert "name" in refused.value.message_dict


def test_a_slug_is_found_for_the_longest_names_and_for_those_without_a_latin_letter() -> None:
    made = [_openai(name=name).slug for name in ("a" * 79, "a" * 80, "模型", "类型")]

    assert made == ["a" * 56, f"{'a' * 56}-2", "provider", "provider-2"]


def test_models_join_the_default_route_by_their_providers_priority() -> None:
    route = Route.objects.create(name="default")
    embedding = ModelSpec(name="embed", type=Deployment.Type.EMBEDDING, rates=RATES)

    _openai(priority=3, models=[GPT, embedding])
    _openai(name="Second", priority=8)

    assert [str(target) for target in route.targets.all()] == [
        "second/gpt-4",
        "openai-gpt-4/gpt-4",
        "openai-gpt-4/embed",
    ]


def test_a_model_without_a_price_does_not_join_the_default_route() -> None:
    route = Route.objects.create(name="default")

    _openai(models=[GPT, ModelSpec(name="unpriced")])

    assert [str(target) for target in route.targets.all()] == ["openai-gpt-4/gpt-4"]


def test_a_changed_price_is_a_new_row_and_an_equal_one_is_none() -> None:
    provider = _openai()
    dearer = dataclasses.replace(GPT, rates=dataclasses.replace(RATES, input_per_million=Decimal(40)))

    update_provider(provider, model=GPT, now=LATER)
    update_provider(provider, model=dearer, now=LATER)

    assert _inputs(provider.deployments.get()) == [30, 40]
    assert provider.deployments.get().price_at(NOW) == Price.objects.get(input_per_million=30)


def test_the_demos_model_leaves_the_default_route_to_a_real_one_of_its_type() -> None:
    route = Route.objects.create(name="default")
    embedding = ModelSpec(name="embed", type=Deployment.Type.EMBEDDING, rates=RATES)
    _openai(name="Demo", kind="demo", api_key=None, models=[GPT, embedding])

    _openai(name="Real")

    assert sorted(str(target) for target in route.targets.all()) == ["demo/embed", "real/gpt-4"]


def test_of_several_models_the_oldest_in_use_is_the_main_one() -> None:
    provider = _openai(models=[GPT, ModelSpec(name="second"), ModelSpec(name="third")])
    provider.deployments.filter(name="gpt-4").update(is_active=False)

    main = main_deployment(provider)

    assert main is not None
    assert main.name == "second"


def test_another_model_that_is_on_a_route_already_is_on_it_once() -> None:
    provider = _openai(models=[GPT, ModelSpec(name="gpt-5")])
    route = save_route(Route(), name="smart", targets=[RouteTarget(deployment=d) for d in provider.deployments.all()])

    update_provider(provider, model=ModelSpec(name="gpt-5"), now=LATER)

    assert [target.deployment.name for target in route.targets.filter(deployment__is_active=True)] == ["gpt-5"]


def test_another_model_takes_the_place_of_the_main_one_on_routes_too() -> None:
    route = Route.objects.create(name="default")
    provider = _openai()

    update_provider(provider, model=dataclasses.replace(GPT, name="gpt-5"), now=LATER)

    after = main_deployment(provider)
    assert after is not None
    assert after.name == "gpt-5"
    assert not provider.deployments.get(name="gpt-4").is_active
    assert [str(target) for target in route.targets.all()] == ["openai-gpt-4/gpt-5"]


def test_going_back_to_the_model_before_brings_back_its_row() -> None:
    provider = _openai()
    before = provider.deployments.get()

    update_provider(provider, model=dataclasses.replace(GPT, name="gpt-5"), now=LATER)
    update_provider(provider, model=GPT, now=LATER)

    assert main_deployment(provider) == before


def test_an_update_changes_what_is_given_and_nothing_else() -> None:
    provider = _openai(priority=3)

    updated = update_provider(provider, name="Renamed", timeout_ms=30_000, now=LATER)

    assert (updated.name, updated.slug, updated.timeout_ms, updated.priority) == ("Renamed", "openai-gpt-4", 30_000, 3)
    assert Credential.objects.get().reveal() == Secret("sk-first-1234567890")


def test_a_new_key_takes_the_place_of_the_old_one() -> None:
    provider = _openai()

    Credential.objects.update(is_active=False)

    update_provider(provider, api_key=Secret("sk-second-1234567890"), now=LATER)

    assert Credential.objects.get().reveal() == Secret("sk-second-1234567890")
    assert Credential.objects.get().is_active


def test_the_default_route_follows_a_changed_priority() -> None:
    route = Route.objects.create(name="default")
    provider = _openai()
    own = save_route(Route(), name="smart", targets=[RouteTarget(deployment=provider.deployments.get(), priority=7)])

    update_provider(provider, priority=99, now=LATER)

    assert route.targets.get().priority == 99
    assert own.targets.get().priority == 7


def test_a_priority_that_was_set_on_the_route_stays_until_the_providers_own_changes() -> None:
    route = Route.objects.create(name="default")
    provider = _openai(priority=3)
    route.targets.update(priority=50)

    update_provider(provider, name="Renamed", priority=3, now=LATER)
    assert route.targets.get().priority == 50

    update_provider(provider, priority=4, now=LATER)
    assert route.targets.get().priority == 4


def test_a_refused_update_changes_nothing() -> None:
    provider = _openai()

    with pytest.raises(ValidationError):
        update_provider(provider, name="Renamed", model=ModelSpec(name=""), now=LATER)

    assert Provider.objects.get().name == "OpenAI GPT-4"


def test_deactivation_keeps_history() -> None:
    provider = _openai()

    deactivate_provider(provider)

    assert not Provider.objects.get().is_active
    assert Price.objects.count() == Credential.objects.count() == 1


def test_a_spec_says_what_a_deployment_is() -> None:
    assert ModelSpec.of(_openai().deployments.get()) == dataclasses.replace(GPT, rates=None, capabilities=[])


def test_two_who_change_different_fields_of_a_route_at_once_lose_nothing() -> None:
    Route.objects.create(name="smart")
    first, second = Route.objects.get(), Route.objects.get()

    save_route(first, is_active=False)
    save_route(second, strategy=Route.Strategy.LEAST_COST)

    assert Route.objects.values_list("is_active", "strategy").get() == (False, "least_cost")
