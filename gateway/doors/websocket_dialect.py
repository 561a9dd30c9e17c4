"""Messages of `/ws/complete` (API.md, section 8): what callers send, and the dialect of their calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec

from gateway.doors.specification import (
    Asked,
    Said,
    Share,
    Specification,
    Temperature,
    Tokens,
    Told,
    conversation,
)
from gateway.failures import retry_after_s
from gateway.replies import Outset
from wire.body import MALFORMED
from wire.errors import ApiError, invalid
from wire.neutral import ChatRequest
from wire.refusals import refusal

MAX_ID_CHARS = 128

Id = Annotated[str, msgspec.Meta(max_length=MAX_ID_CHARS)]  # each event repeats it


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """A message; null is as if left out. `key` is for the first one, where the handshake brought none.

    Either `prompt` or `messages`.
    """

    id: Id
    type: Literal["complete", "cancel"]
    key: str | None = None
    model: str | None = None
    prompt: str | None = None
    messages: list[Said] | None = None
    system: str | None = None
    temperature: Temperature | None = None
    max_tokens: Tokens | None = None
    top_p: Share | None = None
    stop: list[str] | None = None
    provider: str | None = None
    user: str | None = None
    use_cache: bool | None = None


class Named(msgspec.Struct):
    """As much of a message that is none as tells which call it was to be."""

    id: Id


_decode = msgspec.json.Decoder(Body).decode
_decode_name = msgspec.json.Decoder(Named).decode


class SocketDialect(Specification[Body]):
    """The dialect of one call: its events carry the call's id. Each is a line of JSON.

    `facts` gives what HTTP answers say in headers, as fields of the last event.
    """

    name = "websocket"

    def __init__(self, call_id: str | None, facts: Callable[[], dict[str, Any]]) -> None:
        super().__init__(Body)
        self._id = call_id
        self._facts = facts

    def asked(self, body: Body) -> Asked:
        request = ChatRequest(
            model=body.model or "",
            messages=conversation(prompt=body.prompt, messages=body.messages or None, system=body.system),
            max_output_tokens=body.max_tokens,
            temperature=body.temperature,
            top_p=body.top_p,
            stop=tuple(body.stop or ()),
            stream=True,
            end_user=body.user,
        )
        return Asked(request, provider=body.provider, cache=body.use_cache)

    def delta(self, text: str) -> dict[str, Any]:
        return {"id": self._id, "type": "chunk", "content": text}

    def ending(self, told: Told) -> dict[str, Any]:
        return {
            "id": self._id,
            "type": "done",
            "usage": told.usage,
            "cost_usd": told.cost_usd,
            "finish_reason": told.finish,
            "model": told.model,
            "provider": told.provider,
            "request_id": told.id,
            "overhead_ms": None if told.overhead_ms is None else round(told.overhead_ms, 2),
            **self._facts(),
        }

    def encode_cancelled(self, outset: Outset | None, *, request_id: str) -> bytes:
        """The last event of a call that was cancelled. What it costs is known only when its provider is done."""
        event = {
            "id": self._id,
            "type": "done",
            "usage": None,
            "cost_usd": None,
            "finish_reason": "cancelled",
            "model": outset and outset.model,
            "provider": outset and outset.provider,
            "request_id": request_id,
        }
        return self.frame(event | self._facts())

    def frame(self, event: dict[str, Any]) -> bytes:
        return msgspec.json.encode(event) + b"\n"

    def encode_error(self, error: ApiError, *, request_id: str, stream: bool = False) -> bytes:
        said = {"error": error.message, "error_code": error.code.name, "field": error.param, "provider": error.provider}
        event = {"id": self._id, "type": "error", **said, "request_id": request_id, **self._facts()}
        if (wait_s := retry_after_s(error)) is not None:
            event["retry_after"] = wait_s
        return self.frame(event)


def read(message: bytes) -> Body:
    """Raises `ApiError` INVALID_REQUEST."""
    try:
        return _decode(message)
    except msgspec.ValidationError as error:
        raise refusal(error, Body) from None
    except MALFORMED as error:
        raise invalid(f"A message must be a JSON object in UTF-8: {error}.") from None


def id_in(message: bytes) -> str | None:
    """Which call a message that is none was to be; None where even that cannot be read."""
    try:
        return _decode_name(message).id
    except MALFORMED:
        return None
