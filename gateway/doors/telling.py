"""What doors that only tell something share: reads of the books, whose they may be, and figures as JSON."""

from __future__ import annotations

from typing import Any

import msgspec

from core.money import usd_text
from gateway.catalogue import Caller
from gateway.doors.reads import Reads
from gateway.http import Exchange
from usage.queries import Filters
from wire.errors import ApiError, Code

read = Reads("facts", most_waiting=100).run


async def tell(exchange: Exchange, body: Any) -> None:
    await exchange.answer(200, msgspec.json.encode(body))


def dollars(pico: int | None) -> msgspec.Raw | None:
    """A JSON number, exact; null where it is unknown."""
    return None if pico is None else msgspec.Raw(usd_text(pico).encode())


def own(caller: Caller) -> Filters:
    """Which calls a caller may ask about: its client's, or, with the manage scope, everybody's."""
    return {} if caller.scope == "manage" else {"client_id": caller.client_id}


def require_manage(caller: Caller) -> None:
    """Raises `ApiError` FORBIDDEN."""
    if caller.scope != "manage":
        raise ApiError(Code.FORBIDDEN, "This needs a key with the manage scope.")
