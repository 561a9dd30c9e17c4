"""What doors that only tell something share: reads of the books, whose they may be, and figures as JSON."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from django.utils import timezone

from accounts.models import Client
from core.money import usd_text
from gateway.catalogue import Caller
from gateway.doors.reads import Reads
from gateway.http import Exchange
from usage.queries import Filters
from wire.errors import ApiError, Code

read = Reads("facts", most_waiting=100).run


async def tell(exchange: Exchange, body: Any, *, status: int = 200) -> None:
    await exchange.answer(status, msgspec.json.encode(body))


def dollars(pico: int | None) -> msgspec.Raw | None:
    """A JSON number, exact; null where it is unknown."""
    return None if pico is None else msgspec.Raw(usd_text(pico).encode())


def own(caller: Caller) -> Filters:
    """Which calls a caller may ask about, not before `since`: its client's, or those of whom its token was given to.

    With the manage scope, everybody's. By the client's name, by which the sums are kept.
    """
    if caller.scope == "manage":
        return {}
    return {"client": caller.client, "end_user": caller.end_user or None}


def since(caller: Caller, start: datetime) -> datetime:
    """`start`, or when the caller's client was made: its name may have been that of one that was deleted.

    Reads the database.
    """
    if caller.scope == "manage":
        return start
    made_at = Client.objects.filter(name=caller.client).values_list("created_at", flat=True).first()
    return max(start, made_at or timezone.now())


def require_manage(caller: Caller) -> None:
    """Raises `ApiError` FORBIDDEN."""
    if caller.scope != "manage":
        raise ApiError(Code.FORBIDDEN, "This needs a key with the manage scope.")
