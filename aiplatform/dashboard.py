"""The admin's home page: what is spent, what fails, who is well, and what to do next."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from typing import Any, TypeVar

import msgspec
from django.conf import settings
from django.db.models import Case, QuerySet, When
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from accounts.models import ApiKey
from alerts.models import Incident, Rule
from core import display
from core.money import PICO_PER_USD
from providers import health
from providers.admin.route import dead_end
from providers.kinds import KINDS
from providers.models import Deployment, Health, Provider, Route
from providers.operations import DEFAULT_ROUTE, DEMO
from providers.prices import unpriced
from providers.standing import STALE_AFTER, Standing, State
from usage import queries
from usage.models import UsageRecord
from usage.queries import Group, Totals
from usage.transactions import snapshot

CHART_DAYS = 30
_DEAD_ENDS_NAMED = 3
TOP = 6


class Card(msgspec.Struct, frozen=True):
    """One figure. `note` explains it; `tone` colours the note. `permission`, here and below, is what its page needs."""

    title: str
    value: str
    note: str
    url: str
    tone: str = ""
    exact: str = ""
    permission: str = ""


class ProviderCard(msgspec.Struct, frozen=True):
    name: str
    kind: str
    url: str
    state: str
    tone: str
    note: str
    permission: str = "providers.view_provider"


class Row(msgspec.Struct, frozen=True):
    """A line of a top list; `share` is its part of the longest, in percent."""

    name: str
    calls: str
    cost: str
    share: int


class Step(msgspec.Struct, frozen=True):
    """One thing to do before the platform is of use."""

    text: str
    hint: str
    done: bool
    url: str = ""
    button: str = ""
    permission: str = ""


class Notice(msgspec.Struct, frozen=True):
    text: str
    url: str = ""
    link: str = ""
    permission: str = ""


def add_figures(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's DASHBOARD_CALLBACK. Figures are for those who may see calls; others get the page without them."""
    if request.user.has_perm("usage.view_usagerecord"):
        with snapshot():
            context["home"] = _home(request.user, now=timezone.now(), zone=timezone.get_default_timezone())
    return context


def _home(reader: Any, *, now: datetime, zone: tzinfo) -> dict[str, Any]:
    today, month = queries.bucket_start(now, "day", zone), queries.bucket_start(now, "month", zone)
    tomorrow = queries.next_bucket(today, "day", zone)
    interrupted = queries.totals(today, tomorrow, status=UsageRecord.Status.INTERRUPTED).requests
    spent_today, spent_month = queries.totals(today, tomorrow), queries.totals(month, tomorrow)
    providers = list(Provider.objects.select_related("health"))
    steps = [_open_to(reader, step) for step in _steps(providers)]
    standings = health.standings(providers, now=now)
    return {
        "cards": [_open_to(reader, card) for card in _cards(spent_today, interrupted, spent_month, month)],
        "providers": [
            _open_to(reader, _provider_card(row, standings[row.pk], now)) for row in providers if row.is_active
        ],
        "chart": _chart(today, tomorrow, zone, {row.slug: row.name for row in providers}),
        "models": _top(queries.grouped(month, tomorrow, by="model"), "no model (never sent)"),
        "clients": _top(queries.grouped(month, tomorrow, by="client"), "no client"),
        "steps": steps if not all(step.done for step in steps) else [],
        "notices": [_open_to(reader, notice) for notice in _notices(providers, spent_month, now)],
        "month": f"{month:%B}",
        "days_of": _zone_of_days(zone),
        "is_new": not queries.has_calls(),
        "curl": _curl(),
        "address": f"http://{settings.HOST}:{settings.PORT}",
    }


_Linked = TypeVar("_Linked", Card, ProviderCard, Step, Notice)


def _open_to(reader: Any, shown: _Linked) -> _Linked:
    """The same; without its link where `reader` may not go there."""
    needed = shown.permission
    return shown if not needed or reader.has_perm(needed) else msgspec.structs.replace(shown, url="")


# --- parts of the page --------------------------------------------------------------------------------------------


def _cards(today: Totals, interrupted: int, month: Totals, since: datetime) -> list[Card]:
    calls, flying = reverse("admin:usage_usagerecord_changelist"), queries.in_flight()
    return [
        Card("Spent today", *_money(today), f"{calls}?period=today", exact=display.dollars(today.cost_pico)),
        Card(f"Spent in {since:%B}", *_money(month), f"{calls}?period=month", exact=display.dollars(month.cost_pico)),
        Card(
            "Calls today",
            display.count(today.requests),
            _ended(today, interrupted),
            f"{calls}?period=today{_listed(today, interrupted)}",
            "bad" if today.error_share > 0.05 else "",
        ),
        Card(
            "In flight now",
            display.count(flying.calls),
            f"at most {display.dollars_rounded(flying.amount_pico)}" if flying.calls else "no call is waiting",
            reverse("admin:usage_hold_changelist"),
            permission="usage.view_hold",
        ),
    ]


def _zone_of_days(zone: tzinfo) -> str:
    """Where the reader's clock is another, whose midnights part the days."""
    return "" if str(zone) == timezone.get_current_timezone_name() else str(zone)


def _ended(today: Totals, interrupted: int) -> str:
    """How many did not end well, in the words of the list of calls."""
    if not today.requests:
        return "none yet"
    counts = {"failed": today.errors - interrupted, "interrupted": interrupted, "refused": today.refused}
    told = ", ".join(f"{display.count(number)} {how}" for how, number in counts.items() if number)
    return told if today.errors else f"none failed, {told}".removesuffix(", ")


def _listed(today: Totals, interrupted: int) -> str:
    """The filter of that list: it shows one status at a time."""
    if not today.errors:
        return ""
    return f"&status__exact={'error' if today.errors > interrupted else 'interrupted'}"


def _money(spent: Totals) -> tuple[str, str]:
    """The sum, and how many calls it is for."""
    calls = f"{display.count(spent.requests)} call{'' if spent.requests == 1 else 's'}"
    tokens = f", {display.count(spent.total_tokens)} tokens" if spent.total_tokens else ""
    return display.dollars_rounded(spent.cost_pico), calls + tokens


def _provider_card(row: Provider, told: Standing, now: datetime) -> ProviderCard:
    found: Health | None = getattr(row, "health", None)
    kind = KINDS[row.kind].label.split(" (")[0] if row.kind in KINDS else row.kind
    url = _page("providers_provider", row)
    state, tone = _STATES[told.state]
    if found is None:
        return ProviderCard(row.name, kind, url, "Never checked" if told.state == "unknown" else state, tone, "")
    when = display.ago(found.checked_at, now=now)
    if told.state == "healthy" and found.status == Health.Status.HEALTHY:
        return ProviderCard(row.name, kind, url, state, tone, f"{display.milliseconds(found.latency_ms)}, {when}")
    checked = "" if told.is_stale else f" Checked {when}."
    return ProviderCard(row.name, kind, url, state, tone, told.why + checked)


_STATES: dict[State, tuple[str, str]] = {
    "healthy": ("Healthy", "good"),
    "degraded": ("Failing at times", "bad"),
    "unhealthy": ("Not answering", "bad"),
    "unknown": ("Not known", ""),
}


def _chart(today: datetime, tomorrow: datetime, zone: tzinfo, names: dict[str, str]) -> dict[str, Any]:
    """Days by provider, in dollars and in calls. Floats are good enough to draw."""
    first = queries.midnight(today.date() - timedelta(days=CHART_DAYS - 1), zone)
    days = [first.date() + timedelta(days=number) for number in range(CHART_DAYS)]
    place = {day: number for number, day in enumerate(days)}
    lines: dict[str, dict[str, Any]] = {}
    for point in queries.series(first, tomorrow, by="provider", time_zone=zone):
        name = names.get(point.key, point.key) or "no provider"
        line = lines.setdefault(name, {"name": name, "cost": [0.0] * CHART_DAYS, "calls": [0] * CHART_DAYS})
        line["cost"][place[point.starts_at.date()]] += point.cost_pico / PICO_PER_USD
        line["calls"][place[point.starts_at.date()]] += point.requests
    ordered = sorted(lines.values(), key=lambda line: (-sum(line["cost"]), -sum(line["calls"])))
    return {"days": [f"{day:%-d %b}" for day in days], "lines": ordered}


def _top(groups: list[Group], nameless: str) -> list[Row]:
    shown = groups[:TOP]
    longest = max((group.cost_pico or 0 for group in shown), default=0)
    return [
        Row(
            group.key or nameless,
            display.count(group.requests),
            display.dollars_rounded(group.cost_pico),
            round(100 * (group.cost_pico or 0) / longest) if longest else 0,
        )
        for group in shown
    ]


def _steps(providers: list[Provider]) -> list[Step]:
    own = [row for row in providers if row.kind != DEMO and row.is_active]
    demo = any(row.kind == DEMO and row.is_active for row in providers)
    demo_answers = demo and not Route.objects.dead_ends().filter(name=DEFAULT_ROUTE).exists()
    return [
        Step(
            "Add a provider" if not demo else "Add a provider of your own",
            "Its key, its models and their prices, all on one page."
            + (" Until then the demo answers." if demo_answers else ""),
            bool(own),
            reverse("admin:providers_provider_add"),
            "Add a provider",
            "providers.add_provider",
        ),
        Step(
            "Create an API key",
            "For the first product that is to call. It is shown once.",
            ApiKey.objects.filter(is_active=True).exists(),
            reverse("admin:accounts_apikey_add"),
            "Create a key",
            "accounts.add_apikey",
        ),
        Step(
            "Make the first call",
            "Here in the browser; or paste this into a terminal, with your key in it.",
            queries.has_calls(),
            reverse("playground"),
            "Try a model",
        ),
    ]


def _notices(providers: list[Provider], month: Totals, now: datetime) -> Any:
    severities = list(Incident.objects.filter(state=Incident.State.OPEN).values_list("severity", flat=True))
    if any(severity != Rule.Severity.INFO for severity in severities):
        incidents = f"{len(severities)} incident{' is' if len(severities) == 1 else 's are'} open."
        listed = f"{reverse('admin:alerts_incident_changelist')}?state=now"
        yield Notice(incidents, listed, "See what is wrong", "alerts.view_incident")
    if month.unknown_cost_requests:
        number = month.unknown_cost_requests
        yield Notice(
            f"The cost of {display.count(number)} call{'' if number == 1 else 's'} this month is unknown, "
            "so the sums here lack it. Once its model has a price, it can be re-priced.",
            reverse("admin:usage_repricing_changelist"),
            "Re-pricing",
            "usage.view_repricing",
        )
    unknown: QuerySet[Any] = unpriced(_active_models(), now=now)
    if names := _some_names(unknown.filter(priced_in=None)):
        yield Notice(
            f"No price for {names}: {_UNKNOWN}",
            f"{reverse('admin:providers_deployment_changelist')}?price=unknown",
            "Models without a price",
            "providers.view_deployment",
        )
    if names := _some_names(unknown.exclude(priced_in=None)):
        yield Notice(
            f"No exchange rate for the prices of {names}: {_UNKNOWN}",
            reverse("admin:providers_exchangerate_changelist"),
            "Exchange rates",
            "providers.view_exchangerate",
        )
    if _active_models().exists():
        yield from _dead_ends()
    checked = [row.health.checked_at for row in providers if row.is_active and getattr(row, "health", None) is not None]
    if checked and now - max(checked) > STALE_AFTER:
        yield Notice(
            f"Providers were last checked {display.ago(max(checked), now=now)}. Is the background worker running?"
        )
    catch_all = Route.objects.filter(catch_all=True, is_active=True).first()
    if catch_all is not None:
        yield Notice(
            f"The route “{catch_all.name}” answers calls for any unknown model name. Good for trying out; "
            "switch it off before real use.",
            _page("providers_route", catch_all),
            "Change the route",
            "providers.change_route",
        )


_UNKNOWN = "what calls there cost is unknown, and callers with a hard budget are refused."


def _dead_ends() -> Iterator[Notice]:
    """A few by name, and how many more there are."""
    found = Route.objects.dead_ends()
    first = When(name=DEFAULT_ROUTE, then=0)
    for route in found.order_by(Case(first, default=1), "name")[:_DEAD_ENDS_NAMED]:
        yield Notice(dead_end(route), _page("providers_route", route), "Change the route", "providers.change_route")
    if (more := found.count() - _DEAD_ENDS_NAMED) > 0:
        yield Notice(
            f"No active model stands behind {more} more {'route: its' if more == 1 else 'routes: their'} calls fail.",
            reverse("admin:providers_route_changelist"),
            "Routes",
            "providers.view_route",
        )


def _some_names(models: QuerySet[Deployment]) -> str:
    """Three, and how many more there are; "" where there is none."""
    first = list(models.values_list("name", flat=True)[:3])
    more = models.count() - len(first) if len(first) == 3 else 0
    return ", ".join(first) + (f" and {more} more" if more else "")


def _active_models() -> QuerySet[Deployment]:
    return Deployment.objects.filter(is_active=True, provider__is_active=True).order_by("name")


def _curl() -> str:
    """A first call, ready to paste but for the key; the page puts its own address in."""
    models = _active_models().filter(type=Deployment.Type.CHAT)
    route = Route.objects.filter(is_active=True, targets__deployment__in=models).order_by("name").first()
    model = models.first()
    name = route.name if route is not None else model.name if model is not None else DEFAULT_ROUTE
    body = json.dumps({"model": name, "messages": [{"role": "user", "content": "Hello"}]}, ensure_ascii=False)
    return (
        "curl ADDRESS/v1/chat/completions \\\n"
        '  -H "Authorization: Bearer YOUR_KEY" \\\n'
        '  -H "Content-Type: application/json" \\\n'
        f"  -d {shlex.quote(body)}"
    )


def _page(name: str, row: Any) -> str:
    return reverse(f"admin:{name}_change", args=[row.pk])
