"""Specification C over gRPC: requests out of protobuf messages, answers and stream frames into them.

A stream's frames are bytes on their way through the pipeline, so each message goes in a frame of its own: one byte for
its kind, four for its length, then the message.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.doors.spec_c import Body, SpecC
from gateway.doors.specification import Told, told_by
from gateway.generated import ai_proxy_pb2 as pb
from wire.errors import ApiError
from wire.neutral import Settled, StreamEvent, TextDelta

MESSAGE, ERROR = 0, 1
_HEAD = struct.Struct(">BI")


class StreamError(msgspec.Struct, frozen=True):
    """What ends a stream that has begun: a name of `wire.errors.Code`, and its message."""

    code: str
    message: str


class GrpcDialect(SpecC):
    name = "spec_c_grpc"
    stream_type = b"application/grpc"

    def encoder(self, *, show_usage: bool) -> Encoder:  # type: ignore[override]  # what it writes is framed, not SSE
        del show_usage
        return Encoder()

    def encode_error(self, error: ApiError, *, request_id: str, stream: bool = False) -> bytes:
        """Only streams have a body for it: other calls end in a status."""
        del request_id
        return _frame(ERROR, msgspec.msgpack.encode(StreamError(error.code.name, error.message))) if stream else b""


class Encoder:
    """Neutral events -> framed `StreamCompleteResponse`s."""

    def encode(self, event: StreamEvent) -> bytes:
        if isinstance(event, TextDelta):
            return _frame(MESSAGE, pb.StreamCompleteResponse(delta=event.text).SerializeToString())
        if isinstance(event, Settled):
            return _frame(MESSAGE, pb.StreamCompleteResponse(final=message_of(told_by(event))).SerializeToString())
        return b""

    def close(self) -> bytes:
        return b""


def body_of(request: pb.CompleteRequest, *, stream: bool) -> bytes:
    """The request as the body of its HTTP twin, so that both are checked by the same rules."""
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


def error_in(message: bytes) -> StreamError:
    return msgspec.msgpack.decode(message, type=StreamError)


def _frame(kind: int, message: bytes) -> bytes:
    return _HEAD.pack(kind, len(message)) + message


GRPC = GrpcDialect(Body)
