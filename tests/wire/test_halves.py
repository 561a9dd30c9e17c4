"""Half a character in what a provider says costs nobody the answer."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from gateway.relays import Translation
from tests.wire.test_broken_answers import ANSWERS, CALLERS, NOW, STREAMS, by_dialect
from wire import ollama, openai_chat
from wire.dialect import Dialect, StreamFailedError
from wire.failures import message_of
from wire.halves import Decoder
from wire.sse import event as sse_event

TEXT = Decoder[str](str)


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (rb'"\ud83d\ude00"', "😀"),
        (rb'"cut \ud83d"', "cut \ufffd"),
        (rb'"\uDE00 cut"', "\ufffd cut"),
        (rb'"\ud83d\ud83d\ude00"', "\ufffd😀"),
        (rb'"\ud83d\n\u00e9"', "\ufffd\né"),
        (rb'"\ud83d \\ud83d \\\ud83d"', "\ufffd \\ud83d \\\ufffd"),
    ],
)
def test_a_half_is_an_unknown_character(said: bytes, read: str) -> None:
    assert TEXT.decode(said) == read


@pytest.mark.parametrize("said", [b'"open', rb'"\ud83"', b"5", b'"\xff"'])
def test_what_is_broken_otherwise_stays_broken(said: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        TEXT.decode(said)


@by_dialect
def test_an_answer_with_one_is_read(dialect: Dialect) -> None:
    body = json.dumps(ANSWERS[dialect]).replace('"Hi"', r'"Hi \ud83d"').encode()

    assert dialect.read_result(body).usage is not None
    for caller in CALLERS:
        assert "Hi \ufffd" in caller.encode_response(dialect.decode_response(body)).decode()


@by_dialect
def test_a_stream_with_one_is_read(dialect: Dialect) -> None:
    stream = b"".join(_with_half(dialect, each) for each in STREAMS[dialect])

    for caller in CALLERS:
        Translation(dialect, caller, show_usage=True, made_at=NOW).feed(stream)


def test_an_error_with_one_is_told() -> None:
    said = rb'{"object":"error","message":"No \ud83d"}'  # as some versions of vLLM say it, also within a stream
    dialect: Dialect = openai_chat

    assert message_of(said) == "No \ufffd"
    with pytest.raises(StreamFailedError, match="No \ufffd"):
        dialect.decoder().decode(sse_event(said))


def _with_half(dialect: Any, event: Any) -> bytes:
    told = json.dumps(event).replace('"Hi"', r'"Hi \ud83d"').encode()
    return told + b"\n" if dialect is ollama else sse_event(told)
