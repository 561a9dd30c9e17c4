"""What a rule can watch, by the name that is stored: a line here and a reader in `alerts.figures`. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

import msgspec

Unit = Literal["percent", "seconds", "dollars", "calls", "days", "differences", "yes"]
Absence = Literal["unknown", "good", "gone"]
CALLERS = ("all", "client", "route", "key")
TRAFFIC = ("all", "provider", "client", "route", "key")
# What the rollups do not keep apart is counted call by call. Longer windows begin with a whole quarter-hour of theirs.
MOST_BY_CALL = timedelta(hours=1)
SCOPES = {
    "all": "Everything together",
    "provider": "Each provider",
    "client": "Each client",
    "route": "Each model or route, as callers name it",
    "key": "Each API key",
    "budget": "Each budget",
    "model": "Each model at its provider",
}
ONE_OF = {
    "provider": "the provider",
    "client": "the client",
    "route": "the model or route",
    "key": "the key",
    "budget": "the budget",
    "model": "the model",
}


class Measure(msgspec.Struct, frozen=True, kw_only=True):
    """`condition` completes “when …”, with the limit as {limit} and the window as {window}.

    `falls`: low figures are the bad ones. `has_limit` False: it is either so or not. `absent`: what it means where a
    subject has no figure: too little is known, nothing is wrong, or there is nothing left to watch. `unjudged`: what is
    told where an incident ends because too little has been known for long; empty: it stays open.
    """

    label: str
    condition: str
    unit: Unit
    scopes: tuple[str, ...]
    falls: bool = False
    has_limit: bool = True
    absent: Absence = "gone"
    unjudged: str = ""


_TOO_FEW_CALLS = "There are no calls any more to judge by, or too few."

MEASURES: dict[str, Measure] = {
    "error_share": Measure(
        label="Share of calls that fail in the end",  # what another provider or try made good has not failed
        condition="more than {limit} of the calls fail within {window}",
        unit="percent",
        scopes=TRAFFIC,
        absent="unknown",
        unjudged=_TOO_FEW_CALLS,
    ),
    "latency": Measure(
        label="Average time to answer",
        condition="answers take longer than {limit} on average within {window}",
        unit="seconds",
        scopes=TRAFFIC,
        absent="unknown",
        unjudged=_TOO_FEW_CALLS,
    ),
    "cost": Measure(
        label="Cost",
        condition="more than {limit} is spent within {window}",
        unit="dollars",
        scopes=TRAFFIC,
        absent="good",
    ),
    "budget_used": Measure(
        label="Part of a budget that is used",
        condition="{limit} of the budget or more is used",
        unit="percent",
        scopes=("budget",),
    ),
    "budget_forecast": Measure(
        label="Part of a budget that will be used by its period's end",
        condition="at this pace {limit} of the budget or more will be used by the end of its period",
        unit="percent",
        scopes=("budget",),
        unjudged="The budget's period has only begun: it is too early to tell.",
    ),
    "budget_refused": Measure(
        label="Calls that a hard budget refuses",  # long before it is used up: each call must fit at its highest cost
        condition="more than {limit} are refused for want of room within {window}",
        unit="calls",
        scopes=("budget",),
    ),
    "provider_down": Measure(
        label="Provider not answering",
        condition="the provider does not answer our checks, or is left alone after failures",
        unit="yes",
        scopes=("provider",),
        has_limit=False,
    ),
    "rate_limited": Measure(
        label="Share of calls refused by rate limits",
        condition="more than {limit} of the calls are refused by our rate limits within {window}",
        unit="percent",
        scopes=CALLERS,  # a call that was refused has no provider
        absent="unknown",
        unjudged=_TOO_FEW_CALLS,
    ),
    "unpriced": Measure(
        label="Calls whose cost is unknown",
        condition="more than {limit} of unknown cost are made within {window}",
        unit="calls",
        scopes=("model",),
    ),
    "no_traffic": Measure(
        label="No traffic",
        condition="at most {limit} come within {window}, where that time of the day before brought more",
        unit="calls",
        scopes=TRAFFIC,
        falls=True,
    ),
    "ledger_drift": Measure(
        label="Books that do not balance",
        condition="the last proof of the books found a difference",
        unit="differences",
        scopes=("all",),
        has_limit=False,
    ),
    "key_expiry": Measure(
        label="API keys about to expire",
        condition="an API key expires within {limit}",
        unit="days",
        scopes=("key",),
        falls=True,
        absent="good",  # somebody has renewed or ended it
    ),
    "certificate_expiry": Measure(
        label="Certificates of providers about to expire",
        condition="the certificate of the provider's address expires within {limit}",
        unit="days",
        scopes=("provider",),
        falls=True,
    ),
}


def is_counted_by_call(name: str, scope: str) -> bool:
    return name in ("rate_limited", "budget_refused") or (
        MEASURES[name].scopes == TRAFFIC and scope in ("route", "key")
    )


def is_breached(name: str, value: float, limit: float) -> bool:
    """Over the limit: shares, times and costs beyond it, parts of budgets at it, days and calls down to it."""
    measure = MEASURES[name]
    if not measure.has_limit:
        return value > 0
    if measure.falls:
        return value <= limit
    is_part = measure.scopes == ("budget",) and measure.unit == "percent"
    return value >= limit if is_part else value > limit
