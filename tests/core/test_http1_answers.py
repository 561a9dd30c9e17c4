"""Answers of every shape, whole and broken, however their bytes come."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from typing import Any

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from core.http1 import BrokenAnswerError, HttpError, MalformedAnswerError, TooLargeError
from tests.core.hosts import CONNECT_S, HELLO, RawHost, framed, open_local, raw_host, saying, sized

MOST_BYTES = 1_000_000
CHUNKED = "Transfer-Encoding: chunked"
ZEROS = bytes(50_000_000)


def heard(
    *parts: bytes, then_hang_up: bool = False, most_bytes: int = MOST_BYTES, times: int = 1
) -> tuple[Any, RawHost]:
    """The last of `times` answers (status, headers, body), and the host that gave them in these parts."""

    async def story() -> tuple[Any, RawHost]:
        async with raw_host(saying(*parts, then_hang_up=then_hang_up)) as host, open_local() as session:
            for _ in range(times):
                answer = await session.post(f"http://127.0.0.1:{host.port}/", {}, b"?", connect_timeout_s=CONNECT_S)
                told = answer.status, answer.headers, await answer.read(most_bytes)
            return told, host

    return uvloop.run(story())  # as the product's servers do; other tests here take asyncio's own loop


def body_of(*parts: bytes, then_hang_up: bool = False) -> bytes:
    body: bytes = heard(*parts, then_hang_up=then_hang_up)[0][2]
    return body


def refusal(*parts: bytes, then_hang_up: bool = False, most_bytes: int = MOST_BYTES) -> HttpError:
    with pytest.raises(HttpError) as caught:
        heard(*parts, then_hang_up=then_hang_up, most_bytes=most_bytes)
    return caught.value


# --- shapes -------------------------------------------------------------------------------------------------------


def test_headers_are_told_in_lower_case_and_joined_where_they_come_again() -> None:
    (status, headers, body), _ = heard(sized(b"hi", "X-One: a", "x-one: b", "Empty:", "Retry-After: 7"))
    assert (status, body) == (200, b"hi")
    assert headers == {"content-length": "2", "x-one": "a, b", "empty": "", "retry-after": "7"}


@pytest.mark.parametrize(
    "answer",
    [
        sized(b"hello", "Empty:", "X-Long: some words"),
        framed([CHUNKED], b"2;ext=1\r\nhe\r\n3\r\nllo\r\n0\r\nTrailer: x\r\nEmpty:\r\n\r\n"),
        framed(status="100 Continue") + framed(["Link: </x>"], status="103 Early Hints") + HELLO,
    ],
    ids=["sized", "chunked", "interim"],
)
def test_an_answer_may_be_cut_at_every_byte(answer: bytes) -> None:
    async def story() -> None:
        cuts = iter(range(1, len(answer)))

        async def turn(line: Any) -> None:
            cut = next(cuts)
            await line.say(answer[:cut], answer[cut:])

        async with raw_host(turn) as host, open_local() as session:
            for _ in range(1, len(answer)):
                told = await session.post(f"http://127.0.0.1:{host.port}/", {}, b"", connect_timeout_s=CONNECT_S)
                assert await told.read(MOST_BYTES) == b"hello"
            assert len(host.lines) == 1

    asyncio.run(story())


def test_an_answer_may_come_byte_by_byte() -> None:
    answer = framed(["Empty:", "X: y", CHUNKED], b"5\r\nhello\r\n0\r\n\r\n")
    told, host = heard(*(bytes([byte]) for byte in answer), times=2)
    assert told[2] == b"hello"
    assert len(host.lines) == 1


@settings(max_examples=30)
@given(st.lists(st.binary(min_size=1, max_size=3_000), max_size=20), st.integers(1, 997))
def test_chunks_of_any_size_in_parts_of_any_size(chunks: list[bytes], part: int) -> None:
    encoded = framed([CHUNKED], b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n")
    parts = [encoded[at : at + part] for at in range(0, len(encoded), part)]
    assert body_of(*parts) == b"".join(chunks)


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_some_answers_have_no_body_whatever_they_say(status: str) -> None:
    assert body_of(framed(status=status)) == b""
    (_, _, body), host = heard(framed(["Content-Length: 5"], status=status), times=2)
    assert body == b""
    assert len(host.lines) == 1
    (_, _, body), host = heard(framed(["Content-Length: 5"], b"hello", status=status), times=2)
    assert body == b""
    assert len(host.lines) == 2


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    assert body_of(framed(), b"hel", b"lo", then_hang_up=True) == b"hello"
    assert body_of(b"HTTP/1.0 200 OK\r\n\r\n", b"hello", then_hang_up=True) == b"hello"
    assert body_of(framed(), then_hang_up=True) == b""


def test_a_chunk_is_all_that_has_come() -> None:
    async def story() -> None:
        more = asyncio.Event()

        async def turn(line: Any) -> None:
            await line.say(framed([CHUNKED], b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n"))
            await more.wait()
            await line.say(b"1\r\nd\r\n0\r\n\r\n")

        async with raw_host(turn) as host, open_local() as session:
            answer = await session.post(f"http://127.0.0.1:{host.port}/", {}, b"", connect_timeout_s=CONNECT_S)
            assert await answer.chunk() == b"abc"
            more.set()
            assert await answer.chunk() == b"d"
            assert await answer.chunk() is None
            assert await answer.chunk() is None

    asyncio.run(story())


# --- what is broken -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [HELLO, framed([CHUNKED], b"5\r\nhello\r\n0\r\n\r\n")], ids=["sized", "chunked"])
def test_an_answer_that_is_cut_short_is_broken_wherever_that_is(whole: bytes) -> None:
    async def story() -> None:
        cuts = iter(range(len(whole)))

        async def turn(line: Any) -> None:
            await line.say(whole[: next(cuts)])
            line.hang_up()

        async with raw_host(turn) as host, open_local() as session:
            for _ in range(len(whole)):
                with pytest.raises(BrokenAnswerError):
                    await (
                        await session.post(f"http://127.0.0.1:{host.port}/", {}, b"", connect_timeout_s=CONNECT_S)
                    ).read(MOST_BYTES)

    asyncio.run(story())


def test_what_came_before_the_break_is_heard() -> None:
    async def story() -> None:
        async with (
            raw_host(saying(framed(["Content-Length: 9"], b"hello"), then_hang_up=True)) as host,
            open_local() as session,
        ):
            answer = await session.post(f"http://127.0.0.1:{host.port}/", {}, b"", connect_timeout_s=CONNECT_S)
            assert await answer.chunk() == b"hello"
            for _ in range(2):
                with pytest.raises(BrokenAnswerError):
                    await answer.chunk()

    asyncio.run(story())


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        framed(["No colon here"], b""),
        framed(["Content-Length: 5", "Content-Length: 6"], b"hello!"),
        framed(["Content-Length: 5", CHUNKED], b"hello"),
        framed(["Content-Length: -5"], b"hello"),
        framed(["Transfer-Encoding: gzip, chunked"], b"0\r\n\r\n"),
        framed(["Transfer-Encoding: identity"], b"hello"),
        framed([CHUNKED], b"zz\r\nhello\r\n"),
        framed([CHUNKED], b"2\r\nhello\r\n0\r\n\r\n"),
        framed(["Upgrade: x", "Connection: upgrade"], status="101 Switching Protocols"),
        framed(status="100 Continue") * 9 + HELLO,
        framed([f"X-{number}: y" for number in range(129)]),
        framed([f"X-{number}: {'y' * 170}" for number in range(100)]),
        framed(["X: " + "y" * 17_000]),
        framed([CHUNKED], b"1\r\na\r\n0\r\n" + b"".join(b"T-%d: y\r\n" % number for number in range(200))),
        sized(b"hello", "Content-Encoding: br"),
        sized(b"hello", "Content-Encoding: gzip, gzip"),
        sized(b"hello", "Content-Encoding: gzip"),
        sized(gzip.compress(b"hello", mtime=0) + b"more", "Content-Encoding: gzip"),
    ],
)
def test_what_is_no_answer_is_malformed(answer: bytes) -> None:
    assert isinstance(refusal(answer), MalformedAnswerError)


@pytest.mark.parametrize(
    ("beginning", "endless"),
    [
        (b"HTTP/1.1 200 ", b"very " * 20),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y" * 100),
        (b"HTTP/1.1 200 OK\r\n", b"Y" * 100),
        (framed([CHUNKED], b"1\r\na\r\n5;"), b"x" * 100),
        (framed([CHUNKED], b"1\r\na\r\n0\r\nTrailer: "), b"x" * 100),
        (b"\r\n", b"\r\n" * 50),
    ],
)
def test_no_framing_goes_on_for_ever(beginning: bytes, endless: bytes) -> None:
    assert isinstance(refusal(beginning, *[endless] * 400), MalformedAnswerError)


def test_a_body_may_be_too_large() -> None:
    assert isinstance(refusal(sized(b"x" * 1_001), most_bytes=1_000), TooLargeError)
    assert heard(sized(b"x" * 1_000), most_bytes=1_000)[0][2] == b"x" * 1_000
    assert isinstance(refusal(framed(), b"x" * 500, b"x" * 501, most_bytes=1_000), TooLargeError)


# --- what is packed -----------------------------------------------------------------------------------------------

TEXT = b"The same words again. " * 5_000


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzip.compress(TEXT, mtime=0)),
        ("X-GZIP", gzip.compress(TEXT, mtime=0)),
        ("deflate", zlib.compress(TEXT)),
        ("deflate", zlib.compress(TEXT)[2:-4]),
        ("identity", TEXT),
    ],
)
@pytest.mark.parametrize("part", [1, 100, 100_000])
def test_packed_answers_are_unpacked(coding: str, packed: bytes, part: int) -> None:
    answer = sized(packed, f"Content-Encoding: {coding}")
    step = max(part, len(answer) // 500)
    assert body_of(*(answer[at : at + step] for at in range(0, len(answer), step))) == TEXT


def test_a_packed_answer_of_nothing() -> None:
    assert body_of(sized(b"", "Content-Encoding: gzip")) == b""


def test_a_packed_answer_that_is_cut_short_is_broken() -> None:
    assert isinstance(refusal(sized(gzip.compress(TEXT, mtime=0)[:-9], "Content-Encoding: gzip")), BrokenAnswerError)


def test_a_bomb_unfolds_a_piece_at_a_time() -> None:
    bomb = sized(gzip.compress(ZEROS, mtime=0), "Content-Encoding: gzip")
    assert len(bomb) < 60_000
    assert isinstance(refusal(bomb), TooLargeError)

    async def story() -> int:
        async with raw_host(saying(bomb)) as host, open_local() as session:
            answer = await session.post(f"http://127.0.0.1:{host.port}/", {}, b"", connect_timeout_s=CONNECT_S)
            size, largest = 0, 0
            while (chunk := await answer.chunk()) is not None:
                size, largest = size + len(chunk), max(largest, len(chunk))
            assert size == len(ZEROS)
            return largest

    assert asyncio.run(story()) <= 64 * 1024
