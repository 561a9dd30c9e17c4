"""Hosts of OpenAI's dialect may mix several calls, and words between them: other callers hear one after the other."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.wire import streams
from wire import anthropic_messages, gemini, ollama, openai_chat, openai_responses
from wire.dialect import Dialect
from wire.neutral import ChatResponse, Finished, Text, ToolCall

OPENAI: Dialect = openai_chat
OTHERS: list[Dialect] = [anthropic_messages, gemini, ollama, openai_responses]
FIRST, SECOND, THIRD = ToolCall("a", "f", '{"x":{"y":1}}'), ToolCall("b", "g", "{}"), ToolCall("c", "h", '{"z":"}"}')

Piece = dict[str, Any]


def begun(index: int, id_: str, name: str, arguments: str = "") -> Piece:
    return {"index": index, "id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


def further(index: int, arguments: str) -> Piece:
    return {"index": index, "function": {"arguments": arguments}}


def told(*deltas: Piece) -> list[bytes]:
    ends = [None] * len(deltas) + ["tool_calls"]
    return [
        b"data: " + msgspec.json.encode({"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": end}]})
        for delta, end in zip([*deltas, {}], ends, strict=True)
    ]


def heard(caller: Dialect, events: list[bytes]) -> ChatResponse:
    stream = streams.encoded(caller, streams.decoded(OPENAI, [event + b"\n\n" for event in events]))
    return streams.assembled(streams.decoded(caller, streams.split(caller, stream)))


def calls(*pieces: Piece) -> Piece:
    return {"tool_calls": list(pieces)}


@pytest.mark.parametrize("caller", OTHERS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize(
    ("deltas", "parts"),
    [
        pytest.param(
            [
                calls(begun(0, "a", "f"), begun(1, "b", "g")),
                calls(further(0, '{"x":{"y"')),
                calls(further(1, "{"), further(0, ":1}")),
                calls(further(1, "}"), further(0, "}")),
            ],
            [FIRST, SECOND],
            id="mixed",
        ),
        pytest.param(
            [
                calls(begun(0, "a", "f"), begun(1, "b", "g"), begun(2, "c", "h")),
                calls(further(2, '{"z":"}"}'), further(1, "{}"), further(0, FIRST.arguments)),
            ],
            [FIRST, SECOND, THIRD],
            id="backwards",
        ),
        pytest.param(
            [
                calls(begun(0, "a", "f"), begun(1, "b", "g", "{")),
                calls(further(0, FIRST.arguments)),
                calls(begun(2, "c", "h", THIRD.arguments)),
                calls(further(1, "}")),
            ],
            [FIRST, SECOND, THIRD],
            id="released before it is whole",
        ),
        pytest.param(
            [calls(begun(0, "a", "f", '{"x":{')), {"content": "\n"}, calls(further(0, '"y":1}}')), {"content": "Hm"}],
            [FIRST, Text("\nHm")],
            id="words within",
        ),
        pytest.param(
            [calls(begun(0, "b", "g")), {"content": "Hm"}, calls(begun(1, "c", "h", THIRD.arguments))],
            [SECOND, Text("Hm"), THIRD],
            id="no arguments",
        ),
    ],
)
def test_calls_that_come_mixed_are_told_in_turn(caller: Dialect, deltas: list[Piece], parts: list[Any]) -> None:
    (choice,) = heard(caller, told(*deltas)).choices

    assert [_plain(part) for part in choice.parts] == [_plain(part) for part in parts]
    assert choice.finish == "tool_calls"


def _plain(part: Any) -> Any:
    """Without the id, which Ollama's callers need not be told, and however the arguments are spaced."""
    return (part.name, msgspec.json.decode(part.arguments or "{}")) if isinstance(part, ToolCall) else part


def test_nothing_waits_that_need_not() -> None:
    first, second, third, fourth, _ = told(
        calls(begun(0, "a", "f", '{"x":')),
        calls(further(0, "1}")),
        calls(begun(1, "b", "g", "{}")),
        {"content": "Hm"},
    )
    decoder = OPENAI.decoder()

    assert [len(decoder.decode(event + b"\n\n")) for event in (first, second, third, fourth)] == [3, 1, 2, 1]


def test_what_comes_behind_a_finish_is_told() -> None:
    """Some hosts finish with each call, and this one wrote nothing for a call without arguments."""
    chunks = [calls(begun(0, "b", "g")), calls(begun(1, "c", "h", THIRD.arguments)), {"content": "Hm"}]
    events = [event.replace(b'"finish_reason":null', b'"finish_reason":"tool_calls"') for event in told(*chunks)]

    (choice,) = heard(anthropic_messages, events).choices

    assert choice.parts == (ToolCall("b", "g", "{}"), THIRD, Text("Hm"))
    decoder = OPENAI.decoder()
    assert [type(each) for event in events for each in decoder.decode(event)].count(Finished) == 1
