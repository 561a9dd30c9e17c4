"""Anthropic's door, also under /anthropic for clients whose base URL holds more than the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.asgi import Door
from gateway.catalogue import Caller
from gateway.doors.chat import answer_chat
from gateway.doors.models import list_models, show_model
from gateway.http import JSON, Exchange
from usage import estimates
from wire import anthropic_messages
from wire.anthropic_messages.opening import measure

if TYPE_CHECKING:
    from gateway.asgi import Gateway


async def count_tokens(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """Our own estimate, by the size of what the model would read: asking a provider would be a call of its own."""
    del door, caller
    size_bytes = measure(await exchange.body(gateway.max_body_bytes))
    answer = {"input_tokens": estimates.likely_tokens(size_bytes)}
    await exchange.answer(200, msgspec.json.encode(answer), [JSON])


_MESSAGES = Door("anthropic.messages", anthropic_messages, answer_chat)
_COUNT = Door("anthropic.count_tokens", anthropic_messages, count_tokens)
_START = "/anthropic"

ROUTES = {
    ("POST", "/v1/messages"): _MESSAGES,
    ("POST", f"{_START}/v1/messages"): _MESSAGES,
    ("POST", "/v1/messages/count_tokens"): _COUNT,
    ("POST", f"{_START}/v1/messages/count_tokens"): _COUNT,
    ("GET", f"{_START}/v1/models"): Door("anthropic.models", anthropic_messages, list_models),
}
PREFIXES = {
    ("GET", f"{_START}/v1/models/"): Door("anthropic.models", anthropic_messages, show_model),
}
