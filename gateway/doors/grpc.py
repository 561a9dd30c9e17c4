"""Specification C's gRPC service, over the same pipeline as its HTTP twin."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Never

import grpc
import structlog

from core import calling
from gateway.authentication import presented_in
from gateway.calls import Call, open_call
from gateway.catalogue import Caller
from gateway.doors import grpc_dialect, health
from gateway.doors.chat import answer_headers, stream_facts
from gateway.doors.grpc_dialect import GRPC, details_of, metadata_of
from gateway.doors.grpc_strangers import asked_soon, refusing
from gateway.doors.specification import told
from gateway.failures import OUR_FAULT, error_headers
from gateway.generated import ai_proxy_pb2 as pb
from gateway.http import LISTS, CallerLeftError, Headers, safe_request_id
from gateway.pump import pumped
from gateway.replies import Reply, abandoned
from gateway.status import provider_statuses
from wire.errors import ApiError

if TYPE_CHECKING:
    from gateway.asgi import Gateway

SERVICE = pb.DESCRIPTOR.services_by_name["AIProxy"].full_name
OPEN_METHODS = frozenset({
    f"/{SERVICE}/HealthCheck",
    "/grpc.health.v1.Health/Check",
    "/grpc.health.v1.Health/List",
    "/grpc.health.v1.Health/Watch",
})  # fmt: skip
_SURFACE = "spec_c.grpc"

log = structlog.get_logger(__name__)
Context = grpc.aio.ServicerContext[Any, Any]


class Metadata:
    """A call's metadata, read as the headers of an HTTP call are."""

    path = ""
    watch = None  # whoever cancels a call cancels its door

    def __init__(self, metadata: Iterable[Any] | None) -> None:
        self._values: dict[str, str] = {}
        for name, value in metadata or ():
            if isinstance(value, str):
                before = self._values.get(name) if name.encode() in LISTS else None
                self._values[name] = f"{before},{value}" if before else value.strip()
        self.request_id = safe_request_id(self._values.get("x-request-id", ""))
        self.told: Headers = []  # what HTTP answers say in headers

    @property
    def names(self) -> Iterable[bytes]:
        return map(str.encode, self._values)

    def header(self, name: bytes) -> str:
        return self._values.get(name.decode(), "")


class AIProxy:
    """The service's methods, each a story of its own: who calls, what for, the pipeline, the answer.

    Requests come as they were sent: gRPC would log a traceback for each that is none.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def handlers(self) -> grpc.GenericRpcHandler[Any, Any]:
        def unary(method: Callable[..., Awaitable[Any]]) -> grpc.RpcMethodHandler[Any, Any]:
            return grpc.unary_unary_rpc_method_handler(method, bytes, _serialized)

        stream = grpc.unary_stream_rpc_method_handler(self.stream_complete, bytes, bytes)
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                "Complete": unary(self.complete),
                "StreamComplete": stream,
                "HealthCheck": unary(self.health_check),
                "GetProviderStatus": unary(self.get_provider_status),
            },
        )

    async def complete(self, request: bytes, context: Context) -> pb.CompleteResponse:
        metadata = Metadata(context.invocation_metadata())
        try:
            call = await self._call(request, metadata, context, stream=False)
            reply = await self._gateway.pipeline.complete_apart(call)
        except ApiError as error:
            await self.abort(context, error, metadata)
        except Exception:  # the last resort: whatever broke, the caller gets a status and the log its cause
            log.exception("a call failed for a reason of ours", request_id=metadata.request_id, surface=_SURFACE)
            await self.abort(context, OUR_FAULT, metadata)
        assert isinstance(reply, Reply), "it was not asked to stream"
        await _begin(context, metadata, answer_headers(reply))
        return grpc_dialect.message_of(told(call, reply))

    async def stream_complete(self, request: bytes, context: Context) -> AsyncIterator[bytes]:
        """Serialized `StreamCompleteResponse`s."""
        metadata = Metadata(context.invocation_metadata())
        try:
            call = await self._call(request, metadata, context, stream=True)
            stream = await self._gateway.pipeline.complete_apart(call)
            assert not isinstance(stream, Reply), "it was asked to stream"
            try:
                await _begin(context, metadata, stream_facts(stream))
            except BaseException:  # cancelled too: nobody will ask for a frame
                self._gateway.pipeline.detach(abandoned(stream, stream.frames()))
                raise
            async for chunk in pumped(stream, detach=self._gateway.pipeline.detach):
                for message in _messages(chunk, context):
                    yield message
        except CallerLeftError:
            with _perhaps_gone():
                await context.abort(grpc.StatusCode.CANCELLED, "The answer was not taken for a minute.")
        except ApiError as error:
            await self.abort(context, error, metadata)
        except Exception:  # the last resort, as above
            log.exception("a call failed for a reason of ours", request_id=metadata.request_id, surface=_SURFACE)
            await self.abort(context, OUR_FAULT, metadata)

    async def health_check(self, request: bytes, context: Context) -> pb.HealthCheckResponse:
        return pb.HealthCheckResponse(status="ok" if await health.is_ready() else "unavailable")

    async def get_provider_status(self, request: bytes, context: Context) -> pb.GetProviderStatusResponse:
        statuses = provider_statuses(self._gateway)
        return pb.GetProviderStatusResponse(
            providers=[
                pb.ProviderStatus(
                    name=each.name,
                    kind=each.kind,
                    circuit_state=each.circuit_state,
                    healthy=each.healthy,
                    success_rate=each.success_rate,
                    avg_latency_ms=each.avg_latency_ms,
                )
                for each in statuses
            ]
        )

    async def _call(self, request: bytes, metadata: Metadata, context: Context, *, stream: bool) -> Call:
        """Raises `ApiError`."""
        started = time.perf_counter()
        calling.begin(metadata.request_id, metadata.header(b"traceparent"))
        caller = await self.caller(metadata)
        envelope = GRPC.open_chat(grpc_dialect.body_of(request, stream=stream))
        call = open_call(metadata, surface=_SURFACE, caller=caller, dialect=GRPC, envelope=envelope, started=started)
        return call.within(context.time_remaining())

    async def abort(self, context: Context, error: ApiError, metadata: Metadata) -> Never:
        """Ends the call with the error's status; its code, and what headers say of it, come as trailing metadata."""
        self._gateway.pipeline.books.tally.add_error(_SURFACE, error)
        own = (("error-code", error.code.name), ("x-request-id", metadata.request_id))
        facts = metadata_of([*error_headers(error), *metadata.told])
        with _perhaps_gone():
            await context.abort(grpc.StatusCode[error.code.grpc], details_of(error.message), (*own, *facts))
        raise AssertionError("unreachable: abort raises")

    async def caller(self, metadata: Metadata) -> Caller:
        """Raises `ApiError` UNAUTHENTICATED."""
        return await self._gateway.caller(presented_in(metadata.header))


class Guard(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic only in the stubs
    """The one chokepoint: a method that is not open needs a key, whichever service it is of, known or not."""

    def __init__(self, service: AIProxy) -> None:
        self._service = service

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any]]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any]:
        if handler_call_details.method in OPEN_METHODS:
            return asked_soon(await continuation(handler_call_details))
        metadata = Metadata(handler_call_details.invocation_metadata)
        try:
            await self._service.caller(metadata)
        except ApiError as error:
            return refusing(partial(self._service.abort, error=error, metadata=metadata))
        return await continuation(handler_call_details)


def _messages(chunk: bytes, context: Context) -> Iterator[bytes]:
    """Those of a stream's frames; the closing facts become trailing metadata. Raises the `ApiError` that ends it."""
    for kind, message in grpc_dialect.frames_of(chunk):
        if kind == grpc_dialect.MESSAGE:
            yield message
        elif kind == grpc_dialect.FACTS:
            context.set_trailing_metadata(tuple(metadata_of(grpc_dialect.facts_in(message))))
        else:
            raise grpc_dialect.error_in(message)


async def _begin(context: Context, metadata: Metadata, facts: Headers) -> None:
    """Say as initial metadata what HTTP answers say in their headers."""
    own = ("x-request-id", metadata.request_id)
    with _perhaps_gone():
        await context.send_initial_metadata((own, *metadata_of([*facts, *metadata.told])))


@contextmanager
def _perhaps_gone() -> Iterator[None]:
    """What is said to a caller who has left, or whose deadline was over, a moment ago ends as if it had been cancelled.

    gRPC would log a traceback for each, and does not know that it means no more.
    """
    try:
        yield
    except grpc.aio.InternalError:
        raise asyncio.CancelledError from None


def _serialized(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data
