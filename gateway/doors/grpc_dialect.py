"""Specification C over gRPC: requests out of protobuf messages, answers and stream frames into them.

A stream's frames are bytes on their way through the pipeline, so each message goes in a frame of its own: one byte for
its kind, four for its length, then the message.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import msgspec
from google.protobuf.message import DecodeError

from gateway.doors.spec_c import Body, SpecC
from gateway.doors.specification import Told, told_by
from gateway.generated import ai_proxy_pb2 as pb
from gateway.http import Headers
from wire.errors import ApiError, Code, invalid
from wire.neutral import Settled, StreamEvent, TextDelta

MESSAGE, ERROR, FACTS = 0, 1, 2
_HEAD = struct.Struct(">BI")
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))
MOST_DETAILS_BYTES = 2_000
_ELLIPSIS = "…"


class StreamError(msgspec.Struct, frozen=True):
    """What ends a stream that has begun. `code` is a name of `wire.errors.Code`."""

    code: str
    message: str
    retry_after_s: float | None
    provider: str | None

    @classmethod
    def of(cls, error: ApiError) -> StreamError:
        return cls(error.code.name, error.message, error.retry_after_s, error.provider)

    def as_error(self) -> ApiError:
        return ApiError(Code[self.code], self.message, retry_after_s=self.retry_after_s, provider=self.provider)


class GrpcDialect(SpecC):
    name = "spec_c_grpc"
    stream_type = b"application/grpc"

    def encoder(self, *, show_usage: bool) -> Encoder:  # type: ignore[override]  # what it writes is framed, not SSE
        del show_usage
        return Encoder()

    def encode_error(self, error: ApiError, *, request_id: str, stream: bool = False) -> bytes:
        """Only streams have a body for it: other calls end in a status."""
        del request_id
        return _frame(ERROR, msgspec.msgpack.encode(StreamError.of(error))) if stream else b""


class Encoder:
    """Neutral events -> framed `StreamCompleteResponse`s, and what is known at the end alone, as trailing metadata."""

    def encode(self, event: StreamEvent) -> bytes:
        if isinstance(event, TextDelta):
            return _frame(MESSAGE, pb.StreamCompleteResponse(delta=event.text).SerializeToString())
        if isinstance(event, Settled):
            told = told_by(event)
            final = _frame(MESSAGE, pb.StreamCompleteResponse(final=message_of(told)).SerializeToString())
            return final + _frame(FACTS, msgspec.msgpack.encode(_closing_facts(told)))
        return b""

    def close(self) -> bytes:
        return b""


def body_of(sent: bytes, *, stream: bool) -> bytes:
    """A `CompleteRequest` as the body of its HTTP twin, so that both are checked by the same rules.

    Raises `ApiError` INVALID_REQUEST where it is none.
    """
    try:
        request = pb.CompleteRequest.FromString(sent)
    except DecodeError as error:
        raise ApiError(Code.INVALID_REQUEST, "The message is not a CompleteRequest.") from error
    said: dict[str, Any] = {
        "model_id": request.model_id,
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        "stop": list(request.stop),
        "metadata": dict(request.metadata),
        "stream": stream,
    }
    said |= {name: value for name in ("prompt", "system", "provider", "user_id") if (value := getattr(request, name))}
    optional = ("temperature", "max_tokens", "top_p", "use_cache")
    said |= {name: getattr(request, name) for name in optional if request.HasField(name)}
    if strange := [name for name in ("temperature", "top_p") if not math.isfinite(said.get(name, 0))]:
        raise invalid(f"'{strange[0]}' must be a finite number.", param=strange[0])  # JSON has no word for others
    return msgspec.json.encode(said)


def message_of(told: Told) -> pb.CompleteResponse:
    return pb.CompleteResponse(
        id=told.id,
        content=told.text,
        model=told.model,
        provider=told.provider,
        usage=pb.Usage(**told.usage),
        cost_usd=told.cost_usd or "",
        cached=told.cached,
        finish_reason=told.finish,
        latency_ms=told.latency_ms,
    )


def frames_of(chunk: bytes) -> Iterator[tuple[int, bytes]]:
    """The kinds and messages of whole frames."""
    at = 0
    while at < len(chunk):
        kind, size = _HEAD.unpack_from(chunk, at)
        at += _HEAD.size
        yield kind, chunk[at : at + size]
        at += size


def error_in(message: bytes) -> ApiError:
    return msgspec.msgpack.decode(message, type=StreamError).as_error()


def facts_in(message: bytes) -> Headers:
    return msgspec.msgpack.decode(message, type=Headers)


def metadata_of(headers: Headers) -> list[tuple[str, str]]:
    """What HTTP says in headers. Metadata is ASCII: other letters, as a model's name may have, are percent-encoded."""
    return [(name.decode(), quote(value, safe=_PRINTABLE)) for name, value in headers]


def details_of(message: str) -> str:
    """What a status says. It is metadata too, of which gRPC's clients take 8 KiB and refuse the status with the rest.

    Bytes beyond ASCII count three times there: they are percent-encoded (gRPC's protocol over HTTP/2, Status-Message).
    """
    text = message.encode()
    if len(text) <= MOST_DETAILS_BYTES:
        return message
    return text[: MOST_DETAILS_BYTES - len(_ELLIPSIS.encode())].decode(errors="ignore") + _ELLIPSIS


def _closing_facts(told: Told) -> Headers:
    facts: Headers = []
    if told.cost_usd is not None:
        facts.append((b"x-cost-usd", told.cost_usd.encode()))
    if told.overhead_ms is not None:
        facts.append((b"x-overhead-ms", b"%.2f" % told.overhead_ms))
    return facts


def _frame(kind: int, message: bytes) -> bytes:
    return _HEAD.pack(kind, len(message)) + message


GRPC = GrpcDialect(Body)
