"""The rules that an installation begins with: specification D's four, and what else nobody should find out by chance.

They are rows like any other: edit them, switch them off, delete them. They are made where there is no rule at all.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db import connection, transaction

from alerts.models import Rule

_DAY = 24 * 60
_INFO, _WARNING, _CRITICAL = Rule.Severity.INFO, Rule.Severity.WARNING, Rule.Severity.CRITICAL


def make_rules() -> None:
    if Rule._meta.db_table not in connection.introspection.table_names():
        return  # only some apps were migrated
    with transaction.atomic():
        if not Rule.objects.exists():
            Rule.objects.bulk_create(Rule(time_zone=settings.TIME_ZONE, **facts) for facts in _rules())


def _rules() -> list[dict[str, Any]]:
    failing = {"measure": "error_share", "scope": "provider", "minimum_calls": 10, "window_minutes": 15}
    most = {"limit": Decimal(50), "for_minutes": 2, "severity": _CRITICAL}
    budget = {"measure": "budget_used", "scope": "budget"}
    return [
        {**failing, **most, "name": "Most calls fail"},
        # Those too that no provider could take, which are no provider's.
        {**failing, **most, "name": "Most callers get no answer", "scope": "all"},
        {**failing, "name": "Many calls fail", "limit": Decimal(20), "for_minutes": 5, "severity": _WARNING},
        {
            "name": "Slow answers",
            "measure": "latency",
            "scope": "provider",
            "limit": Decimal(10),
            "minimum_calls": 10,
            "window_minutes": 15,
            "for_minutes": 5,
        },
        {
            "name": "High cost",
            "measure": "cost",
            "scope": "provider",
            "limit": Decimal(100),
            "window_minutes": _DAY,
            "for_minutes": 30,  # a sum that hovers about its limit should not tell so all day
            "severity": _INFO,
        },
        {**budget, "name": "Half of a budget is used", "limit": Decimal(50), "severity": _INFO},
        {**budget, "name": "Most of a budget is used", "limit": Decimal(80), "severity": _WARNING},
        {**budget, "name": "A budget is used up", "limit": Decimal(100), "severity": _CRITICAL},
        {"name": "A budget refuses calls", "measure": "budget_refused", "scope": "budget", "severity": _CRITICAL},
        {
            "name": "A budget will not last",
            "measure": "budget_forecast",
            "scope": "budget",
            "limit": Decimal(100),
            "for_minutes": 60,
        },
        {
            "name": "Provider not answering",
            "measure": "provider_down",
            "scope": "provider",
            "for_minutes": 3,
            "severity": _CRITICAL,
        },
        {
            "name": "Calls are refused by rate limits",
            "measure": "rate_limited",
            "scope": "client",
            "limit": Decimal(20),
            "minimum_calls": 20,
            "for_minutes": 5,
        },
        {"name": "A model has no price", "measure": "unpriced", "scope": "model", "window_minutes": 60},
        {
            "name": "No calls come in",
            "measure": "no_traffic",
            "scope": "all",
            "minimum_calls": 100,
            "window_minutes": 60,
            "for_minutes": 10,
            "is_active": False,  # only somebody who knows when calls must come can switch it on
        },
        {"name": "The books do not balance", "measure": "ledger_drift", "severity": _CRITICAL},
        {"name": "An API key expires soon", "measure": "key_expiry", "scope": "key", "limit": Decimal(14)},
        {
            "name": "A certificate expires soon",
            "measure": "certificate_expiry",
            "scope": "provider",
            "limit": Decimal(14),
        },
    ]
