"""What strangers, and too many callers, get over gRPC: a refusal, not a place that others lack."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway import grpc_server
from gateway.doors import grpc as grpc_door
from gateway.doors import grpc_health, grpc_strangers
from gateway.failures import OUR_FAULT
from tests.gateway import gateways
from tests.servers import PATIENCE_S, free_port

pytestmark = pytest.mark.django_db
Story = Callable[[grpc.aio.Channel], Awaitable[None]]
ASKED = health_pb2.HealthCheckRequest()


def _play(tmp_path: Path, story: Story) -> None:
    """A gateway that has not started: these calls end before they need it."""

    async def whole() -> None:
        port = free_port()
        server = await grpc_server.start(
            gateways.unstarted(tmp_path), host="127.0.0.1", port=port, tls=None, is_shared=False
        )
        try:
            async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
                await asyncio.wait_for(story(channel), PATIENCE_S)
        finally:
            await server.stop(None)

    asyncio.run(whole())


async def _watching(stub: Any, number: int) -> list[Any]:
    """So many streams, each of which has begun."""
    streams = [stub.Watch(ASKED) for _ in range(number)]
    for stream in streams:
        await stream.read()
    return streams


async def _code(call: Awaitable[Any]) -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    code: grpc.StatusCode = failed.value.code()
    return code


async def _nothing() -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


def test_a_client_connects_anew_after_a_while_and_its_streams_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpc_server, "CONNECTION_AGE_S", 1)

    async def story(channel: grpc.aio.Channel) -> None:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        [stream] = await _watching(stub, 1)
        await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)

        assert (await stub.Check(ASKED)).status == health_pb2.HealthCheckResponse.SERVING
        await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
        assert not stream.done()

    _play(tmp_path, story)


def test_only_so_many_watch_and_who_leaves_makes_room(tmp_path: Path) -> None:
    async def story(channel: grpc.aio.Channel) -> None:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        first, *_ = await _watching(stub, grpc_health.MOST_WATCHERS)

        assert await _code(stub.Watch(ASKED).read()) is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert (await stub.Check(ASKED)).status == health_pb2.HealthCheckResponse.SERVING

        first.cancel()
        while True:  # the server hears of it a moment later
            try:
                await _watching(stub, 1)
                break
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.01)

    _play(tmp_path, story)


def test_beyond_the_most_at_once_a_call_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_server, "MOST_AT_ONCE", 3)

    async def story(channel: grpc.aio.Channel) -> None:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        kept = await _watching(stub, 3)

        assert await _code(stub.Check(ASKED)) is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert not any(stream.done() for stream in kept)

    _play(tmp_path, story)


@pytest.mark.parametrize("method", ["/ai_proxy.v1.AIProxy/HealthCheck", "/grpc.health.v1.Health/Watch"])
def test_an_open_method_waits_only_so_long_for_its_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr(grpc_strangers, "_PATIENCE_S", 0.1)

    async def story(channel: grpc.aio.Channel) -> None:
        assert await _code(channel.stream_unary(method, bytes, bytes)(_nothing())) is grpc.StatusCode.DEADLINE_EXCEEDED

    _play(tmp_path, story)


@pytest.mark.parametrize("method", ["/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"])
def test_what_is_no_request_is_refused_by_an_open_method(tmp_path: Path, method: str) -> None:
    async def story(channel: grpc.aio.Channel) -> None:
        assert await _code(channel.unary_unary(method, bytes, bytes)(b"\xff")) is grpc.StatusCode.INVALID_ARGUMENT

    _play(tmp_path, story)


class _Ended:
    """gRPC's context of a call whose caller has left a moment ago: nothing can be sent any more."""

    async def abort(self, *_: Any) -> None:
        raise grpc.aio.InternalError("execute_batch")

    async def send_initial_metadata(self, _: Any) -> None:
        raise grpc.aio.InternalError("execute_batch")


@pytest.mark.django_db(transaction=True)
def test_who_leaves_in_the_moment_of_its_answer_is_no_error_to_be_logged(tmp_path: Path) -> None:
    """A deadline is the caller's and the call's: both notice it at the same time."""
    context: Any = _Ended()
    metadata = grpc_door.Metadata(())

    async def story() -> None:
        async with gateways.running(tmp_path) as gateway:
            with pytest.raises(asyncio.CancelledError):
                await grpc_door.AIProxy(gateway).abort(context, OUR_FAULT, metadata)
        with pytest.raises(asyncio.CancelledError):
            await grpc_door._begin(context, metadata, [])

    asyncio.run(story())
