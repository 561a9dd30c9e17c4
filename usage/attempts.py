"""How each provider answered what was sent to it.

Here a retry counts by itself: a failure that another provider made good is still this one's failure, though the call
(see `usage.queries`) was answered.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db.models import Avg, Count, F, Max, Q, Sum

from usage.models import UsageRecord
from usage.queries import records
from usage.sums import QuarterNumber, known_cost

_Status = UsageRecord.Status
_ANSWERED = Q(status=_Status.OK)
_REJECTED = Q(error_code="PROVIDER_REJECTED")  # refused; older rows call it an error
_OURS = Q(error_code="QUEUE_FULL")  # no connection could be opened to anybody, or we were stopping
_FAILED = Q(status__in=[_Status.ERROR, _Status.INTERRUPTED]) & ~_REJECTED & ~_OURS
_LEFT = Q(status=_Status.CANCELLED)
_WORKED = _ANSWERED | _LEFT | _REJECTED  # it answered, if only that the caller had erred
_SENT = _WORKED | _FAILED


class Attempts(msgspec.Struct, frozen=True, kw_only=True):
    """`refused`: the provider rejected them, for what their callers asked. Nobody has failed there.

    `cost_pico` is the sum of the known costs, None where none of it is known (`usage.sums.known_cost`).
    `quarters` are the quarter-hours in which something was sent, `quarters_up` those in which something came back.
    """

    sent: int = 0
    answered: int = 0
    failed: int = 0
    refused: int = 0
    cancelled: int = 0
    tokens: int = 0
    cost_pico: int | None = 0
    unknown_cost_requests: int = 0
    latency_ms: float | None = None
    quarters: int = 0
    quarters_up: int = 0

    @property
    def failed_percent(self) -> float:
        return 100 * self.failed / self.sent if self.sent else 0.0

    @property
    def up_percent(self) -> float | None:
        return 100 * self.quarters_up / self.quarters if self.quarters else None


def attempts_by_provider(start: datetime, end: datetime, *, provider_id: UUID | None = None) -> dict[UUID, Attempts]:
    """What was sent to each provider in `start <= time < end`. A provider that got nothing is not in it."""
    rows: Any = records(start, end, provider_id=provider_id).exclude(provider_id=None).order_by()
    sent = rows.filter(_SENT, kind=UsageRecord.Kind.CALL)
    quarters: dict[UUID, list[bool]] = {}
    for row in (
        sent.annotate(quarter=QuarterNumber("started_at"))
        .values("provider_id", "quarter")
        .annotate(worked=Count("pk", filter=_WORKED))
    ):
        quarters.setdefault(row["provider_id"], []).append(bool(row["worked"]))
    return {
        row["provider_id"]: _attempts(row, quarters.get(row["provider_id"], []))
        for row in rows.values("provider_id").annotate(**_SUMS)
    }


class Outcomes(msgspec.Struct, frozen=True):
    """`failed_at`: when the last of the failed ones ended."""

    sent: int
    failed: int
    failed_at: datetime | None


def outcomes_by_provider(start: datetime, end: datetime) -> dict[UUID, Outcomes]:
    """How many calls were sent to each provider, and how many of them it failed; the caller's mistakes are neither."""
    rows: Any = records(start, end).exclude(provider_id=None).order_by().filter(kind=UsageRecord.Kind.CALL)
    found = rows.values("provider_id").annotate(
        sent=Count("pk", filter=_ANSWERED | _FAILED),
        failed=Count("pk", filter=_FAILED),
        failed_at=Max("ended_at", filter=_FAILED),
    )
    return {row["provider_id"]: Outcomes(row["sent"], row["failed"], row["failed_at"]) for row in found if row["sent"]}


def _attempts(row: dict[str, Any], quarters: list[bool]) -> Attempts:
    unknown = row["unknown"]
    return Attempts(
        sent=row["sent"],
        answered=row["answered"],
        failed=row["failed"],
        refused=row["refused"],
        cancelled=row["cancelled"],
        tokens=int(row["tokens"] or 0),
        cost_pico=known_cost(int(row["cost"] or 0), unknown),
        unknown_cost_requests=unknown,
        latency_ms=row["latency"],
        quarters=len(quarters),
        quarters_up=sum(quarters),
    )


_CALL = Q(kind=UsageRecord.Kind.CALL)
_SUMS: dict[str, Any] = {
    "sent": Count("pk", filter=_CALL & _SENT),
    "answered": Count("pk", filter=_CALL & _ANSWERED),
    "failed": Count("pk", filter=_CALL & _FAILED),
    "refused": Count("pk", filter=_CALL & _REJECTED),
    "cancelled": Count("pk", filter=_CALL & _LEFT),
    "tokens": Sum(F("input_tokens") + F("output_tokens")),
    "cost": Sum("cost_pico"),
    "unknown": Count("pk", filter=_CALL & Q(cost_pico=None) & ~Q(evidence=UsageRecord.Evidence.NONE))
    - Count("pk", filter=Q(prices_unknown=True)),
    "latency": Avg("latency_ms", filter=_CALL & _ANSWERED),
}
