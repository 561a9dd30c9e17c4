"""What rules look at: figures by subject, read from rollups, budgets, health, proofs and keys. Reads only.

A call counts in the window in which it started, and is known once it has ended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import cached_property

import msgspec
from django.db.models import Count, Prefetch, Q

from accounts.models import ApiKey
from alerts.measures import MOST_BY_CALL, is_breached
from alerts.models import Certificate, Incident, Rule
from providers import circuits, prices
from providers.models import Deployment, Health, Provider
from usage import queries, spending, sums
from usage.models import Budget, BudgetWindow, Hold, Proof, UsageRecord
from usage.periods import EPOCH
from usage.rollups import quarter_of

_COLUMNS: dict[str, tuple[str, ...]] = {
    "all": (),
    "provider": ("provider",),
    "client": ("client",),
    "route": ("requested_model",),
    "key": ("key_prefix",),
    "model": ("provider", "deployment"),
}
_TOGETHER = ("client", "provider", "deployment")  # read once for all scopes that are made of them
_DAY = timedelta(days=1)  # before the same time of the day before, when traffic is missed
_LEAST_ELAPSED = 0.05  # of a budget's period, before its end can be foretold
_STILL = timedelta(days=7)  # so long traffic is missed, and a key that had expired before it was watched is told of
_FULL = 100.0


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One subject's figure, in its measure's unit. `value` None: too little is known to conclude anything.

    `calls` are those that it was read from, where it was read from calls; `label` names the subject to people.
    """

    subject: str
    value: float | None
    calls: int | None = None
    label: str = ""


class Figures:
    """The figures of one moment. Rules that look at the same calls share one query."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self._read: dict[tuple[tuple[str, ...], datetime, datetime], list[sums.Line]] = {}

    def readings(self, rule: Rule) -> list[Reading]:
        """Of the subject that the rule names, or of each there is."""
        reader = _READERS.get(rule.measure)
        found = reader(self, rule) if reader else ()  # a rule of another version, whose measure is not known here
        return [reading for reading in found if not rule.subject or reading.subject == rule.subject]

    def traffic(self, scope: str, start: datetime, end: datetime) -> dict[str, sums.Figures]:
        """The sums of calls that started in the range, by subject."""
        wanted = _COLUMNS[scope]
        columns = _TOGETHER if set(wanted) <= set(_TOGETHER) else wanted
        places = [columns.index(name) for name in wanted]
        found: dict[str, sums.Figures] = {}
        for line in self._lines(columns, start, end):
            subject = "/".join(str(line.key[place]) for place in places)
            found[subject] = sums.added(found.get(subject), line.figures)
        # A call that was never sent has no provider, and none that anybody could be told of.
        return {subject: figures for subject, figures in found.items() if subject.strip("/") or scope == "all"}

    def _lines(self, columns: tuple[str, ...], start: datetime, end: datetime) -> list[sums.Line]:
        key = (columns, start, end)
        if key not in self._read:
            self._read[key] = list(sums.lines(start, end, columns=columns, filters={}))
        return self._read[key]

    @cached_property
    def budgets(self) -> list[tuple[Budget, BudgetWindow]]:
        """Each active budget, and its period of now."""
        return list(spending.running_windows(Budget.objects.filter(is_active=True), self.now))

    def in_window(self, rule: Rule) -> dict[str, sums.Figures]:
        starts_at = self.now - rule.window
        if rule.window > MOST_BY_CALL:
            starts_at = quarter_of(starts_at)
        return self.traffic(rule.scope, starts_at, self.now)


# --- calls --------------------------------------------------------------------------------------------------------


def _error_share(figures: Figures, rule: Rule) -> Iterator[Reading]:
    """Of the calls that were answered or failed: all the others would make an outage look small."""
    for subject, found in figures.in_window(rule).items():
        calls = found["calls"] - found["refused"] - found["cached"] - found["cancelled"]
        known = calls >= max(rule.minimum_calls, 1)
        yield Reading(subject=subject, value=_FULL * found["errors"] / calls if known else None, calls=calls)


def _latency(figures: Figures, rule: Rule) -> Iterator[Reading]:
    for subject, found in figures.in_window(rule).items():
        answered = found["answered"]
        known = answered >= max(rule.minimum_calls, 1)
        yield Reading(subject=subject, value=found["latency_us"] / 1e6 / answered if known else None, calls=answered)


def _cost(figures: Figures, rule: Rule) -> Iterator[Reading]:
    for subject, found in figures.in_window(rule).items():
        yield Reading(subject=subject, value=found["cost_pico"] / 1e12, calls=found["calls"])


def _rate_limited(figures: Figures, rule: Rule) -> Iterator[Reading]:
    traffic = figures.in_window(rule)
    any_refused = any(found["refused"] for found in traffic.values())
    refused = _refused_by_limits(rule.scope, figures.now - rule.window, figures.now) if any_refused else {}
    for subject, found in traffic.items():
        calls = found["calls"]
        known = calls >= max(rule.minimum_calls, 1)
        share = _FULL * refused.get(subject, 0) / calls if known else None
        yield Reading(subject=subject, value=share, calls=calls)


def _refused_by_limits(scope: str, start: datetime, end: datetime) -> dict[str, int]:
    """How many, by subject. The rollups do not keep error codes apart, the records do."""
    rows = queries.records(start, end, status=UsageRecord.Status.REFUSED).filter(
        error_code="RATE_LIMITED", is_final=True
    )
    columns = _COLUMNS[scope]
    found = rows.order_by().values(*columns).annotate(number=Count("pk")) if columns else [{"number": rows.count()}]
    return {"/".join(str(row[name]) for name in columns): row["number"] for row in found}


def _unpriced(figures: Figures, rule: Rule) -> Iterator[Reading]:
    """That a model is hardly called any more is no all-clear: that it has a price is one."""
    found = figures.in_window(rule)
    is_priced = _priced_now(rule, figures.now)
    for subject in found.keys() | is_priced.keys():
        value = found[subject]["unknown_cost_rows"] if subject in found else 0
        known = is_priced.get(subject, True) or is_breached(rule.measure, value, float(rule.limit))
        calls = found[subject]["calls"] if subject in found else 0
        yield Reading(subject=subject, value=value if known else None, calls=calls)


def _priced_now(rule: Rule, now: datetime) -> dict[str, bool]:
    """The models of the rule's incidents, as far as they are still there, and whether each has a price now."""
    told = set(Incident.objects.unresolved().filter(rule=rule).values_list("subject", flat=True))
    models = Deployment.objects.filter(is_active=True, provider__slug__in={each.split("/")[0] for each in told})
    unpriced = set(prices.unpriced(models, now=now).values_list("pk", flat=True))
    names = {row.pk: f"{row.provider.slug}/{row.name}" for row in models.select_related("provider")}
    return {name: key not in unpriced for key, name in names.items() if name in told}


def _no_traffic(figures: Figures, rule: Rule) -> Iterator[Reading]:
    """Only of those to whom the same time of the day before brought `minimum_calls`, or who are missed already."""
    present = figures.in_window(rule)
    ended = figures.now - max(_DAY, rule.window)
    before = figures.traffic(rule.scope, ended - rule.window, ended)
    usual = {subject for subject, found in before.items() if found["calls"] >= max(rule.minimum_calls, 1)}
    missed = Incident.objects.unresolved().filter(rule=rule, since__gt=figures.now - _STILL)
    for subject in usual.union(missed.values_list("subject", flat=True)):
        calls = present[subject]["calls"] if subject in present else 0
        yield Reading(subject=subject, value=calls, calls=calls)


# --- budgets ------------------------------------------------------------------------------------------------------


def _budget_used(figures: Figures, _rule: Rule) -> Iterator[Reading]:
    for budget, window in figures.budgets:
        yield Reading(subject=budget.name, value=_used(window))


def _budget_forecast(figures: Figures, _rule: Rule) -> Iterator[Reading]:
    """The pace of the period so far, carried on to its end."""
    for budget, window in figures.budgets:
        yield Reading(subject=budget.name, value=_forecast(window, figures.now))


def _budget_refused(figures: Figures, rule: Rule) -> Iterator[Reading]:
    """By the window that each refusal names: a call may count in several budgets, of which one had no room.

    That fewer ask, or nobody, is no all-clear: that the budget takes calls again is one, or that its next period began.
    """
    starts_at = figures.now - rule.window
    traffic = figures.traffic("all", starts_at, figures.now) if figures.budgets else {}
    any_refused = any(found["refused"] for found in traffic.values())
    refused = _refused_by_budgets(starts_at, figures.now) if any_refused else {}
    told = dict(Incident.objects.unresolved().filter(rule=rule).values_list("subject", "since"))
    taking = _taking_calls(starts_at, figures.now) if told else set()
    for budget, window in figures.budgets:
        name, value = str(window.pk), refused.get(str(window.pk), 0)
        since = told.get(budget.name)
        is_over = since is None or not budget.hard or window.starts_at > since or name in taking
        known = is_over or is_breached(rule.measure, value, float(rule.limit))
        yield Reading(subject=budget.name, value=value if known else None)


def _refused_by_budgets(start: datetime, end: datetime) -> dict[str, int]:
    """How many, by the window's id."""
    rows = queries.records(start, end, status=UsageRecord.Status.REFUSED).filter(
        error_code="BUDGET_EXCEEDED", is_final=True
    )
    found: Counter[str] = Counter()
    for row in rows.order_by().values("windows").annotate(number=Count("pk")):
        found.update(dict.fromkeys(row["windows"], row["number"]))
    return found


def _taking_calls(start: datetime, end: datetime) -> set[str]:
    """The ids of the windows in which calls of that time count that were sent, or are under way."""
    sent = queries.records(start, end).filter(kind=UsageRecord.Kind.CALL, attempt__gt=0)
    flying = Hold.objects.filter(started_at__gte=start)
    found = [*sent.order_by().values_list("windows").distinct(), *flying.values_list("windows")]
    return {name for (windows,) in found for name in windows}


def _used(window: BudgetWindow) -> float:
    room = window.cap_pico + window.raised_pico
    return _FULL * window.settled_pico / room if room else _FULL


def _forecast(window: BudgetWindow, now: datetime) -> float | None:
    if window.ends_at is None or window.starts_at == EPOCH:
        return None
    elapsed = (now - window.starts_at) / (window.ends_at - window.starts_at)
    return _used(window) / elapsed if elapsed >= _LEAST_ELAPSED else None


# --- the rest -----------------------------------------------------------------------------------------------------


def _provider_down(figures: Figures, _rule: Rule) -> Iterator[Reading]:
    active = Deployment.objects.filter(is_active=True)
    providers = Provider.objects.filter(is_active=True).select_related("health")
    found = list(providers.prefetch_related(Prefetch("deployments", queryset=active, to_attr="models")))
    standing = circuits.standing(model.pk for provider in found for model in provider.models)
    for provider in found:
        seen = [standing[model.pk] for model in provider.models if model.pk in standing]
        is_down = _fails_checks(provider) or any(each.is_down(figures.now.timestamp()) for each in seen)
        yield Reading(subject=provider.slug, value=float(is_down), label=provider.name)


def _fails_checks(provider: Provider) -> bool:
    found: Health | None = getattr(provider, "health", None)
    return found is not None and found.status == Health.Status.UNHEALTHY


def _ledger_drift(_figures: Figures, _rule: Rule) -> Iterator[Reading]:
    proof = Proof.objects.first()
    if proof is not None:
        yield Reading(subject="", value=float(0 if proof.is_balanced else max(len(proof.differences), 1)))


def _key_expiry(figures: Figures, rule: Rule) -> Iterator[Reading]:
    """Also of those that expired of late, or that somebody has been told of: that is no all-clear."""
    watched = ApiKey.objects.filter(is_active=True, client__is_active=True, expires_at__isnull=False)
    told = Incident.objects.unresolved().filter(rule=rule).values("subject")
    keys = watched.filter(Q(expires_at__gt=figures.now - _STILL) | Q(prefix__in=told))
    for key in keys.select_related("client"):
        assert key.expires_at is not None
        left = (key.expires_at - figures.now) / timedelta(days=1)
        yield Reading(subject=key.prefix, value=left, label=str(key))


def _certificate_expiry(figures: Figures, _rule: Rule) -> Iterator[Reading]:
    for found in Certificate.objects.filter(expires_at__isnull=False):
        assert found.expires_at is not None
        yield Reading(subject=found.provider, value=(found.expires_at - figures.now) / timedelta(days=1))


_READERS: dict[str, Callable[[Figures, Rule], Iterator[Reading]]] = {
    "error_share": _error_share,
    "latency": _latency,
    "cost": _cost,
    "budget_used": _budget_used,
    "budget_forecast": _budget_forecast,
    "budget_refused": _budget_refused,
    "provider_down": _provider_down,
    "rate_limited": _rate_limited,
    "unpriced": _unpriced,
    "no_traffic": _no_traffic,
    "ledger_drift": _ledger_drift,
    "key_expiry": _key_expiry,
    "certificate_expiry": _certificate_expiry,
}
