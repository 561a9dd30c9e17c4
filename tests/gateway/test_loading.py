"""A configuration that is read again is the one that is read anew, and what has not changed is not made again."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
import structlog

from accounts.models import ApiKey, Client, EndpointLimit, Tier
from core.vault import Secret
from gateway.loading.callers import Callers
from gateway.loading.deployments import Deployments
from gateway.loading.pace import Pace
from gateway.loading.tables import Table
from providers.models import Credential, Deployment, ExchangeRate, Price, PriceTier, Provider, Route, RouteTarget

pytestmark = pytest.mark.django_db
HURRIED = Pace(is_hurried=True)
LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def house() -> None:
    """Two clients, two providers, three models, a route."""
    tier = Tier.objects.create(name="gold", requests_per_minute=60)
    for name in ("shop", "search"):
        ApiKey.mint(client=Client.objects.create(name=name, tokens_per_hour=900), tier=tier)
    for name in ("east", "west"):
        provider = Provider.objects.create(name=name, slug=name, kind="custom", base_url="http://127.0.0.1:9/v1")
        key = Credential(provider=provider)
        key.take(Secret(f"sk-{name}-0123456789"))
        key.save()
        _priced(Deployment.objects.create(provider=provider, name="gpt", requests_per_hour=5, max_concurrent=2))
    _priced(Deployment.objects.create(provider=provider, name="large"), currency="EUR")
    ExchangeRate.objects.create(currency="EUR", day=date(2025, 1, 1), usd_per_unit=Decimal("1.1"))
    route = Route.objects.create(name="default", catch_all=True)
    for deployment in Deployment.objects.all():
        RouteTarget.objects.create(route=route, deployment=deployment)


def _priced(deployment: Deployment, currency: str = "USD") -> None:
    Price.objects.create(
        deployment=deployment, valid_from=LONG_AGO, currency=currency, input_per_million=3, output_per_million=15
    )


def _first_price() -> Price:
    return Price.objects.filter(currency="USD").order_by("pk")[0]


CHANGES: dict[str, Callable[[], object]] = {
    "a key is made": lambda: ApiKey.mint(client=Client.objects.get(name="shop")),
    "a tier is widened": lambda: Tier.objects.update(requests_per_minute=61),
    "an endpoint is limited": lambda: EndpointLimit.objects.create(
        tier=Tier.objects.get(), endpoint="openai.chat", requests_per_hour=9
    ),
    "a provider moves": lambda: Provider.objects.filter(slug="east").update(base_url="http://127.0.0.1:10/v1"),
    "a provider is limited": lambda: Provider.objects.filter(slug="east").update(tokens_per_minute=10),
    "a model's limits go": lambda: Deployment.objects.update(requests_per_hour=None, max_concurrent=None),
    "a price follows": lambda: Price.objects.create(
        deployment=Deployment.objects.get(name="large"), input_per_million=1, output_per_million=2
    ),
    "a price gets a tier": lambda: PriceTier.objects.create(
        price=_first_price(), above_tokens=1000, input_per_million=6, output_per_million=30
    ),
    "an exchange rate follows": lambda: ExchangeRate.objects.create(
        currency="EUR", day=date(2025, 2, 1), usd_per_unit=Decimal("1.2")
    ),
    "a route is renamed": lambda: Route.objects.update(name="main"),
    "a route shares otherwise": lambda: Route.objects.update(strategy="round_robin", catch_all=False),
    "a target is preferred": lambda: RouteTarget.objects.filter(deployment__name="large").update(priority=-1),
    "a target is preferred less": lambda: RouteTarget.objects.filter(deployment__name="large").update(priority=-2),
    "a client may use less": lambda: Client.objects.filter(name="shop").update(allowed_models="gpt\nlarge"),
    "a key is revoked": lambda: ApiKey.objects.filter(client__name="shop").update(is_active=False),
    "a client is renamed": lambda: Client.objects.filter(name="shop").update(name="store"),
    "a client is switched off": lambda: Client.objects.filter(name="search").update(is_active=False),
    "a target goes": lambda: RouteTarget.objects.filter(deployment__name="large").delete(),
    "a model is renamed": lambda: Deployment.objects.filter(name="large").update(name="larger"),
    "a model goes": lambda: Deployment.objects.filter(name="larger").delete(),
    "a provider loses its key": lambda: Credential.objects.filter(provider__slug="east").delete(),
    "a provider is switched off": lambda: Provider.objects.filter(slug="west").update(is_active=False),
}


def test_after_each_change_it_is_as_if_read_anew() -> None:
    callers, deployments = Callers(), Deployments()
    for what, change in {"nothing": lambda: None, **CHANGES}.items():
        change()
        callers.refresh(HURRIED)
        deployments.refresh(Pace())
        fresh, anew = Callers(), Deployments()
        fresh.refresh(HURRIED)
        anew.refresh(HURRIED)

        assert (callers.by_digest, callers.keyless) == (fresh.by_digest, fresh.keyless), what
        assert (deployments.topology, deployments.capacity) == (anew.topology, anew.capacity), what


def test_a_provider_that_is_switched_off_is_known_and_takes_no_calls() -> None:
    """Or who asks for it would be answered by another, where unknown names are."""
    west = Provider.objects.get(slug="west")
    Provider.objects.filter(pk=west.pk).update(is_active=False, kind="azure")
    deployments = Deployments()

    deployments.refresh(HURRIED)

    assert {"west", str(west.pk), "azure", "east", "custom"} < deployments.topology.providers
    assert "anthropic" not in deployments.topology.providers
    assert {each.provider.slug for each in deployments.topology.deployments} == {"east"}


def test_each_change_shows() -> None:
    callers, deployments = Callers(), Deployments()
    for what, change in {"nothing": lambda: None, **CHANGES}.items():
        change()
        before = (callers.by_digest, callers.keyless, deployments.topology, deployments.capacity)
        callers.refresh(HURRIED)
        deployments.refresh(HURRIED)

        assert (callers.by_digest, callers.keyless, deployments.topology, deployments.capacity) != before, what


def test_what_has_not_changed_is_not_made_again() -> None:
    callers, deployments = Callers(), Deployments()
    callers.refresh(HURRIED)
    deployments.refresh(HURRIED)
    topology = deployments.topology
    known = {digest: caller for digest, caller in callers.by_digest.items() if caller.client != "shop"}
    ApiKey.objects.filter(client__name="shop").update(requests_per_minute=1)

    callers.refresh(HURRIED)
    deployments.refresh(HURRIED)

    assert deployments.topology is topology
    assert all(callers.by_digest[digest] is caller for digest, caller in known.items())
    Provider.objects.filter(slug="east").update(priority=99)
    deployments.refresh(HURRIED)
    kept = {each.provider.slug for each in deployments.topology.deployments if each is topology.by_id[each.id]}
    assert kept == {"west"}


def test_a_row_that_cannot_be_understood_hides_no_other_change() -> None:
    def understood(row: Client) -> str:
        if row.name == "shop":
            raise ValueError(row.name)
        return row.name

    table = Table(Client.objects.all(), ("name",), understood)
    for _ in range(2):
        with pytest.raises(ValueError, match="shop"):
            table.refresh(HURRIED)
    Client.objects.filter(name="shop").update(name="store")

    table.refresh(HURRIED)

    assert sorted(table.made.values()) == ["search", "store"]


@pytest.mark.parametrize("stored", [{"temperature": 0, "stop": 5, "topP": 1, "top_p": None}, [1], "text"])
def test_defaults_with_which_no_call_could_be_made_are_left_out(stored: Any) -> None:
    """Those of an older version: callers in another dialect than the model's got a 500 of each."""
    Deployment.objects.filter(name="large").update(defaults=stored)
    deployments = Deployments()

    with structlog.testing.capture_logs() as lines:
        deployments.refresh(HURRIED)

    (large,) = (each for each in deployments.topology.deployments if each.name == "large")
    assert large.defaults == ({"temperature": 0} if isinstance(stored, dict) else {})
    assert [(line["model"], line["used"]) for line in lines] == [("large", large.defaults)]


def test_a_default_that_says_nothing_is_no_trouble() -> None:
    Deployment.objects.filter(name="large").update(defaults={"temperature": 0, "top_p": None})
    deployments = Deployments()

    with structlog.testing.capture_logs() as lines:
        deployments.refresh(HURRIED)

    (large,) = (each for each in deployments.topology.deployments if each.name == "large")
    assert (large.defaults, lines) == ({"temperature": 0}, [])


def test_rows_that_go_while_all_are_to_be_made_anew_are_gone() -> None:
    table = Table(ApiKey.objects.all(), ("prefix",), lambda row: row.prefix)
    table.refresh(HURRIED)
    table.forget()
    ApiKey.objects.all().delete()

    table.refresh(HURRIED)

    assert table.made == {}


def test_long_work_naps() -> None:
    def busy(number: int) -> None:
        until = time.perf_counter() + 0.0002
        while time.perf_counter() < until:
            pass

    began, worked = time.perf_counter(), time.thread_time()
    for number in Pace().over(range(200)):
        busy(number)

    assert time.perf_counter() - began > time.thread_time() - worked + 0.01
