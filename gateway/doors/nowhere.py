"""Paths of the data plane at which there is nothing: an error that SDKs can read, not a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.catalogue import Caller
from gateway.doors.plain_errors import PlainErrors
from gateway.http import Exchange
from wire import anthropic_messages, gemini, openai_chat
from wire.dialect import ErrorDialect
from wire.errors import ApiError, Code

if TYPE_CHECKING:
    from gateway.asgi import Door, Gateway


async def refuse(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """Raises `ApiError` NOT_FOUND."""
    del gateway, door, caller
    raise ApiError(Code.NOT_FOUND, f"There is nothing at {exchange.scope['method']} {exchange.scope['path']}.")


_SPECIFICATIONS = PlainErrors("unknown")
DIALECTS: dict[str, ErrorDialect] = {
    "/anthropic/": anthropic_messages,
    "/v1/messages": anthropic_messages,
    "/v1beta/": gemini,
    "/v1/llm/": _SPECIFICATIONS,
    "/v1/vector/": _SPECIFICATIONS,
    "/v1/complete": _SPECIFICATIONS,
    "/v1/providers": _SPECIFICATIONS,
    "/v1/": openai_chat,
    "/generate": _SPECIFICATIONS,
    "/providers": _SPECIFICATIONS,
    "/cache/": _SPECIFICATIONS,
    "/status": _SPECIFICATIONS,
}
