"""Days asked for in a query, as a range of time."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from accounts.api.camel import CamelCase
from usage.queries import midnight

LONGEST_DAYS = 3_660
USUAL_DAYS = 30


@extend_schema_field(OpenApiTypes.STR)
class Zone(serializers.Field[ZoneInfo, str, str, Any]):
    """A time zone by its IANA name."""

    default_error_messages: ClassVar = {"unknown": "There is no such zone. Write Europe/Berlin or UTC, for example."}

    def to_internal_value(self, data: str) -> ZoneInfo:
        try:
            return ZoneInfo(data)
        except (KeyError, ValueError, OSError):  # unknown; not a name; a folder of the database of zones
            self.fail("unknown")

    def to_representation(self, value: ZoneInfo) -> str:
        return value.key


class Period(CamelCase):
    """`startDate` to `endDate`, both days included, in `timeZone`. Without dates: the last 30 days."""

    start_date = serializers.DateField(required=False, help_text="First day, for example 2026-01-01.")
    end_date = serializers.DateField(required=False, help_text="Last day, included.")
    time_zone = Zone(required=False, help_text="For example Asia/Kathmandu.")

    def validate(self, attrs: Any) -> Any:
        zone = attrs.get("time_zone", ZoneInfo(settings.TIME_ZONE))
        first, last = _days(attrs.get("start_date"), attrs.get("end_date"), timezone.now().astimezone(zone).date())
        _check(first, last)
        return attrs | {
            "time_zone": zone,
            "start_date": first,
            "end_date": last,
            "start": midnight(first, zone),
            "end": midnight(last + timedelta(days=1), zone),
        }


def _days(first: date | None, last: date | None, today: date) -> tuple[date, date]:
    usual = timedelta(days=USUAL_DAYS - 1)
    if last is None:
        last = today if first is None else max(first, today)
    return first or max(last, date.min + usual) - usual, last


def _check(first: date, last: date) -> None:
    if last < first:
        raise serializers.ValidationError({"endDate": ["This must not be before startDate."]})
    if first.year <= 1970:
        raise serializers.ValidationError({"startDate": ["This must be in 1971 or later."]})
    if last.year >= date.max.year:
        raise serializers.ValidationError({"endDate": ["This must be before the year 9999."]})
    if (last - first).days >= LONGEST_DAYS:
        raise serializers.ValidationError({"startDate": [f"At most {LONGEST_DAYS} days at once."]})
