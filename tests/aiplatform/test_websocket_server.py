"""WebSockets on uvicorn's connections: nobody is waited for without end."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import uvloop
from django.db import connection
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.server import ServerState

import gateway.http
from accounts.models import ApiKey, Client
from aiplatform import http_server
from aiplatform.websocket_server import Protocol
from gateway.doors import websocket
from gateway.http import Receive, Scope, Send
from providers.models import Deployment, Provider
from tests.core.hosts import Run
from tests.gateway import gateways
from tests.servers import PATIENCE_S, wait_until
from tests.upstream import Fault, Upstream
from usage import writer
from usage.models import UsageRecord

KERNEL_BYTES = 4_096  # as little as it keeps on its own of what nobody takes
ASKED = (
    b"GET /ws/complete HTTP/1.1\r\nHost: here\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n"
) % base64.b64encode(bytes(16))
A_CLOSE_NOBODY_ASKED_FOR = b"\x88\x80" + bytes(4)
NO_FRAME = b"\xff\x80" + bytes(4)

Handle = Callable[[Protocol, Receive, Send], Awaitable[None]]


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a story on each kind of event loop: uvloop is what the product's servers have."""
    chosen: Run = request.param
    return chosen


@contextlib.asynccontextmanager
async def serving(
    application: Any, *, asked: bytes = ASKED, answer: bytes = b"101", **options: Any
) -> AsyncIterator[tuple[asyncio.Event, socket.socket]]:
    """A caller's socket to a server, and whether the server is rid of it. `answer` is the status of its handshake."""
    is_lost = asyncio.Event()

    class Watched(Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            is_lost.set()

    config = uvicorn.Config(
        application,
        log_config=None,
        lifespan="off",
        interface="asgi3",
        ws=Watched,
        ws_per_message_deflate=False,  # what is sent is as much as it looks
        **options,
    )
    config.load()
    state, loop = ServerState(), asyncio.get_running_loop()
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
    server = await loop.create_server(lambda: http_server.Protocol(config, state, {}), sock=listening)
    with socket.socket() as caller:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BYTES)
        caller.setblocking(False)
        try:
            await loop.sock_connect(caller, listening.getsockname())
            await loop.sock_sendall(caller, asked)
            async with asyncio.timeout(PATIENCE_S):
                assert (await loop.sock_recv(caller, 12)).endswith(b" " + answer)
                yield is_lost, caller
        finally:
            caller.close()
            server.close()
            while state.tasks:
                await asyncio.wait(state.tasks)


def accepting(handle: Handle) -> Any:
    """An application that is `handle` once it has accepted the connection."""

    async def application(scope: Scope, receive: Receive, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await handle(send.__self__, receive, send)

    return application


async def fill(protocol: Protocol, send: Send, *, up_to_bytes: int) -> None:
    """Sends until so much waits for the caller."""
    while protocol.transport.get_write_buffer_size() < up_to_bytes:
        await send({"type": "websocket.send", "text": "a" * 1_000})
        await asyncio.sleep(0)


async def until_left(receive: Receive) -> None:
    while (await receive())["type"] != "websocket.disconnect":
        pass


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (ASKED.replace(b"GET ", b"POST "), b"405"),
        (ASKED.replace(b"Host", b"Content-Length: 2\r\nHost"), b"400"),
        (ASKED.replace(b"Host", b"X-A: %b\r\nHost" % (b"a" * 10_000)), b"431"),
        (ASKED.replace(b"Host", b"X-A: a\r\n" * 200 + b"Host"), b"431"),
    ],
    ids=["no GET", "body", "long header", "many headers"],
)
def test_a_handshake_that_is_none_is_refused_and_hung_up_on(run: Run, asked: bytes, answer: bytes) -> None:
    """Strangers could hold all connections that there are, and callers would never hear what is wrong."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        pytest.fail("nobody has come in")

    async def story() -> None:
        async with serving(application, asked=asked, answer=answer) as (is_lost, _):
            await is_lost.wait()

    run(story())


def test_who_takes_nothing_has_left(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway.http, "STALLED_S", 0.2)

    async def story() -> None:
        is_left = asyncio.Event()

        async def handle(protocol: Protocol, receive: Receive, send: Send) -> None:
            with pytest.raises(OSError):  # noqa: PT011  # which one, is the server's
                await fill(protocol, send, up_to_bytes=2 * HIGH_WATER_LIMIT)
            await until_left(receive)
            is_left.set()

        async with serving(accepting(handle)) as (is_lost, _):
            await is_left.wait()
            await is_lost.wait()

    run(story())


def test_who_takes_what_is_sent_is_waited_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway.http, "STALLED_S", 2.0)
    messages = 200

    async def story() -> None:
        async def handle(protocol: Protocol, receive: Receive, send: Send) -> None:
            for _ in range(messages):
                await send({"type": "websocket.send", "text": "a" * 10_000})
            await send({"type": "websocket.send", "text": "the end"})
            await until_left(receive)

        async with serving(accepting(handle)) as (_, caller):
            last, taken = b"", 0
            while not last.endswith(b"the end"):
                last = last[-10:] + await asyncio.get_running_loop().sock_recv(caller, 10_000)
                taken += 1
                if taken % 20 == 0:
                    await asyncio.sleep(0.25)

    run(story())


@pytest.mark.parametrize("waiting_bytes", [HIGH_WATER_LIMIT // 4, 2 * HIGH_WATER_LIMIT], ids=["little", "much"])
def test_who_answers_no_ping_has_left_whatever_waits_for_it(
    run: Run, caplog: pytest.LogCaptureFixture, waiting_bytes: int
) -> None:
    async def story() -> None:
        is_left = asyncio.Event()

        async def handle(protocol: Protocol, receive: Receive, send: Send) -> None:
            with contextlib.suppress(OSError):
                await fill(protocol, send, up_to_bytes=waiting_bytes)
            while not (protocol.close_sent or protocol.transport.is_closing()):  # noqa: ASYNC110  # nobody is told
                await asyncio.sleep(0.01)
            with pytest.raises(OSError):  # noqa: PT011  # as above
                await send({"type": "websocket.send", "text": "a"})
            await until_left(receive)
            is_left.set()

        async with serving(accepting(handle), ws_ping_interval=0.1, ws_ping_timeout=0.1) as (is_lost, _):
            await is_left.wait()
            await is_lost.wait()

    run(story())
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


@pytest.mark.parametrize("ends", ["server", A_CLOSE_NOBODY_ASKED_FOR, NO_FRAME], ids=["server", "caller", "mistake"])
def test_what_waits_when_a_connection_closes_is_waited_for_no_longer(
    run: Run, monkeypatch: pytest.MonkeyPatch, ends: str | bytes
) -> None:
    monkeypatch.setattr(gateway.http, "STALLED_S", 0.2)

    async def story() -> None:
        is_filled = asyncio.Event()

        async def handle(protocol: Protocol, receive: Receive, send: Send) -> None:
            await fill(protocol, send, up_to_bytes=HIGH_WATER_LIMIT // 4)
            is_filled.set()
            if ends == "server":
                await send({"type": "websocket.close"})
            await until_left(receive)
            with pytest.raises(OSError):  # noqa: PT011  # as above
                await send({"type": "websocket.send", "text": "a"})

        async with serving(accepting(handle)) as (is_lost, caller):
            await is_filled.wait()
            if isinstance(ends, bytes):
                await asyncio.get_running_loop().sock_sendall(caller, ends)
            await is_lost.wait()

    run(story())


@pytest.mark.django_db(transaction=True)
def test_the_call_of_who_takes_nothing_is_settled(
    run: Run, tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gateway.http, "STALLED_S", 0.2)
    monkeypatch.setattr(writer, "_LOOK_EVERY_S", PATIENCE_S)  # a slow machine is no database that is away
    house = Provider.objects.create(name="House", slug="house", kind="custom", base_url=upstream.openai_url)
    Deployment.objects.create(provider=house, name="long")
    _, key = ApiKey.mint(client=Client.objects.create(name="alice"))
    upstream.on("long", Fault(words=10_000))

    async def story() -> None:
        async with gateways.running(tmp_path) as gateway:
            application = partial(websocket.serve, gateway)
            async with serving(application) as (is_lost, caller):
                asked = {"id": "1", "type": "complete", "key": key, "model": "long", "prompt": "Hi " * 100}
                await asyncio.get_running_loop().sock_sendall(caller, masked(json.dumps(asked).encode()))
                await is_lost.wait()
                await asyncio.to_thread(wait_until, rows, what="the call to be settled")

    run(story())
    assert rows() == [("cancelled", "reported")]  # drained, as its provider is set
    assert not [record for record in caplog.records if record.levelno > logging.WARNING]


def masked(text: bytes) -> bytes:
    """A caller's text message of 126 bytes or more, masked with zeros (RFC 6455, section 5.2)."""
    return b"\x81\xfe" + len(text).to_bytes(2) + bytes(4) + text


def rows() -> list[tuple[str, str]]:
    """As another connection sees them."""
    try:
        return list(UsageRecord.objects.values_list("status", "evidence"))
    finally:
        connection.close()
