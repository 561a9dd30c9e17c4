"""What the specifications' own completion doors share: a caller's dialect that no provider speaks.

Each specification gives the shape of its body, what that asks for, and the shape of its answer.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Literal, TypeVar, cast

import msgspec

from core.money import usd_text
from gateway.calls import Call, open_call
from gateway.catalogue import Caller
from gateway.doors import plain_errors
from gateway.doors.chat import answer_headers, relay
from gateway.http import JSON, Exchange
from gateway.replies import Reply
from wire import sse
from wire.body import MOST, open_body
from wire.dialect import Envelope
from wire.errors import ApiError, invalid
from wire.neutral import ChatRequest, ChatResponse, Message, Settled, StreamEvent, Text, TextDelta
from wire.refusals import refusal

if TYPE_CHECKING:
    from gateway.asgi import Door, Gateway

Temperature = Annotated[float, msgspec.Meta(ge=0, le=2)]
Tokens = Annotated[int, msgspec.Meta(ge=1, le=MOST)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]

_WHOLE = "body"
B = TypeVar("B")


class Said(msgspec.Struct, forbid_unknown_fields=True):
    """A message of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


Conversation = Annotated[list[Said], msgspec.Meta(min_length=1)]


class Asked(msgspec.Struct, frozen=True):
    """What a body asks for. `cache` None: nothing is said about it."""

    request: ChatRequest
    provider: str | None = None
    cache: bool | None = None


class Told(msgspec.Struct, frozen=True):
    """An answer's facts. `cost_usd` is an exact decimal, None where the cost is unknown.

    `overhead_ms` is known of streams: whole answers say it in their headers.
    """

    id: str
    text: str
    model: str
    provider: str
    input_tokens: int
    output_tokens: int
    cost_usd: str | None
    latency_ms: float
    finish: str
    cached: bool
    overhead_ms: float | None = None

    @property
    def cost(self) -> msgspec.Raw | None:
        """The cost as a JSON number, exact."""
        return None if self.cost_usd is None else msgspec.Raw(self.cost_usd.encode())

    @property
    def usage(self) -> dict[str, int]:
        return {
            "prompt_tokens": self.input_tokens,
            "completion_tokens": self.output_tokens,
            "total_tokens": self.input_tokens + self.output_tokens,
        }


class Specification(Generic[B]):
    """A caller's dialect. `operation` is what errors say was tried."""

    name: ClassVar[str]
    operation: ClassVar[str] = "complete"
    stream_type = sse.CONTENT_TYPE

    def __init__(self, body: type[B]) -> None:
        self._body = body
        self._decoder = msgspec.json.Decoder(body)

    def asked(self, body: B) -> Asked:
        """Raises `ApiError` INVALID_REQUEST."""
        raise NotImplementedError

    def answer(self, told: Told) -> dict[str, Any]:
        raise NotImplementedError

    def delta(self, text: str) -> dict[str, Any]:
        """A stream's event with a piece of text."""
        return {"content": text}

    def ending(self, told: Told) -> dict[str, Any]:
        """A stream's last event."""
        return self.answer(told)

    def frame(self, event: dict[str, Any]) -> bytes:
        """An event as it goes to the caller."""
        return sse.event(msgspec.json.encode(event))

    def open_chat(self, body: bytes) -> Envelope:
        """Raises `ApiError` INVALID_REQUEST."""
        open_body(body)
        asked = self._read(body)
        request = asked.request
        return Envelope(
            fields={_WHOLE: msgspec.Raw(body)},
            model=request.model,
            stream=request.stream,
            max_output_tokens=request.max_output_tokens,
            choices=1,
            input_bytes=len(body),
            end_user=request.end_user,
            show_usage=True,
            provider=asked.provider,
            cache=asked.cache,
            temperature=request.temperature,
        )

    def decode_chat(self, envelope: Envelope) -> ChatRequest:
        return self._read(envelope.fields[_WHOLE]).request

    def _read(self, body: bytes | msgspec.Raw) -> Asked:
        try:
            return self.asked(self._decoder.decode(body))
        except msgspec.ValidationError as error:
            raise refusal(error, self._body) from None

    def encoder(self, *, show_usage: bool) -> Encoder:
        del show_usage
        return Encoder(self)

    def encode_error(self, error: ApiError, *, request_id: str, stream: bool = False) -> bytes:
        return plain_errors.encode_error(error, request_id=request_id, operation=self.operation, stream=stream)


class Encoder:
    """Neutral events -> one SSE event for each piece of text, and a last one with the whole call's figures."""

    def __init__(self, specification: Specification[Any]) -> None:
        self._specification = specification

    def encode(self, event: StreamEvent) -> bytes:
        if isinstance(event, TextDelta):
            return self._specification.frame(self._specification.delta(event.text))
        if isinstance(event, Settled):
            return self._specification.frame(self._specification.ending(told_by(event)))
        return b""

    def close(self) -> bytes:
        return b""


async def complete(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """A completion in the way of the door's specification, whole or as a stream."""
    started = time.perf_counter()
    specification = cast("Specification[Any]", door.dialect)
    envelope = specification.open_chat(await exchange.body(gateway.max_body_bytes))
    await answer(gateway, door, exchange, caller, envelope, started=started)


async def answer(
    gateway: Gateway, door: Door, exchange: Exchange, caller: Caller, envelope: Envelope, *, started: float
) -> None:
    """The same for a door that opens its body by itself."""
    specification = cast("Specification[Any]", door.dialect)
    call = open_call(
        exchange, surface=door.surface, caller=caller, dialect=specification, envelope=envelope, started=started
    )
    reply = await gateway.pipeline.complete(call)
    if not isinstance(reply, Reply):
        await relay(gateway, exchange, reply)
    else:
        body = msgspec.json.encode(specification.answer(told(call, reply)))
        await exchange.answer(200, body, [JSON, *answer_headers(reply)])


def told(call: Call, reply: Reply) -> Told:
    """The facts of a plain answer."""
    assert isinstance(reply.response, ChatResponse), "no provider speaks this dialect, so every answer is decoded"
    parts = reply.response.choices[0].parts if reply.response.choices else ()
    record = reply.record
    return Told(
        id=call.request_id,
        text="".join(part.text for part in parts if isinstance(part, Text)),
        model=record.served_model or record.deployment,
        provider=record.provider,
        input_tokens=record.input_tokens,
        output_tokens=record.output_tokens,
        cost_usd=None if record.cost_pico is None else usd_text(record.cost_pico),
        latency_ms=round(record.latency_ms or 0.0, 2),
        finish=record.finish_reason,
        cached=record.status == "cached",
    )


def told_by(event: Settled) -> Told:
    return Told(
        id=event.request_id,
        text="",
        model=event.model,
        provider=event.provider,
        input_tokens=event.usage.input_tokens,
        output_tokens=event.usage.output_tokens,
        cost_usd=event.cost_usd,
        latency_ms=round(event.latency_ms, 2),
        finish=event.finish,
        cached=event.cached,
        overhead_ms=event.overhead_ms,
    )


def conversation(*, prompt: str | None, messages: list[Said] | None, system: str | None = None) -> tuple[Message, ...]:
    """Either a prompt or messages, with a system text before them. Raises `ApiError` INVALID_REQUEST."""
    if (prompt is None) == (messages is None):
        raise invalid("Give either 'prompt' (a text) or 'messages' (a list), and not both.", param="prompt")
    said = messages or [Said("user", prompt or "")]
    first = [Said("system", system)] if system else []
    return tuple(Message(each.role, (Text(each.content),)) for each in (*first, *said))
