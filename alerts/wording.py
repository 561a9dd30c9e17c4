"""Rules and figures in plain words. Pure."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Protocol

from alerts.measures import MEASURES, ONE_OF, Unit

_EACH = {
    "all": "all calls together",
    "provider": "each provider",
    "client": "each client",
    "route": "each model or route",
    "key": "each API key",
    "budget": "each budget",
    "model": "each model",
}
_LEAST = 0.0001  # limits have four decimals


class Watching(Protocol):
    """What a rule watches."""

    measure: str
    scope: str
    subject: str

    @property
    def window(self) -> timedelta: ...


def amount(value: float, unit: Unit) -> str:
    """`62%`, `12.4 seconds`, `$100.00`, `3 calls`; what is more than nothing never reads as nothing."""
    if 0 < value < _LEAST:
        return f"under {amount(_LEAST, unit)}"
    match unit:
        case "percent":
            return f"{_digits(value, whole_from=10)}%"
        case "dollars":
            return f"${_digits(value)}" if 0 < value < 0.01 else f"${value:,.2f}"
        case "yes":
            return "yes" if value else "no"
        case _:
            number = _digits(value, whole_from=100)
            return f"{number} {unit[:-1] if number == '1' else unit}"


def _digits(value: float, *, whole_from: int = 10) -> str:
    """With one decimal below `whole_from`, unless it is whole; what is little has as many as limits have."""
    if 0 < value < 0.1:
        return f"{value:.4f}".rstrip("0")
    return f"{value:,.0f}" if value >= whole_from or value == int(value) else f"{value:.1f}"


def span(length: timedelta) -> str:
    """`15 minutes`, `an hour`, `24 hours`, `3 days`."""
    minutes = int(length.total_seconds() // 60)
    if minutes % (24 * 60) == 0 and minutes > 24 * 60:
        return f"{minutes // (24 * 60)} days"
    if minutes % 60 == 0 and minutes:
        return "an hour" if minutes == 60 else f"{minutes // 60} hours"
    return "a minute" if minutes == 1 else f"{minutes} minutes"


def condition(rule: Watching, limit: float) -> str:
    """When the rule says something: `more than 20% of the calls fail within 15 minutes, for each provider`."""
    measure = MEASURES[rule.measure]
    told = measure.condition.format(limit=amount(limit, measure.unit), window=span(rule.window))
    told = told.replace("more than 0 calls", "calls").replace("at most 0 calls", "no calls")
    return f"{told}, for {whom(rule.scope, rule.subject)}" if measure.scopes != ("all",) else told


def whom(scope: str, subject: str) -> str:
    """`the provider openai`, `each provider`."""
    return f"{ONE_OF[scope]} {subject}" if subject else _EACH[scope]


def finding(rule: Watching, *, subject: str, value: float, limit: float, calls: int | None) -> str:
    """What was found: `openai: 62% of 143 calls failed in the last 15 minutes.` and the limit."""
    measure = MEASURES[rule.measure]
    if measure.unit == "days" and value <= 0:
        told = f"{_EXPIRED[rule.measure]}."
    else:
        window = re.sub(r"^an? ", "", span(rule.window))
        told = _FINDINGS[rule.measure].format(value=amount(value, measure.unit), calls=_calls(calls), window=window)
    limit_text = f" The limit is {amount(limit, measure.unit)}." if measure.has_limit and limit else ""
    return f"{subject}: {told}{limit_text}" if subject else f"{told[:1].upper()}{told[1:]}{limit_text}"


def _calls(calls: int | None) -> str:
    return "1 call" if calls == 1 else f"{calls or 0:,} calls"


_FINDINGS = {
    "error_share": "{value} of {calls} failed in the last {window}.",
    "latency": "answers took {value} on average in the last {window} ({calls}).",
    "cost": "{value} was spent in the last {window} ({calls}).",
    "budget_used": "{value} of the budget is used.",
    "budget_forecast": "at this pace {value} of the budget will be used by the end of its period.",
    "budget_refused": "it refused {value} in the last {window}, because too little is left of it.",
    "provider_down": "it does not answer as it should, or is left alone after failures.",
    "rate_limited": "{value} of {calls} were refused by our rate limits in the last {window}.",
    "unpriced": "{value} of unknown cost in the last {window}: the model has no price.",
    "no_traffic": "{value} in the last {window}, where there were more at that time the day before.",
    "ledger_drift": "the last proof of the books found {value}.",
    "key_expiry": "the key expires in {value}.",
    "certificate_expiry": "the certificate of its address expires in {value}.",
}
_EXPIRED = {"key_expiry": "the key has expired", "certificate_expiry": "the certificate of its address has expired"}
