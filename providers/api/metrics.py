"""Specification D's metrics: how each provider has done in a window of time that ends now."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.camel import CamelCase
from core.money import usd_from_pico, usd_text
from providers.models import Health, Provider
from usage.attempts import Attempts, attempts_by_provider

LONGEST_WINDOW = timedelta(days=366)
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@extend_schema_field(OpenApiTypes.STR)
class Window(serializers.Field[timedelta, str, str, Any]):
    """`90m`, `24h` or `7d`."""

    default_error_messages: ClassVar = {"invalid": "Write a number and m, h or d, for example 24h; at most 366d."}

    def to_internal_value(self, data: str) -> timedelta:
        found = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", data)
        window = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None
        if window is None or window > LONGEST_WINDOW:
            self.fail("invalid")
        return window

    def to_representation(self, value: timedelta) -> str:
        minutes = value // timedelta(minutes=1)
        for unit, length in (("d", 24 * 60), ("h", 60)):
            if minutes % length == 0 and minutes > length:
                return f"{minutes // length}{unit}"
        return f"{minutes}m"


class MetricsQuery(CamelCase):
    window = Window(default=timedelta(hours=24), help_text="90m, 24h or 7d; 24h unless given.")


class MetricsSerializer(CamelCase):
    """A request here is one that was sent to this provider, so a retry counts by itself."""

    provider_id = serializers.UUIDField()
    name = serializers.CharField()
    total_requests = serializers.IntegerField()
    successful_requests = serializers.IntegerField()
    failed_requests = serializers.IntegerField()
    refused_requests = serializers.IntegerField(
        help_text="The provider rejected what its caller asked; neither a success nor a failure."
    )
    cancelled_requests = serializers.IntegerField(help_text="The caller left; neither a success nor a failure.")
    average_latency = serializers.FloatField(allow_null=True, help_text="Milliseconds, of the successful ones.")
    total_tokens_used = serializers.IntegerField()
    total_cost = serializers.FloatField(allow_null=True, help_text="US dollars; `totalCostUsd` is the exact figure.")
    total_cost_usd = serializers.CharField(allow_null=True, help_text="Null where nothing is known of it.")
    unknown_cost_requests = serializers.IntegerField(help_text="How many `totalCost` leaves out.")
    error_rate = serializers.FloatField(help_text="Percent.")
    uptime = serializers.FloatField(
        allow_null=True,
        help_text="Percent of the quarter-hours with requests in which it answered any; "
        "without requests, what the last check found.",
    )


class AllMetricsSerializer(CamelCase):
    window = Window()
    providers = MetricsSerializer(many=True)


def provider_metrics(providers: Iterable[Provider], *, start: datetime, end: datetime) -> list[dict[str, Any]]:
    """`MetricsSerializer`'s fields for each provider."""
    found = attempts_by_provider(start, end)
    health = dict(Health.objects.values_list("provider_id", "status"))
    return [_figures(each, found.get(each.pk, Attempts()), health.get(each.pk)) for each in providers]


def _figures(provider: Provider, attempts: Attempts, last_check: str | None) -> dict[str, Any]:
    cost = attempts.cost_pico
    return {
        "provider_id": provider.pk,
        "name": provider.name,
        "total_requests": attempts.sent,
        "successful_requests": attempts.answered,
        "failed_requests": attempts.failed,
        "refused_requests": attempts.refused,
        "cancelled_requests": attempts.cancelled,
        "average_latency": attempts.latency_ms,
        "total_tokens_used": attempts.tokens,
        "total_cost": None if cost is None else float(usd_from_pico(cost)),
        "total_cost_usd": None if cost is None else usd_text(cost),
        "unknown_cost_requests": attempts.unknown_cost_requests,
        "error_rate": attempts.failed_percent,
        "uptime": attempts.up_percent if attempts.quarters else _uptime_by(last_check),
    }


def _uptime_by(last_check: str | None) -> float | None:
    return None if last_check is None else 100.0 * (last_check == Health.Status.HEALTHY)
