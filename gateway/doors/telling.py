"""What doors that only tell something share: reads of the database off the event loop, and figures as JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import msgspec
from django.db import DatabaseError, InterfaceError, connection

from core.money import usd_text
from gateway.catalogue import Caller
from gateway.http import Exchange
from usage.queries import Filters
from wire.errors import ApiError, Code

P = ParamSpec("P")
T = TypeVar("T")


async def tell(exchange: Exchange, body: Any) -> None:
    await exchange.answer(200, msgspec.json.encode(body))


async def read(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `function` reads from the database, in a thread. Raises `ApiError` LEDGER_UNAVAILABLE where it is away."""

    def in_thread() -> T:
        try:
            return function(*args, **kwargs)
        finally:
            connection.close()

    try:
        return await asyncio.to_thread(in_thread)
    except (DatabaseError, InterfaceError) as error:
        raise ApiError(Code.LEDGER_UNAVAILABLE, "The database cannot be read now.", retry_after_s=5) from error


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
