"""Whole answers on uvicorn's connections: bounded, in order, and forgotten once they are out."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import uvicorn
import uvloop
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

import gateway.http
from aiplatform import http_server
from aiplatform.http_server import Protocol
from gateway.http import CallerLeftError, Exchange, Receive, Scope, Send
from tests.core.hosts import Run
from tests.servers import PATIENCE_S

REQUEST = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 2\r\n\r\n{}"
ANSWER_BYTES = 256 * 1024

Handle = Callable[[Exchange, RequestResponseCycle], Awaitable[None]]


@pytest.fixture(params=[asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a story on each kind of event loop: uvloop is what the product's servers have."""
    chosen: Run = request.param
    return chosen


@contextlib.asynccontextmanager
async def serving(handle: Handle) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A caller's connection to a server whose application is `handle`."""

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await handle(Exchange(scope, receive, send), cycle_of(send))

    config, state = uvicorn.Config(application, log_config=None, lifespan="off"), ServerState()
    server = await asyncio.get_running_loop().create_server(lambda: Protocol(config, state, {}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), limit=HIGH_WATER_LIMIT)
    try:
        yield reader, writer
    finally:
        writer.close()
        server.close()
        while state.tasks:
            await asyncio.wait(state.tasks)


def cycle_of(send: Any) -> RequestResponseCycle:
    cycle: RequestResponseCycle = send.__self__
    return cycle


async def answered(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return head, await reader.readexactly(int(length))


def test_what_a_caller_does_not_read_is_not_piled_up(run: Run) -> None:
    """It asks and asks on one connection, and takes no answer."""
    calls = 100
    waiting_bytes: list[int] = []

    async def story() -> None:
        is_full = asyncio.Event()

        async def handle(exchange: Exchange, cycle: RequestResponseCycle) -> None:
            if cycle.flow.write_paused:
                is_full.set()
            await exchange.body(100)
            await exchange.answer(200, bytes(ANSWER_BYTES))
            waiting_bytes.append(cycle.transport.get_write_buffer_size())

        async with serving(handle) as (reader, writer):
            writer.write(REQUEST * calls)
            await is_full.wait()
            for _ in range(calls * 10):  # turns enough for all of them, were they answered
                await asyncio.sleep(0)
            for _ in range(calls):
                assert (await answered(reader))[1] == bytes(ANSWER_BYTES)

    run(story())
    assert len(waiting_bytes) == calls
    assert max(waiting_bytes) < ANSWER_BYTES + 2 * HIGH_WATER_LIMIT


def test_a_stream_whose_end_nobody_takes_is_left_and_its_connection_closed(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What it has not taken by then it never will."""
    monkeypatch.setattr(gateway.http, "STALLED_S", 0.2)

    async def story() -> None:
        is_left = asyncio.Event()

        async def handle(exchange: Exchange, cycle: RequestResponseCycle) -> None:
            await exchange.body(100)
            await exchange.start_stream([])
            await exchange.send(bytes(64 * ANSWER_BYTES))
            assert cycle.flow.write_paused
            with pytest.raises(CallerLeftError):
                await exchange.end_stream()
            is_left.set()

        async with serving(handle) as (reader, writer):
            writer.write(REQUEST)
            async with asyncio.timeout(PATIENCE_S):
                await is_left.wait()
                with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                    await reader.readexactly(64 * ANSWER_BYTES)

    run(story())
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


def test_whole_answers_that_nobody_takes_are_thrown_away_with_their_connection(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that is under way, and those that wait for their turn."""
    monkeypatch.setattr(gateway.http, "STALLED_S", 0.2)

    async def story() -> None:
        is_over = asyncio.Event()

        async def handle(exchange: Exchange, cycle: RequestResponseCycle) -> None:
            await exchange.body(100)
            await exchange.answer(200, bytes(64 * ANSWER_BYTES))
            if cycle.disconnected:
                is_over.set()

        async with serving(handle) as (reader, writer):
            writer.write(REQUEST * 2)
            async with asyncio.timeout(PATIENCE_S):
                await is_over.wait()
                with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                    await reader.readexactly(64 * ANSWER_BYTES)

    run(story())


def test_a_whole_answer_that_is_taken_slowly_is_taken_whole(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway.http, "STALLED_S", 2.0)

    async def story() -> None:
        async def handle(exchange: Exchange, cycle: RequestResponseCycle) -> None:
            await exchange.body(100)
            await exchange.answer(200, bytes(64 * ANSWER_BYTES))

        async with serving(handle) as (reader, writer):
            writer.write(REQUEST)
            await reader.readuntil(b"\r\n\r\n")
            for _ in range(16):
                await asyncio.sleep(0.15)
                assert len(await reader.readexactly(4 * ANSWER_BYTES)) == 4 * ANSWER_BYTES

    run(story())


def test_a_call_that_is_over_is_forgotten_at_once() -> None:
    """Else its body and its answer would wait for the garbage collector."""
    cycles: list[weakref.ref[RequestResponseCycle]] = []

    async def story() -> None:
        async def handle(exchange: Exchange, cycle: RequestResponseCycle) -> None:
            cycles.append(weakref.ref(cycle))
            await exchange.body(100)
            await exchange.answer(200, b"{}")

        async with serving(handle) as (reader, writer):
            for _ in range(5):
                writer.write(REQUEST)
                await answered(reader)
            assert [each() is None for each in cycles] == [True] * 4 + [False]

    gc.collect()
    gc.disable()
    try:
        asyncio.run(story())
    finally:
        gc.enable()


def test_a_header_that_would_begin_another_is_not_sent_and_another_answer_can_be() -> None:
    async def story() -> None:
        async def handle(exchange: Exchange, cycle: RequestResponseCycle) -> None:
            await exchange.body(100)
            with pytest.raises(ValueError, match="line break"):
                await exchange.answer(200, b"{}", [(b"x-model", b"a\r\nx-forged: b")])
            assert not exchange.started
            await exchange.answer(500, b"no")

        async with serving(handle) as (reader, writer):
            writer.write(REQUEST)
            head, body = await answered(reader)
            assert head.startswith(b"HTTP/1.1 500 ")
            assert b"x-forged" not in head
            assert body == b"no"

    asyncio.run(story())


def test_an_answer_before_the_body_has_come_leaves_the_connection_to_the_next_call(run: Run) -> None:
    async def story() -> None:
        async def handle(exchange: Exchange, cycle: RequestResponseCycle) -> None:
            body = b"" if exchange.path == "/early" else await exchange.body(100)
            await exchange.answer(200, b"[%b]" % body)

        async with serving(handle) as (reader, writer):
            writer.write(b"POST /early HTTP/1.1\r\nHost: here\r\nContent-Length: 1000000\r\n\r\n")
            assert (await answered(reader))[1] == b"[]"
            writer.write(bytes(1_000_000) + REQUEST)
            assert (await answered(reader))[1] == b"[{}]"

    run(story())


@pytest.mark.parametrize(
    "begun",
    [b"GET /", b"POST / HTTP/1.1\r\nHost: here\r\nX-A: ", b"%bTransfer-Encoding: chunked\r\n\r\n1;a=", b"%b%b"],
    ids=["address", "header", "chunk's extension", "trailer"],
)
def test_headers_are_bounded(run: Run, begun: bytes) -> None:
    """A stranger could fill the process with them."""
    head = b"POST / HTTP/1.1\r\nHost: here\r\n"
    begun = begun.replace(b"%b%b", head + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX-A: ").replace(b"%b", head)

    async def story() -> None:
        async def handle(exchange: Exchange, cycle: RequestResponseCycle) -> None:
            with pytest.raises(CallerLeftError):
                await exchange.body(100)

        async with serving(handle) as (_, writer):
            writer.write(begun)
            with contextlib.suppress(ConnectionError):
                for _ in range(1_000):
                    writer.write(b"a" * HIGH_WATER_LIMIT)
                    await writer.drain()
                pytest.fail("it takes whatever comes")

    run(story())


@pytest.mark.parametrize(
    "begun",
    [b"", b"GET / HTTP/1.1\r\nX-A: ", b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\n", REQUEST + b"GET /"],
    ids=["nothing", "header", "body", "next header"],
)
def test_a_request_that_does_not_come_to_its_end_is_not_waited_for(
    run: Run, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    """However its caller keeps it going: strangers could hold all connections that there are."""
    monkeypatch.setattr(http_server, "ARRIVAL_S", 0.2)

    async def story() -> None:
        async def handle(exchange: Exchange, cycle: RequestResponseCycle) -> None:
            with contextlib.suppress(CallerLeftError):
                await exchange.body(100)
                await exchange.answer(200, b"{}")

        async with serving(handle) as (reader, writer):
            writer.write(begun)
            over = asyncio.ensure_future(reader.read())
            async with asyncio.timeout(PATIENCE_S):
                while not over.done():
                    if begun:
                        writer.write(b"a")
                    await asyncio.wait({over}, timeout=0.05)

    run(story())


def test_who_waits_long_for_an_answer_is_not_taken_for_one_who_sends_slowly(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "ARRIVAL_S", 0.1)

    async def story() -> None:
        async def handle(exchange: Exchange, cycle: RequestResponseCycle) -> None:
            await exchange.body(100)
            await asyncio.sleep(0.5)
            await exchange.answer(200, b"{}")

        async with serving(handle) as (reader, writer):
            for _ in range(2):
                writer.write(REQUEST)
                assert (await answered(reader))[1] == b"{}"

    run(story())


def test_what_comes_after_the_body_is_no_header(run: Run) -> None:
    """A proxy has not looked at it: else callers could say by it where they come from."""
    told: list[str] = []

    async def story() -> None:
        async def handle(exchange: Exchange, cycle: RequestResponseCycle) -> None:
            assert await exchange.body(100) == b"{}"
            told.append(exchange.header(b"x-forwarded-for"))
            await exchange.answer(200, b"{}")

        async with serving(handle) as (reader, writer):
            writer.write(
                b"POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"2\r\n{}\r\n0\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n"
            )
            await answered(reader)

    run(story())
    assert told == [""]


OFFERS = {
    "HTTP/2": b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n",
    "TLS": b"Upgrade: TLS/1.2\r\nConnection: upgrade\r\n",
}
SENT = {
    "Content-Length": b"Content-Length: 2\r\n\r\n{}",
    "chunked": b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("piece_bytes", [1, 1_000_000], ids=["byte by byte", "at once"])
@pytest.mark.parametrize("body", SENT.values(), ids=SENT.keys())
@pytest.mark.parametrize("offer", OFFERS.values(), ids=OFFERS.keys())
def test_a_request_that_offers_another_protocol_is_answered_whole(
    run: Run, offer: bytes, body: bytes, piece_bytes: int
) -> None:
    """Java's own client makes such an offer with its requests. They may follow each other before they are answered."""

    async def story() -> None:
        async def handle(exchange: Exchange, cycle: RequestResponseCycle) -> None:
            assert exchange.header(b"host") == "here"
            assert b"upgrade" not in exchange.names
            await exchange.answer(200, exchange.path.encode() + await exchange.body(100))

        async with serving(handle) as (reader, writer):
            asked = [b"POST /%d HTTP/1.1\r\nHost: here\r\n%b%b" % (number, offer, body) for number in range(3)]
            sent = b"".join(asked) + REQUEST
            for start in range(0, len(sent), piece_bytes):
                writer.write(sent[start : start + piece_bytes])
                await asyncio.sleep(0)
            for path in (b"/0", b"/1", b"/2", b"/"):
                assert (await answered(reader))[1] == path + b"{}"

    run(story())


def test_the_body_of_a_request_with_an_offer_is_no_request(run: Run) -> None:
    """Else callers could send others what no proxy has looked at."""
    asked: list[str] = []

    async def story() -> None:
        async def handle(exchange: Exchange, cycle: RequestResponseCycle) -> None:
            asked.append(exchange.path)
            await exchange.answer(200, b"{}")

        async with serving(handle) as (reader, writer):
            hidden = b"GET /hidden HTTP/1.1\r\nHost: here\r\n\r\n"
            writer.write(
                b"POST /seen HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: %d\r\n\r\n"
                % len(hidden)
            )
            await answered(reader)
            writer.write(hidden + REQUEST)
            await answered(reader)

    run(story())
    assert asked == ["/seen", "/"]


def test_any_number_of_offers_may_come_together(run: Run) -> None:
    async def story() -> None:
        async def handle(exchange: Exchange, cycle: RequestResponseCycle) -> None:
            await exchange.answer(200, b"{}")

        async with serving(handle) as (reader, writer):
            writer.write(b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n" * 2_000)
            for _ in range(2_000):
                await answered(reader)

    run(story())


@pytest.mark.timeout(10)
def test_who_asks_for_a_tunnel_is_answered_once(run: Run) -> None:
    """It was taken for an offer, and read again and again: nobody else of this worker's was ever served."""
    asked: list[str] = []

    async def story() -> None:
        async def handle(exchange: Exchange, cycle: RequestResponseCycle) -> None:
            asked.append(f"{exchange.scope['method']} {exchange.path}")
            await exchange.answer(404, b"{}")

        async with serving(handle) as (reader, writer):
            writer.write(b"CONNECT / HTTP/1.1\r\nHost: here\r\n\r\n")
            await answered(reader)

    run(story())
    assert asked == ["CONNECT /"]


def test_a_caller_who_keeps_no_connection_has_it_closed(run: Run) -> None:
    async def story() -> None:
        async def handle(exchange: Exchange, cycle: RequestResponseCycle) -> None:
            await exchange.body(100)
            await exchange.answer(200, bytes(ANSWER_BYTES))

        async with serving(handle) as (reader, writer):
            writer.write(REQUEST.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            head, body = await answered(reader)
            assert b"connection: close\r\n" in head
            assert body == bytes(ANSWER_BYTES)
            assert await reader.read() == b""

    run(story())
