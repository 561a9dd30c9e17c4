"""Answers with one value replaced by another: whatever a provider says, it is an answer or a failure of the provider's.

A failure of ours would be told to the caller as such, would not be tried elsewhere, and would open no circuit.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from gateway.relays import Translation
from wire import (
    anthropic_messages,
    gemini,
    gemini_embeddings,
    ollama,
    ollama_embeddings,
    openai_chat,
    openai_embeddings,
    openai_responses,
)
from wire.dialect import BadBodyError, Dialect, StreamFailedError

CALLERS: tuple[Any, ...] = (openai_chat, anthropic_messages, gemini, ollama, openai_responses)
REPLACED_BY: tuple[Any, ...] = (
    *(None, True, -1, 0.5, 1e30, 2**63, 10**25, "", "x", "-5", "a\0b", "\ud800", "1e400"),
    *([], {}, [5], [None], {"a": 1}, [[[]]]),
)
NOW = datetime(2026, 11, 22, tzinfo=UTC)
MOST_S = 10.0  # a second where there is nothing else to do, and minutes where each call was compared with each

_STEPS = [{"token": "a", "logprob": -1, "bytes": [97], "top_logprobs": [{"token": "a", "logprob": -1}]}]
_TOOL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
_CHAT_USAGE = {
    "prompt_tokens": 5,
    "completion_tokens": 6,
    "total_tokens": 11,
    "prompt_tokens_details": {"cached_tokens": 1},
}
_CHAT_SAID = {
    "role": "assistant",
    "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}, {"type": "text", "text": "Hi"}],
    "tool_calls": [_TOOL],
}
_CHAT_CHOICE = {"index": 0, "finish_reason": "stop", "logprobs": {"content": _STEPS}}
_CHAT = {"id": "c", "created": 1, "model": "m", "usage": _CHAT_USAGE}
_MESSAGE = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [
        {"type": "thinking", "thinking": "t", "signature": "s"},
        {"type": "text", "text": "Hi"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
    ],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 5, "output_tokens": 6, "cache_read_input_tokens": 1},
}
_GEMINI = {
    "candidates": [
        {
            "index": 0,
            "finishReason": "STOP",
            "content": {"role": "model", "parts": [{"text": "Hi"}, {"functionCall": {"name": "f", "args": {"a": 1}}}]},
        }
    ],
    "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 6, "thoughtsTokenCount": 1},
    "modelVersion": "m",
}
_OLLAMA = {
    "model": "m",
    "created_at": "2026-01-01T00:00:00Z",
    "message": {"content": "Hi", "thinking": "t", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]},
    "logprobs": _STEPS,
    "done": True,
    "done_reason": "stop",
    "prompt_eval_count": 5,
    "eval_count": 6,
}
_CALL = {"type": "function_call", "id": "f", "call_id": "c", "name": "f", "arguments": "{}"}
_RESPONSE = {
    "id": "resp_1",
    "created_at": 1,
    "model": "m",
    "status": "completed",
    "output": [
        {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "t"}]},
        {"type": "message", "id": "m", "content": [{"type": "output_text", "text": "Hi", "logprobs": _STEPS}]},
        _CALL,
    ],
    "usage": {"input_tokens": 5, "output_tokens": 6},
}

ANSWERS: dict[Any, Any] = {
    openai_chat: _CHAT | {"choices": [_CHAT_CHOICE | {"message": _CHAT_SAID}]},
    anthropic_messages: _MESSAGE,
    gemini: _GEMINI,
    ollama: _OLLAMA,
    openai_responses: _RESPONSE,
}
STREAMS: dict[Any, list[Any]] = {
    openai_chat: [_CHAT | {"choices": [_CHAT_CHOICE | {"delta": _CHAT_SAID}]}],
    anthropic_messages: [
        {"type": "message_start", "message": _MESSAGE | {"content": []}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": "f"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 6}},
        {"type": "message_stop"},
    ],
    gemini: [_GEMINI],
    ollama: [_OLLAMA | {"done": False}, _OLLAMA],
    openai_responses: [
        {"type": "response.created", "response": _RESPONSE | {"output": []}},
        {"type": "response.output_text.delta", "output_index": 0, "delta": "Hi", "logprobs": _STEPS},
        {"type": "response.reasoning_text.delta", "output_index": 0, "delta": "t"},
        {"type": "response.output_item.added", "output_index": 1, "item": _CALL},
        {"type": "response.function_call_arguments.delta", "item_id": "f", "output_index": 1, "delta": "{}"},
        {"type": "response.output_item.done", "output_index": 1, "item": _CALL},
        {"type": "response.completed", "response": _RESPONSE},
    ],
}
by_dialect = pytest.mark.parametrize("dialect", ANSWERS, ids=lambda dialect: dialect.name)


def _broken(value: Any) -> Iterator[Any]:
    """`value` with each of its parts, and itself, replaced by each of `REPLACED_BY`."""
    yield from REPLACED_BY
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        for inner in _broken(value[key]):
            whole = copy.copy(value)
            whole[key] = inner
            yield whole


def _streamed(dialect: Any, event: Any) -> bytes:
    if dialect is ollama:
        return json.dumps(event).encode() + b"\n"
    return b"data: " + json.dumps(event).encode() + b"\n\n"


@by_dialect
def test_a_broken_answer_is_an_answer_or_the_providers_failure(dialect: Dialect) -> None:
    for answer in _broken(ANSWERS[dialect]):
        body = json.dumps(answer).encode()
        try:
            dialect.read_result(body)
            response = dialect.decode_response(body)
        except BadBodyError:
            continue
        for caller in CALLERS:
            json.loads(caller.encode_response(response))


@by_dialect
def test_a_broken_stream_is_a_stream_or_the_providers_failure(dialect: Dialect) -> None:
    whole = STREAMS[dialect]
    for place, event in enumerate(whole):
        for broken in _broken(event):
            events = [*whole[:place], broken, *whole[place + 1 :]]
            stream = b"".join(_streamed(dialect, each) for each in events)
            for caller in CALLERS:
                try:
                    Translation(dialect, caller, show_usage=True, made_at=NOW).feed(stream)
                except (BadBodyError, StreamFailedError):
                    continue


EMBEDDINGS: dict[Any, Any] = {
    openai_embeddings: {"data": [{"index": 0, "embedding": [0.1, 1e39]}], "model": "m", "usage": {"prompt_tokens": 5}},
    gemini_embeddings: {"embeddings": [{"values": [0.1, -1e39]}], "usageMetadata": {"promptTokenCount": 5}},
    ollama_embeddings: {"embeddings": [[0.1, 1e308]], "model": "m", "prompt_eval_count": 5},
}


@pytest.mark.parametrize("dialect", EMBEDDINGS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("form", ["float", "base64"])
def test_broken_embeddings_are_embeddings_or_the_providers_failure(dialect: Any, form: str) -> None:
    fields = {"encoding_format": msgspec.Raw(msgspec.json.encode(form))}
    for answer in (EMBEDDINGS[dialect], *_broken(EMBEDDINGS[dialect])):
        body = json.dumps(answer).encode()
        try:
            dialect.read_result(body)
            response = dialect.decode_response(body)
        except BadBodyError:
            continue
        for caller in EMBEDDINGS:
            json.loads(caller.encode_response(response, fields))


def _tool_calls(count: int) -> Any:
    calls = [_TOOL | {"id": f"call_{number}"} for number in range(count)]
    return {"choices": [{"index": 0, "delta": {"tool_calls": calls}}]}


def _choices(count: int) -> Any:
    return {"choices": [{"index": number, "delta": {"content": "a"}} for number in range(count)]}


@pytest.mark.parametrize(("event_of", "count"), [(_tool_calls, 30_000), (_choices, 60_000)])
def test_an_event_that_holds_very_much_does_not_stop_the_others(event_of: Callable[[int], Any], count: int) -> None:
    """Nobody else is served meanwhile: the time grows with the event's length, and not with its square."""
    event = _streamed(openai_chat, event_of(count))
    for caller in CALLERS:
        began = time.thread_time()
        Translation(openai_chat, caller, show_usage=True, made_at=NOW).feed(event)
        assert time.thread_time() - began < MOST_S
