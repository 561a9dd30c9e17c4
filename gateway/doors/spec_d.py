"""Specification D's `POST /api/ai-providers/complete`, hot. Browser sessions take its twin (`completion_view`)."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from core.money import usd_text
from gateway.calls import Call, open_call
from gateway.catalogue import Caller
from gateway.doors import plain_errors
from gateway.doors.chat import answer_headers, relay
from gateway.http import JSON, Exchange
from gateway.pipeline import Reply
from gateway.streaming import LiveStream
from wire import sse
from wire.body import MOST, open_body
from wire.dialect import Envelope
from wire.errors import ApiError, invalid
from wire.neutral import ChatRequest, ChatResponse, Message, Settled, StreamEvent, Text, TextDelta

if TYPE_CHECKING:
    from gateway.asgi import Door, Gateway

name = "spec_d"
stream_type = sse.CONTENT_TYPE


class _Message(msgspec.Struct):
    role: Literal["system", "user", "assistant"]
    content: str


class Body(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What a caller sends. Either `prompt` or `messages`."""

    prompt: str | None = None
    messages: Annotated[list[_Message], msgspec.Meta(min_length=1)] | None = None
    system_prompt: str | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=MOST)] | None = None
    stream: bool = False
    provider_id: str | None = None
    model: str = ""


_WHOLE = "body"
_decode = msgspec.json.Decoder(Body).decode


async def complete(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """Specification D's completion, whole or as SSE `{content}` events."""
    started = time.perf_counter()
    envelope = open_chat(await exchange.body(gateway.max_body_bytes))
    call = open_call(
        exchange, surface=door.surface, caller=caller, dialect=door.dialect, envelope=envelope, started=started
    )
    reply = await gateway.pipeline.complete(call)
    if isinstance(reply, LiveStream):
        await relay(gateway, exchange, reply)
    else:
        await exchange.answer(200, msgspec.json.encode(whole(call, reply)), [JSON, *answer_headers(reply.record)])


def open_chat(body: bytes) -> Envelope:
    """Raises `ApiError` INVALID_REQUEST."""
    open_body(body)
    try:
        asked = _decode(body)
    except msgspec.ValidationError as error:
        raise invalid(str(error)) from error
    if (asked.prompt is None) == (asked.messages is None):
        raise invalid("Give either 'prompt' (a text) or 'messages' (a list), and not both.", param="prompt")
    return Envelope(
        fields={_WHOLE: msgspec.Raw(body)},
        model=asked.model,
        stream=asked.stream,
        max_output_tokens=asked.max_tokens,
        choices=1,
        input_bytes=len(body),
        end_user=None,
        show_usage=True,
        provider=asked.provider_id,
    )


def decode_chat(envelope: Envelope) -> ChatRequest:
    asked = _decode(envelope.fields[_WHOLE])
    said = asked.messages or [_Message("user", asked.prompt or "")]
    system = [_Message("system", asked.system_prompt)] if asked.system_prompt else []
    return ChatRequest(
        model=asked.model,
        messages=tuple(Message(message.role, (Text(message.content),)) for message in [*system, *said]),
        max_output_tokens=asked.max_tokens,
        temperature=asked.temperature,
        stream=asked.stream,
    )


def whole(call: Call, reply: Reply) -> dict[str, Any]:
    """The answer, in specification D's names; `cost` is exact, and null where it is unknown."""
    assert isinstance(reply.response, ChatResponse), "no provider speaks this dialect, so every answer is decoded"
    parts = reply.response.choices[0].parts if reply.response.choices else ()
    record = reply.record
    return {
        "id": call.request_id,
        "content": "".join(part.text for part in parts if isinstance(part, Text)),
        "model": record.served_model or record.deployment,
        "provider": record.provider,
        "usage": _usage(record.input_tokens, record.output_tokens),
        "cost": None if record.cost_pico is None else msgspec.Raw(usd_text(record.cost_pico).encode()),
        "cached": False,
        "latency": round(record.latency_ms or 0.0, 2),
        "finishReason": record.finish_reason,
    }


class Encoder:
    """Neutral events -> `data: {"content": …}`, and at the end `data: {"usage", "cost", "finishReason"}`."""

    def encode(self, event: StreamEvent) -> bytes:
        if isinstance(event, TextDelta):
            return sse.event(msgspec.json.encode({"content": event.text}))
        if isinstance(event, Settled):
            cost = None if event.cost_usd is None else msgspec.Raw(event.cost_usd.encode())
            usage = _usage(event.usage.input_tokens, event.usage.output_tokens)
            return sse.event(msgspec.json.encode({"usage": usage, "cost": cost, "finishReason": event.finish}))
        return b""

    def close(self) -> bytes:
        return b""


def encoder(*, show_usage: bool) -> Encoder:
    del show_usage
    return Encoder()


def encode_error(error: ApiError, *, request_id: str, stream: bool = False) -> bytes:
    return plain_errors.encode_error(error, request_id=request_id, operation="complete", stream=stream)


def _usage(input_tokens: int, output_tokens: int) -> dict[str, int]:
    return {
        "promptTokens": input_tokens,
        "completionTokens": output_tokens,
        "totalTokens": input_tokens + output_tokens,
    }
