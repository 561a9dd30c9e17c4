"""What was used and what it cost, in the words of specifications B and E.

A key sees its own client's calls, a token those of whom it was given to.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from django.utils import timezone

from gateway.catalogue import Caller
from gateway.doors.ranges import Range, asked_range
from gateway.doors.telling import dollars, own, read, since, tell
from gateway.http import Exchange
from usage import queries
from usage.queries import By, Filters, Group
from usage.sums import known_cost
from usage.transactions import snapshot
from wire.errors import ApiError, Code

if TYPE_CHECKING:
    from gateway.asgi import Door, Gateway

_EMBEDDINGS = (
    *("openai.embeddings", "spec_e.embeddings", "spec_e.vector"),
    *("gemini.embeddings", "ollama.embed"),
)
_PARTS: tuple[By, ...] = ("provider", "model", "day")
_METRICS_WINDOW = timedelta(hours=24)
_MUCH = 0.5


async def usage_for_e(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """`GET /v1/llm/usage?user_id&start_date&end_date`: of every call."""
    del gateway, door
    asked = asked_range(exchange)
    await tell(exchange, await read(_usage, caller, asked, [_filters(caller, asked)]))


async def embedding_usage_for_e(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """`GET /v1/llm/embedding-usage`: the same of calls for embeddings."""
    del gateway, door
    asked = asked_range(exchange)
    filters = _filters(caller, asked)
    parts: list[Filters] = [{**filters, "surface": surface} for surface in _EMBEDDINGS]
    await tell(exchange, await read(_usage, caller, asked, parts))


async def costs_for_b(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """`GET /api/v1/analytics/costs?start_date&end_date`."""
    del gateway, door
    asked = asked_range(exchange)
    await tell(exchange, await read(_costs, caller, asked, _filters(caller, asked)))


async def metrics_for_b(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """`GET /api/v1/metrics`: of the last 24 hours."""
    del door
    await tell(exchange, await metrics(gateway, caller))


async def metrics(gateway: Gateway, caller: Caller) -> dict[str, Any]:
    """`requests, cache, providers, failovers, latency` of the last 24 hours."""
    now = timezone.now()
    found = await read(_metrics, caller, now)
    cache = await gateway.pipeline.cache.health(caller)
    return {**found, "cache": {**found["cache"], "entries": cache.entries}, "timestamp": time.time()}


def _filters(caller: Caller, asked: Range) -> Filters:
    """Raises `ApiError` FORBIDDEN where a token asks about another than whom it was given to."""
    filters = own(caller)
    its_own = filters.get("end_user")
    if its_own is not None and asked.user_id not in (None, its_own):
        raise ApiError(Code.FORBIDDEN, "This token may ask about its own end user alone.", param="user_id")
    return {**filters, "end_user": its_own or asked.user_id}


def _usage(caller: Caller, asked: Range, parts: Iterable[Filters]) -> dict[str, Any]:
    """Specification E's statistics, of all the parts together."""
    asked = _since(caller, asked)
    by_model, by_day = _Sums(), _Sums()
    with snapshot():
        for part in parts:
            by_model.add(_grouped(asked, "model", part))
            by_day.add(_grouped(asked, "day", part))
    return {
        "total_requests": sum(by_model.requests.values()),
        "total_tokens": sum(by_model.tokens.values()),
        "total_cost": dollars(known_cost(sum(by_model.cost_pico.values()), sum(by_model.unknown.values()))),
        "unknown_cost_requests": sum(by_model.unknown.values()),
        "requests_by_model": by_model.requests,
        "cost_by_model": {model: by_model.cost(model) for model in by_model.cost_pico},
        "daily_usage": [
            {"date": day, "requests": requests, "cost": by_day.cost(day)}
            for day, requests in sorted(by_day.requests.items())
        ],
    }


class _Sums:
    """Groups of several parts, added up by their key."""

    def __init__(self) -> None:
        self.requests: dict[str, int] = defaultdict(int)
        self.tokens: dict[str, int] = defaultdict(int)
        self.cost_pico: dict[str, int] = defaultdict(int)
        self.unknown: dict[str, int] = defaultdict(int)

    def add(self, groups: Iterable[Group]) -> None:
        for group in groups:
            self.requests[group.key] += group.requests
            self.tokens[group.key] += group.total_tokens
            self.cost_pico[group.key] += group.cost_pico or 0
            self.unknown[group.key] += group.unknown_cost_requests

    def cost(self, key: str) -> msgspec.Raw | None:
        return dollars(known_cost(self.cost_pico[key], self.unknown[key]))


def _costs(caller: Caller, asked: Range, filters: Filters) -> dict[str, Any]:
    asked = _since(caller, asked)
    with snapshot():
        totals = queries.totals(asked.start, asked.end, **filters)
        providers, models, days = (_grouped(asked, by, filters) for by in _PARTS)
    return {
        "total_usd": dollars(totals.cost_pico),
        "by_provider": _by_key(providers),
        "by_model": _by_key(models),
        "by_day": _by_key(days),
        "cache_savings_usd": dollars(totals.saved_pico),
        "suggestions": suggestions(totals, models),
    }


def suggestions(totals: queries.Totals, models: Iterable[Group]) -> list[str]:
    """What would bring costs down, or make them known, in plain words. Pure."""
    found = []
    for group in models:
        share = (group.cost_pico or 0) / totals.cost_pico if totals.cost_pico else 0.0
        if share > _MUCH:
            found.append(f"{group.key} is {share:.0%} of the cost: a cheaper model for a part of its calls saves most.")
        if group.key and group.unknown_cost_requests:
            found.append(f"{group.key} has {group.unknown_cost_requests:,} calls of unknown cost: give it a price.")
    if totals.requests and not totals.cached:
        found.append("No call was answered from the cache: equal calls with temperature 0, or X-Cache: on, cost once.")
    return found


def _metrics(caller: Caller, end: datetime) -> dict[str, Any]:
    start, filters = since(caller, end - _METRICS_WINDOW), own(caller)
    with snapshot():
        totals = queries.totals(start, end, **filters)
        providers = queries.grouped(start, end, by="provider", **filters)
    asked = totals.requests - totals.refused
    return {
        "requests": {
            "total": totals.requests,
            "successful": totals.requests - totals.errors - totals.refused - totals.cancelled,
            "failed": totals.errors,
            "refused": totals.refused,
            "cancelled": totals.cancelled,
        },
        "cache": {"hits": totals.cached, "hit_rate": totals.cached / asked if asked else 0.0},
        "providers": {
            group.key: {
                "requests": group.requests,
                "errors": group.errors,
                "cost_usd": dollars(group.cost_pico),
                "avg_latency_ms": group.latency_ms,
            }
            for group in providers
            if group.key
        },
        "failovers": _failovers(start, end, filters),
        "latency": {"avg_ms": totals.latency_ms},
    }


def _failovers(start: datetime, end: datetime, filters: Filters) -> int:
    """Calls that another dispatch than their first has answered."""
    return queries.records(start, end, **filters).filter(is_final=True, status="ok", attempt__gt=1).count()


def _since(caller: Caller, asked: Range) -> Range:
    return msgspec.structs.replace(asked, start=min(since(caller, asked.start), asked.end))


def _grouped(asked: Range, by: By, filters: Filters) -> list[Group]:
    return queries.grouped(asked.start, asked.end, by=by, time_zone=asked.time_zone, **filters)


def _by_key(groups: Iterable[Group]) -> dict[str, msgspec.Raw | None]:
    """Those with calls, or a cost: a failed attempt and a re-pricing count as no call, and may have one."""
    told = (group for group in groups if group.key and (group.requests or group.cost_pico != 0))
    return {group.key: dollars(group.cost_pico) for group in told}
