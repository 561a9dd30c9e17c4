"""Connections: opened once, used again, bounded, and never left behind, on both kinds of event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from aiohappyeyeballs import AddrInfoType

from core.http1 import Answer, BrokenAnswerError, ConnectError, ConnectTimeoutError, Session, UnpackedAnswer, pool
from core.http1.answer import HIGH_WATER_BYTES
from tests.core.hosts import (
    CONNECT_S,
    HELLO,
    Line,
    RawHost,
    Run,
    Turn,
    counted,
    framed,
    only_pool,
    open_local,
    raw_host,
    saying,
    sized,
)

READ_BYTES = 256 * 1024  # the most that either loop reads from a socket at once


async def silence(line: Line) -> None:
    """A host that hears a request and says nothing, until the client leaves."""
    await line.reader.read()


@contextlib.asynccontextmanager
async def calling(turn: Turn) -> AsyncIterator[tuple[RawHost, Session]]:
    async with raw_host(turn) as host, open_local() as session:
        yield host, session


async def ask(host: RawHost, session: Session, body: bytes = b"") -> Answer | UnpackedAnswer:
    return await session.post(f"http://127.0.0.1:{host.port}/", {}, body, connect_timeout_s=CONNECT_S)


async def read(host: RawHost, session: Session) -> bytes:
    return await (await ask(host, session)).read(1_000_000)


async def until(happened: Callable[[], bool]) -> None:
    while not happened():  # noqa: ASYNC110 -- what is waited for tells nobody
        await asyncio.sleep(0.002)


# --- used again ---------------------------------------------------------------------------------------------------


def test_one_connection_carries_one_call_after_the_other(run: Run) -> None:
    async def story() -> None:
        async with calling(saying(HELLO)) as (host, session):
            for _ in range(50):
                assert await read(host, session) == b"hello"
            assert len(host.lines) == 1
            assert counted(session) == (1, 1, 0)

    run(story())


def test_calls_at_once_have_a_connection_each_and_the_last_used_is_the_next(run: Run) -> None:
    async def story() -> None:
        async with calling(saying(HELLO)) as (host, session):
            await asyncio.gather(*(read(host, session) for _ in range(10)))
            assert len(host.lines) <= 10
            latest = next(reversed(only_pool(session)._resting))
            await read(host, session)
            assert next(reversed(only_pool(session)._resting)) is latest

    run(story())


@pytest.mark.parametrize(
    "answer",
    [
        sized(b"hello", "Connection: close"),
        HELLO.replace(b"1.1", b"1.0"),
        HELLO + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
        HELLO + b"garbage",
        framed(["Transfer-Encoding: chunked"], b"5\r\nhello\r\n0\r\n\r\n") + HELLO,
    ],
)
def test_some_connections_carry_no_second_call(run: Run, answer: bytes) -> None:
    async def story() -> None:
        async with calling(saying(answer)) as (host, session):
            for _ in range(3):
                assert await read(host, session) == b"hello"
                assert counted(session) == (0, 0, 0)
            assert len(host.lines) == 3
            await asyncio.gather(*(line.gone.wait() for line in host.lines))

    run(story())


@pytest.mark.parametrize("unasked", [HELLO, b"\r\n", b"x", b""])
def test_a_connection_at_rest_that_says_anything_is_closed(run: Run, unasked: bytes) -> None:
    async def story() -> None:
        async with calling(saying(HELLO)) as (host, session):
            await read(host, session)
            if unasked:
                await host.lines[0].say(unasked)
            else:
                host.lines[0].hang_up()
            await until(lambda: counted(session) == (0, 0, 0))
            assert await read(host, session) == b"hello"
            assert len(host.lines) == 2

    run(story())


def test_a_call_is_never_sent_twice(run: Run) -> None:
    async def story() -> None:
        async def turn(line: Line) -> None:
            if len(host.requests) % 2:
                await line.say(HELLO)
            else:
                line.hang_up()

        async with calling(turn) as (host, session):
            await read(host, session)
            with pytest.raises(BrokenAnswerError):
                await read(host, session)
            assert len(host.requests) == 2
            assert await read(host, session) == b"hello"

    run(story())


def test_an_answer_before_the_whole_request_was_sent_ends_the_connection(run: Run) -> None:
    async def story() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(HELLO)  # and the rest of the request stays where it is
            await over.wait()
            writer.transport.abort()

        over = asyncio.Event()
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with open_local() as session:
            answer = await session.post(url, {}, bytes(50_000_000), connect_timeout_s=CONNECT_S)
            assert await answer.read(100) == b"hello"
            assert counted(session) == (0, 0, 0)
        over.set()
        server.close()

    run(story())


def test_connections_at_rest_grow_old(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "REST_S", 0.05)

    async def story() -> None:
        async with calling(saying(HELLO)) as (host, session):
            await asyncio.gather(*(read(host, session) for _ in range(5)))
            await asyncio.gather(*(line.gone.wait() for line in host.lines))
            assert counted(session) == (0, 0, 0)
            assert await read(host, session) == b"hello"

    run(story())


# --- bounded ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("slots", [1, 3])
def test_no_more_connections_than_there_are_slots_and_who_came_first_is_next(
    run: Run, monkeypatch: pytest.MonkeyPatch, slots: int
) -> None:
    monkeypatch.setattr(pool, "MAX_CONNECTIONS", slots)

    async def story() -> None:
        async with calling(saying(HELLO)) as (host, session):
            answers = await asyncio.gather(*(ask(host, session, b"%d" % number) for number in range(40)))
            assert [await answer.read(100) for answer in answers] == [b"hello"] * 40
            assert len(host.lines) == slots
            assert counted(session) == (slots, slots, 0)
            order = [int(body) for _, body in host.requests]
            assert sorted(order) == list(range(40))
            if slots == 1:  # else one connection may be a little ahead of another
                assert order == list(range(40))

    run(story())


def test_who_waits_gets_the_slot_of_a_connection_that_ends(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "MAX_CONNECTIONS", 1)

    async def story() -> None:
        async with calling(saying(sized(b"hello", "Connection: close"))) as (host, session):
            assert await asyncio.gather(*(read(host, session) for _ in range(5))) == [b"hello"] * 5
            assert counted(session) == (0, 0, 0)

    run(story())


def test_who_leaves_the_line_holds_nobody_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "MAX_CONNECTIONS", 1)

    async def story() -> None:
        async with calling(silence) as (host, session):
            first = asyncio.create_task(ask(host, session))
            await until(lambda: len(host.requests) == 1)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await ask(host, session)
            assert counted(session) == (1, 0, 0)
            second = asyncio.create_task(ask(host, session))
            await until(lambda: counted(session) == (1, 0, 1))
            await cancelled(first)
            await until(lambda: len(host.requests) == 2)
            await cancelled(second)
            assert counted(session) == (0, 0, 0)

    run(story())


@pytest.mark.parametrize("leaves_first", [True, False])
@pytest.mark.parametrize("handed", ["slot", "connection"])
def test_what_is_handed_to_one_who_is_just_leaving_goes_on(
    run: Run, monkeypatch: pytest.MonkeyPatch, *, handed: str, leaves_first: bool
) -> None:
    monkeypatch.setattr(pool, "MAX_CONNECTIONS", 1)

    async def story() -> None:
        async with calling(saying(HELLO)) as (host, session):
            await read(host, session)
            connection = only_pool(session).rested()
            assert connection is not None
            leaving, staying = (asyncio.create_task(read(host, session)) for _ in range(2))
            await until(lambda: counted(session) == (1, 0, 2))
            if leaves_first:
                leaving.cancel()
            connection.abort() if handed == "slot" else only_pool(session).rest(connection)
            await cancelled(leaving)
            assert await staying == b"hello"
            assert counted(session) == (1, 1, 0)

    run(story())


def test_a_slow_reader_stops_the_provider(run: Run) -> None:
    size = 64 * 1024 * 1024

    async def story() -> None:
        sent = 0

        async def turn(line: Line) -> None:
            nonlocal sent
            await line.say(framed([f"Content-Length: {size}"]))
            for _ in range(size // 65_536):
                await line.say(bytes(65_536))
                sent += 65_536

        async with calling(turn) as (host, session):
            answer = await ask(host, session)
            assert isinstance(answer, Answer)
            await until(lambda: answer._is_paused)
            for _ in range(50):
                await asyncio.sleep(0.001)
            assert answer._size <= HIGH_WATER_BYTES + READ_BYTES
            assert sent < size // 2
            assert len(await answer.read(size)) == size
            assert counted(session) == (1, 1, 0)

    run(story())


# --- left in the middle -------------------------------------------------------------------------------------------


async def cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_cancelled_while_a_name_is_looked_up(run: Run) -> None:
    async def story() -> None:
        asked = asyncio.Event()

        async def lookup(host: str, port: int) -> Sequence[AddrInfoType]:
            asked.set()
            await asyncio.Event().wait()
            return ()

        async with open_local(lookup=lookup) as session:
            task = asyncio.create_task(session.post("http://h.example/", {}, b"", connect_timeout_s=CONNECT_S))
            await asked.wait()
            assert counted(session) == (1, 0, 0)
            await cancelled(task)
            assert counted(session) == (0, 0, 0)
            with pytest.raises(ConnectTimeoutError):
                await session.post("http://h.example/", {}, b"", connect_timeout_s=0.01)
            assert counted(session) == (0, 0, 0)

    run(story())


def test_cancelled_or_out_of_time_while_tls_is_agreed_on(run: Run) -> None:
    async def story() -> None:
        gone: asyncio.Queue[None] = asyncio.Queue()
        came = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            came.set()
            with contextlib.suppress(ConnectionError):
                while await reader.read(1_000):
                    pass
            gone.put_nowait(None)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        async with open_local() as session:
            task = asyncio.create_task(session.post(url, {}, b"", connect_timeout_s=CONNECT_S))
            await came.wait()
            await cancelled(task)
            await gone.get()
            assert counted(session) == (0, 0, 0)
            with pytest.raises(ConnectTimeoutError, match=r"within 0\.05 s"):
                await session.post(url, {}, b"", connect_timeout_s=0.05)
            await gone.get()
            assert counted(session) == (0, 0, 0)
        server.close()

    run(story())


@pytest.mark.parametrize("body", [b"", bytes(20_000_000)], ids=["sent", "unsent"])
def test_cancelled_before_the_answer(run: Run, body: bytes) -> None:
    async def story() -> None:
        async with calling(silence) as (host, session):
            task = asyncio.create_task(ask(host, session, body))
            await until(lambda: bool(host.lines) and counted(session) == (1, 0, 0))
            await cancelled(task)
            assert counted(session) == (0, 0, 0)
            await host.lines[0].gone.wait()

    run(story())


@pytest.mark.parametrize("came", ["all of it", "its beginning"])
def test_cancelled_in_the_moment_in_which_the_answer_comes(run: Run, came: str) -> None:
    async def story() -> None:
        async def turn(line: Line) -> None:
            await (silence(line) if len(host.requests) == 2 else line.say(HELLO))

        async with calling(turn) as (host, session):
            await read(host, session)
            connection = only_pool(session).rested()
            assert connection is not None
            only_pool(session).rest(connection)
            task = asyncio.create_task(ask(host, session))
            await until(lambda: len(host.requests) == 2)
            task.cancel()
            connection.data_received(HELLO if came == "all of it" else HELLO[:-1])  # before the task wakes
            with pytest.raises(asyncio.CancelledError):
                await task
            assert connection.is_open == (came == "all of it")
            assert counted(session) == ((1, 1, 0) if connection.is_open else (0, 0, 0))

    run(story())


@pytest.mark.parametrize("how", ["cancelled", "closed", "too large"])
def test_left_in_the_middle_of_the_answer(run: Run, how: str) -> None:
    async def story() -> None:
        async def turn(line: Line) -> None:
            await line.say(framed(["Transfer-Encoding: chunked"], b"5\r\nhello\r\n"))
            await silence(line)

        async with calling(turn) as (host, session):
            answer = await ask(host, session)
            if how == "cancelled":
                assert await answer.chunk() == b"hello"
                task = asyncio.create_task(answer.chunk())
                await asyncio.sleep(0)
                await cancelled(task)
            elif how == "closed":
                answer.close()
                answer.close()
            else:
                with contextlib.suppress(Exception):
                    await answer.read(1)
            assert counted(session) == (0, 0, 0)
            with pytest.raises(BrokenAnswerError):
                await answer.chunk()
            await host.lines[0].gone.wait()
            with pytest.raises(BrokenAnswerError):
                await answer.chunk()

    run(story())


def test_closing_an_answer_that_was_read_leaves_its_connection_to_others(run: Run) -> None:
    async def story() -> None:
        async with calling(saying(HELLO)) as (host, session):
            answer = await ask(host, session)
            assert await answer.read(100) == b"hello"
            answer.close()
            assert counted(session) == (1, 1, 0)

    run(story())


def test_who_leaves_as_the_answer_comes_ends_nobody_elses_call(run: Run) -> None:
    """The connection has gone from hand to hand before the first caller's task has had its turn."""

    async def story() -> None:
        async def turn(line: Line) -> None:
            if len(host.requests) == 2:
                await line.say(HELLO)

        async with calling(turn) as (host, session):
            leaving = asyncio.create_task(read(host, session))
            await until(lambda: len(host.requests) == 1)
            [connection] = only_pool(session)._unlost
            following = asyncio.create_task(read(host, session))
            connection.data_received(HELLO)
            await cancelled(leaving)
            assert await following == b"hello"
            assert len(host.lines) == 1

    run(story())


def test_a_session_ends_what_is_under_way(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "MAX_CONNECTIONS", 1)

    async def story() -> None:
        async with calling(silence) as (host, session):
            asked, waiting = (asyncio.create_task(ask(host, session)) for _ in range(2))
            await until(lambda: len(host.requests) == 1 and counted(session) == (1, 0, 1))
            await session.close()
            with pytest.raises(BrokenAnswerError):
                await asked
            with pytest.raises(ConnectError):
                await waiting
            for place in ("127.0.0.1", "127.0.0.2"):
                with pytest.raises(ConnectError):
                    await session.post(f"http://{place}:{host.port}/", {}, b"", connect_timeout_s=CONNECT_S)
            assert counted(session) == (0, 0, 0)
            await host.lines[0].gone.wait()
            assert len(host.lines) == 1  # nobody was dialed any more

    run(story())
