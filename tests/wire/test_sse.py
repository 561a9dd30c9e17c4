from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.wire.streams import name_of
from wire.dialect import BadStreamError
from wire.sse import EventSplitter, data_of, event, is_comment

lines = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), min_size=1, max_size=12)
streams_of_lines = st.lists(st.lists(lines, min_size=1, max_size=3), min_size=1, max_size=5)


def fed(chunks: list[bytes]) -> tuple[list[bytes], bytes]:
    splitter = EventSplitter(max_event_bytes=1 << 20)
    events = [event for chunk in chunks for event in splitter.feed(chunk)]
    return events, splitter.rest


@given(streams_of_lines, st.sampled_from(["\n", "\r\n", "\r"]), st.sets(st.integers(0, 400)))
@example([["data: a"], ["data: b"]], "\r\n", {8, 9, 10, 11})
def test_events_are_the_same_however_the_stream_is_cut(blocks: list[list[str]], end: str, cuts: set[int]) -> None:
    expected = [(end.join(block) + end + end).encode() for block in blocks]
    stream = b"".join(expected)
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})

    events, rest = fed([stream[a:b] for a, b in pairwise(edges)])

    assert events == expected
    assert rest == b""


def test_lines_may_end_in_one_way_here_and_in_another_there() -> None:
    events, rest = fed([b"data: a\r\n\ndata: b\n\r\ndata: c\r\n\r\nda"])

    assert [data_of(event) for event in events] == [b"a", b"b", b"c"]
    assert rest == b"da"


@pytest.mark.parametrize("stream", [b"data: a\n\n\n", b"\n\n\n", b"\n\ndata: a\n\n", b"data: a\n\ndata: b\n\n"])
def test_blank_lines_too_many_are_the_same_however_cut(stream: bytes) -> None:
    whole = fed([stream])

    assert whole[0][0].endswith(b"\n\n")
    assert whole[0][0].count(b"\n") == 2
    assert fed([stream[at : at + 1] for at in range(len(stream))]) == whole


def test_an_event_of_the_allowed_size_passes_and_a_longer_one_does_not() -> None:
    event_bytes = b"data: " + b"x" * 92 + b"\n\n"

    assert EventSplitter(max_event_bytes=100).feed(event_bytes) == [event_bytes]
    for chunks in ([event_bytes], [event_bytes[:50], event_bytes[50:]], [b"data: a\n\n" + event_bytes]):
        splitter = EventSplitter(max_event_bytes=99)
        with pytest.raises(BadStreamError, match="99 bytes"):
            list(map(splitter.feed, chunks))


def test_a_stream_without_a_blank_line_ends_at_the_bound_and_not_in_memory() -> None:
    splitter = EventSplitter(max_event_bytes=1000)

    with pytest.raises(BadStreamError):
        list(map(splitter.feed, [b"x"] * 1001))


@pytest.mark.parametrize(
    ("raw", "data"),
    [
        (b"data: a\n\n", b"a"),
        (b"data:a\n\n", b"a"),
        (b"data:  a\n\n", b" a"),
        (b"event: message_stop\ndata: a\n\n", b"a"),
        (b"event: message_stop\ndata:a\n\n", b"a"),
        (b"event: message_stop\r\ndata: a\r\n\r\n", b"a"),
        (b"data: a\r\r", b"a"),
        (b"data: a\ndata: b\n\n", b"a\nb"),
        (b"data: a\nid: 7\n\n", b"a"),
        (b"id: data:\ndata: a\n\n", b"a"),
        (b"event: data: x\ndata: a\n\n", b"a"),
        (b"data\n\n", b""),
        (b": keep-alive\n\n", b""),
        (b": data: no\n\n", b""),
        (b"\n\n", b""),
        (b"data:\n\n", b""),
        (b"\ndata: a\n\n", b"a"),
    ],
)
def test_an_event_s_data(raw: bytes, data: bytes) -> None:
    assert data_of(raw) == data


@pytest.mark.parametrize(
    ("raw", "is_one"),
    [
        (b": keep-alive\n\n", True),
        (b":\n\n", True),
        (b": first\ndata: a\n\n", False),
        (b"event: ping\n\n", False),
        (b"data: : a\n\n", False),
    ],
)
def test_a_comment_is_told_from_an_event(raw: bytes, *, is_one: bool) -> None:
    assert is_comment(raw) is is_one


@given(lines, st.sampled_from([None, "message_stop"]))
def test_a_written_event_reads_back(text: str, name: str | None) -> None:
    data = f"{text}\n{text}".encode()

    written = event(data, name)

    assert fed([written]) == ([written], b"")
    assert data_of(written) == data
    assert name_of(written) == (name or "")
