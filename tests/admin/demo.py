"""A busy installation, the same on every run: what the admin's tests and pictures show."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from accounts.models import ApiKey, Client, Tier
from core.ids import uuid7, uuid7_at
from core.vault import Secret
from providers.models import Credential, Deployment, Health, Price, Provider, Route, RouteTarget
from tests.usage.rows import book
from usage.models import Hold, UsageRecord

SECRET = "sk-canary-never-to-be-shown-9f3a"
_MODELS: dict[str, list[tuple[str, str, str, str | None, float]]] = {
    # provider: (model, input, output, cached input per million, how often it is called)
    "openai": [("gpt-5", "1.25", "10", "0.125", 5), ("gpt-5-mini", "0.25", "2", "0.025", 9)],
    "anthropic": [("claude-sonnet-4-5", "3", "15", "0.30", 4), ("claude-haiku-4-5", "1", "5", "0.10", 3)],
    "openai-europe": [("gpt-5", "1.375", "11", None, 1)],
    "rack-7": [("llama-3.3-70b", "0.40", "0.40", None, 3), ("qwen3-32b", "", "", None, 0.4)],
}
_PROVIDERS = {
    "openai": ("OpenAI", "openai", "", 20),
    "anthropic": ("Anthropic", "anthropic", "", 20),
    "openai-europe": ("OpenAI (Europe)", "openai", "https://eu.api.openai.com/v1", 10),
    "rack-7": ("Our own machines", "custom", "https://llm.example.com/v1", 5),
}
_CLIENTS = {"search-backend": 5, "support-assistant": 8, "billing-letters": 2, "mobile-app": 4, "data-science": 1}


def fill(*, now: datetime, calls: int = 2_500) -> None:
    """Providers, clients, keys and `calls` calls over the 40 days before `now`."""
    chance = random.Random(7)
    for slug in _PROVIDERS:
        _provider(slug, now)
    Provider.objects.create(name="Demo", slug="demo", kind="demo", priority=0)
    _route(now)
    clients = [Client.objects.create(name=name, created_at=now - timedelta(days=80)) for name in _CLIENTS]
    tier = Tier.objects.create(name="standard", requests_per_hour=1_000, requests_per_minute=100)
    Tier.objects.create(name="premium", requests_per_hour=10_000)
    keys = [_key(client, tier, now) for client in clients]
    deployments = list(Deployment.objects.select_related("provider").prefetch_related("prices"))
    weights = [spec[4] for specs in _MODELS.values() for spec in specs]
    ordered = [_find(deployments, slug, spec[0]) for slug, specs in _MODELS.items() for spec in specs]
    rows = []
    for _ in range(calls):
        key = chance.choices(keys, list(_CLIENTS.values()))[0]
        rows.append(_record(chance, key, chance.choices(ordered, weights)[0], _moment(chance, now)))
    book(*rows)
    for key in keys[:3]:
        _hold(chance, key, ordered[0], now)


def _provider(slug: str, now: datetime) -> None:
    name, kind, address, priority = _PROVIDERS[slug]
    provider = Provider.objects.create(name=name, slug=slug, kind=kind, base_url=address, priority=priority)
    for label in ["main", "backup"][: 2 if slug == "openai" else 1]:
        credential = Credential(provider=provider, label=label)
        credential.take(Secret(SECRET))
        credential.save()
    for model, into, out, cached, _ in _MODELS[slug]:
        deployment = Deployment.objects.create(
            provider=provider, name=model, context_window=200_000, capabilities=["tools", "vision"]
        )
        for since, factor in ((now - timedelta(days=90), Decimal(2)), (now - timedelta(days=18), Decimal(1))):
            if into:
                Price.objects.create(
                    deployment=deployment,
                    valid_from=since,
                    input_per_million=Decimal(into) * factor,
                    output_per_million=Decimal(out) * factor,
                    cached_input_per_million=Decimal(cached) * factor if cached else None,
                )
    ill = slug == "rack-7"
    detail = "Nothing answers at that address. Check the port, and that the server is running."
    Health.objects.create(
        provider=provider,
        status="unhealthy" if ill else "healthy",
        detail=detail if ill else "Connected in 240 ms; 57 models offered.",
        latency_ms=None if ill else 240,
        checked_at=now - timedelta(seconds=40),
    )


def _route(now: datetime) -> None:
    route = Route.objects.create(name="default", created_at=now)
    for deployment in Deployment.objects.filter(provider__slug__in=["openai", "anthropic"]):
        RouteTarget.objects.create(route=route, deployment=deployment, priority=deployment.provider.priority)


def _key(client: Client, tier: Tier, now: datetime) -> ApiKey:
    key, _ = ApiKey.mint(client=client, name="production", tier=tier if client.name == "mobile-app" else None)
    ApiKey.objects.filter(pk=key.pk).update(last_used_at=now - timedelta(minutes=3))
    return key


def _find(deployments: list[Deployment], slug: str, name: str) -> Deployment:
    return next(row for row in deployments if row.provider.slug == slug and row.name == name)


def _moment(chance: random.Random, now: datetime) -> datetime:
    """More by day than by night, more on weekdays, more of late."""
    while True:
        at = now - timedelta(days=40 * chance.random() ** 1.3, seconds=chance.random() * 60)
        busy = (1.0 if 7 <= at.hour <= 18 else 0.25) * (1.0 if at.weekday() < 5 else 0.35)
        if chance.random() < busy:
            return at


def _facts(key: ApiKey, deployment: Deployment, at: datetime) -> dict[str, Any]:
    return {
        "request_id": f"req_{uuid7_at(int(at.timestamp() * 1000)).hex[:20]}",
        "client_id": key.client_id,
        "client": key.client.name,
        "key_id": key.pk,
        "key_prefix": key.prefix,
        "tags": {"team": "growth", "env": "prod"},
        "provider_id": deployment.provider_id,
        "provider": deployment.provider.slug,
        "deployment_id": deployment.pk,
        "deployment": deployment.name,
        "requested_model": "default" if deployment.provider.priority == 20 else deployment.name,
        "credential": "main",
        "surface": "openai.chat",
        "started_at": at,
    }


def _record(chance: random.Random, key: ApiKey, deployment: Deployment, at: datetime) -> UsageRecord:
    roll = chance.random()
    status = "ok" if roll < 0.93 else "error" if roll < 0.96 else "cached" if roll < 0.98 else "cancelled"
    failed = status == "error"
    into, out = (0, 0) if failed else (int(chance.lognormvariate(8, 1)), int(chance.lognormvariate(6, 1)))
    price = _price_at(deployment, at)
    cost = (
        [None, None]
        if price is None
        else [into * _pico(price.input_per_million), out * _pico(price.output_per_million)]
    )
    free = status in ("error", "cached")
    latency = chance.lognormvariate(7.5, 0.6)
    return UsageRecord(
        **_facts(key, deployment, at),
        id=uuid7_at(int(at.timestamp() * 1000)),
        end_user=f"user-{chance.randrange(400)}",
        status=status,
        error_code="PROVIDER_ERROR" if failed else "",
        error_detail="The provider answered with status 529." if failed else "",
        finish_reason="" if failed else "stop",
        served_model=deployment.name,
        evidence="none" if free else "reported" if status == "ok" else "estimated",
        input_tokens=into,
        cached_input_tokens=into // 4,
        output_tokens=out,
        usage_payload=json.dumps({"prompt_tokens": into, "completion_tokens": out}),
        price_id=price.pk if price else None,
        cost_pico=0 if free else None if cost[0] is None or cost[1] is None else cost[0] + cost[1],
        input_cost_pico=0 if free else cost[0],
        output_cost_pico=0 if free else cost[1],
        request_cost_pico=0,
        latency_ms=latency,
        first_token_ms=latency / 5,
        overhead_ms=1.4,
        ended_at=at + timedelta(milliseconds=latency),
    )


def _price_at(deployment: Deployment, at: datetime) -> Price | None:
    """As the deployment's own method, without asking the database for each call."""
    in_force = [price for price in deployment.prices.all() if price.valid_from <= at]
    return max(in_force, key=lambda price: price.valid_from, default=None)


def _hold(chance: random.Random, key: ApiKey, deployment: Deployment, now: datetime) -> None:
    at = now - timedelta(seconds=chance.randrange(2, 30))
    Hold.objects.create(
        **_facts(key, deployment, at),
        end_user="user-7",
        amount_pico=41_250_000_000,
        input_tokens=1_000,
        output_tokens=4_000,
        lease_id=uuid7(),
        deadline_at=at + timedelta(minutes=10),
    )


def _pico(per_million: Decimal) -> int:
    return int(per_million * 1_000_000)
