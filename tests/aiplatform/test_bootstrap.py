"""A new installation's first administrator, providers, route and key."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import Group, User
from django.core.management import call_command

from accounts import keys
from accounts.models import ApiKey
from aiplatform import bootstrap
from core.vault import Secret
from providers.models import Price, Provider, Route
from providers.operations import ModelSpec, Rates, add_provider

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def nothing_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for prefix in ("OPENAI", "ANTHROPIC", "GOOGLE_AI", "DEEPSEEK"):
        for name in ("API_KEY", "MAX_TOKENS", "COST_PER_TOKEN", "ORGANIZATION"):
            monkeypatch.delenv(f"{prefix}_{name}", raising=False)


def _start(*, demo: bool = True) -> bootstrap.Outcome:
    return bootstrap.bootstrap(now=NOW, demo=demo, providers=bootstrap.providers_from_environment())


def _targets(route: str = "default") -> list[str]:
    return [str(target) for target in Route.objects.get(name=route).targets.all()]


def test_the_first_start_makes_all_that_a_first_call_needs() -> None:
    made = _start()

    assert made.admin_password
    assert authenticate(username="admin", password=made.admin_password)
    assert made.key
    key = ApiKey.objects.get(digest=keys.digest(made.key))
    assert (key.client.name, key.scope) == ("default", "call")
    assert _targets() == ["demo/demo", "demo/demo-embedding"]
    assert Route.objects.get().catch_all
    assert {group.name for group in Group.objects.all()} == {"May see everything", "Finance", "Operator"}
    assert {price.output_per_million for price in Price.objects.all()} == {2}


def test_a_second_start_changes_nothing_and_shows_nothing() -> None:
    _start()
    Provider.objects.update(priority=7)

    made = _start()

    assert (made.admin_password, made.key) == (None, None)
    assert (User.objects.count(), ApiKey.objects.count(), Route.objects.count()) == (1, 1, 1)
    assert Provider.objects.get().priority == 7


def test_production_gets_no_demo_provider_and_no_catch_all() -> None:
    _start(demo=False)

    assert not Provider.objects.exists()
    assert not Route.objects.get(name="default").catch_all


def test_a_key_in_the_environment_becomes_a_provider_that_replaces_the_demo(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-1234567890")
    monkeypatch.setenv("OPENAI_ORGANIZATION", "org-1")

    _start()

    provider = Provider.objects.get(slug="openai")
    assert provider.organization == "org-1"
    assert provider.credentials.get().reveal() == Secret("sk-canary-1234567890")
    assert _targets() == ["openai/gpt-5.4-mini", "openai/text-embedding-3-small"]
    price = provider.deployments.get(name="gpt-5.4-mini").price_at(NOW)
    assert price is not None
    assert price.input_per_million == Decimal("0.75")


def test_a_key_for_google_becomes_a_provider_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_AI_API_KEY", "AIza-canary-1234567890")

    _start()

    provider = Provider.objects.get(slug="google")
    assert (provider.kind, provider.address) == ("google", "https://generativelanguage.googleapis.com")
    assert provider.credentials.get().reveal() == Secret("AIza-canary-1234567890")
    assert _targets() == ["google/gemini-3.8-flash", "google/gemini-embedding-001"]
    price = provider.deployments.get(name="gemini-3.8-flash").price_at(NOW)
    assert price is not None
    assert price.cached_input_per_million is not None
    vectors = provider.deployments.get(name="gemini-embedding-001").price_at(NOW)
    assert vectors is not None
    assert vectors.input_per_million == Decimal("0.15")


def test_a_key_that_comes_later_is_taken_up_too(monkeypatch: pytest.MonkeyPatch) -> None:
    _start()
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-1234567890")

    _start()

    assert "anthropic/claude-sonnet-5-5" in _targets()


def test_cost_per_token_and_max_tokens_take_the_place_of_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPSEEK_API_KEY", "sk-1234567890")
    monkeypatch.setenv("DEEPSEEK_MAX_TOKENS", "4000")
    monkeypatch.setenv("DEEPSEEK_COST_PER_TOKEN", "0.000014")

    _start()

    deployment = Provider.objects.get(slug="deepseek").deployments.get()
    price = deployment.price_at(NOW)
    assert price is not None
    assert deployment.max_output_tokens == 4000
    assert (price.input_per_million, price.output_per_million) == (14, 14)
    assert price.cached_input_per_million is None


@pytest.mark.parametrize(
    "value", ["cheap", "-1", "NaN", "sNaN", "Infinity", "1e30", "1e999999", "0.12345678901234567", "1e-17"]
)
def test_a_cost_that_is_no_cost_stops_the_start(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1234567890")
    monkeypatch.setenv("OPENAI_COST_PER_TOKEN", value)

    with pytest.raises(SystemExit, match="OPENAI_COST_PER_TOKEN"):
        bootstrap.providers_from_environment()


@pytest.mark.parametrize("value", ["-5", "many", "2147483648"])
def test_a_bound_of_tokens_that_is_none_stops_the_start(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1234567890")
    monkeypatch.setenv("OPENAI_MAX_TOKENS", value)

    with pytest.raises(SystemExit, match="OPENAI_MAX_TOKENS must be a whole number from 0 to 2147483647"):
        bootstrap.providers_from_environment()


def test_a_key_that_no_header_holds_stops_the_start_and_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", " sk-1234567890 ")
    assert bootstrap.providers_from_environment()[0].api_key.reveal() == "sk-1234567890"
    monkeypatch.setenv("OPENAI_API_KEY", "sk-12 34567890")

    with pytest.raises(SystemExit, match=r"^OPENAI_API_KEY is no key\. An API key has no spaces, [^0-9]*$"):
        bootstrap.providers_from_environment()


def test_once_a_provider_exists_the_database_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-first-1234567890")
    _start()
    monkeypatch.setenv("OPENAI_API_KEY", "sk-second-1234567890")

    _start()

    assert Provider.objects.get(slug="openai").credentials.get().reveal() == Secret("sk-first-1234567890")


def test_the_default_route_takes_in_the_models_that_were_there_before_it() -> None:
    rates = Rates(input_per_million=Decimal(1), output_per_million=Decimal(1))
    models = [ModelSpec(name="chatty", rates=rates), ModelSpec(name="vectors", type="embedding", rates=rates)]
    add_provider(name="Own", kind="demo", models=models, now=NOW)

    _start()

    assert _targets() == ["own/chatty", "own/vectors"]


def test_an_administrator_of_another_name_is_enough() -> None:
    User.objects.create_superuser("grace", password="correct horse")

    assert _start().admin_password is None


def test_an_outcome_does_not_print_its_secrets() -> None:
    made = _start()

    assert str(made.key) not in repr(made)
    assert str(made.admin_password) not in repr(made)


def test_the_command_shows_the_secrets_once() -> None:
    first, second = StringIO(), StringIO()

    call_command("bootstrap", stdout=first)
    call_command("bootstrap", stdout=second)

    assert "aip_" in first.getvalue()
    assert "password:" in first.getvalue()
    assert second.getvalue().startswith("Nothing to do")
