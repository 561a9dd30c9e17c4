"""Handlers for calls without a key: none of them waits for long for what never comes, and takes others' place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Never, TypeAlias

import grpc
from google.protobuf.message import DecodeError

_PATIENCE_S = 10.0  # for a request whose headers are here
Context = grpc.aio.ServicerContext[Any, Any]
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"  # generic only in the stubs


def refusing(refuse: Callable[[Context], Awaitable[Never]]) -> Handler:
    """Fits every method: it takes a stream, so that it need not wait for a message, and answers nothing."""

    async def answer(_: Any, context: Context) -> Any:
        await refuse(context)

    return grpc.stream_unary_rpc_method_handler(answer)


def asked_soon(handler: Handler) -> Handler:
    """The same method, which takes one message, but it ends with DEADLINE_EXCEEDED where that does not come."""
    read: Any = handler.request_deserializer
    codecs = (bytes, handler.response_serializer)  # gRPC would log a traceback for each message that is none
    if handler.response_streaming:
        streaming: Any = handler.unary_stream

        async def stream(requests: AsyncIterator[Any], context: Context) -> Any:
            told = streaming(await _first(requests, read, context), context)
            if isinstance(told, AsyncIterator):
                async for message in told:
                    await context.write(message)
            else:  # it writes its messages itself
                await told

        return grpc.stream_stream_rpc_method_handler(stream, *codecs)
    whole: Any = handler.unary_unary

    async def answer(requests: AsyncIterator[Any], context: Context) -> Any:
        return await whole(await _first(requests, read, context), context)

    return grpc.stream_unary_rpc_method_handler(answer, *codecs)


async def _first(requests: AsyncIterator[Any], read: Callable[[bytes], Any], context: Context) -> Any:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return read(await anext(requests))
    except DecodeError:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "The message is not one that this method takes.")
    except (TimeoutError, StopAsyncIteration):
        await context.abort(
            grpc.StatusCode.DEADLINE_EXCEEDED, f"No request came, for which {_PATIENCE_S:.0f} seconds are the most."
        )
