"""Clients that dump all that they know of write null for what they leave out: there, null and absent are one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from wire import (
    anthropic_messages,
    gemini,
    gemini_embeddings,
    ollama,
    ollama_embeddings,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_responses,
)
from wire.anthropic_messages import decoding as anthropics
from wire.gemini import decoding as geminis
from wire.neutral import ToolCall, ToolResult
from wire.ollama import decoding as ollamas
from wire.ollama import options
from wire.openai_chat import decoding as chats
from wire.openai_responses import decoding as responses

SHAPES: list[type[msgspec.Struct]] = [
    shape
    for module in (chats, responses, anthropics, geminis, ollamas)
    for shape in vars(module.schema).values()
    if isinstance(shape, type) and issubclass(shape, msgspec.Struct)
]
HELLO = [{"role": "user", "content": "Hi"}]
DIALECTS: list[tuple[Any, dict[str, Any], frozenset[str]]] = [
    (openai_chat, {"model": "m", "messages": HELLO}, chats.TRANSLATED | chats.DROPPED),
    (openai_responses, {"model": "m", "input": "Hi"}, responses.TRANSLATED | responses.DROPPED),
    (
        anthropic_messages,
        {"model": "m", "messages": HELLO, "max_tokens": 9},
        anthropics.TRANSLATED | anthropics.DROPPED,
    ),
    (gemini, {"contents": [{"parts": [{"text": "Hi"}]}]}, geminis.TRANSLATED | geminis.DROPPED),
    (ollama, {"model": "m", "messages": HELLO}, ollamas.TRANSLATED | ollamas.DROPPED | options.TRANSLATED),
    (openai_completions, {"model": "m", "prompt": "Hi"}, openai_completions._TRANSLATED),
    (openai_embeddings, {"model": "m", "input": "Hi"}, openai_embeddings._KNOWN),
    (ollama_embeddings, {"model": "m", "input": "Hi"}, ollama_embeddings._KNOWN),
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.__module__}.{shape.__name__}")
def test_a_member_that_is_null_is_absent(shape: type[msgspec.Struct]) -> None:
    for field in msgspec.structs.fields(shape):
        if field.default is None:
            assert msgspec.convert(None, field.type) is None, field.name


@pytest.mark.parametrize(("dialect", "body", "known"), DIALECTS, ids=[dialect.name for dialect, _, _ in DIALECTS])
def test_a_field_that_is_null_is_absent(dialect: Any, body: dict[str, Any], known: frozenset[str]) -> None:
    is_chat = hasattr(dialect, "open_chat")
    opened: Callable[[bytes], Any] = dialect.open_chat if is_chat else dialect.open_embeddings
    decode: Callable[[Any], Any] = dialect.decode_chat if is_chat else dialect.decode_embeddings
    expected = decode(opened(msgspec.json.encode(body)))

    for name in known - body.keys() - {"model"}:
        outer, _, inner = name.rpartition(".")
        asked = body | ({outer: {inner: None}} if outer else {name: None})
        assert decode(opened(msgspec.json.encode(asked))) == expected, name


def test_a_call_s_arguments_and_a_result_that_are_null_are_empty() -> None:
    call: dict[str, Any] = {"functionCall": {"name": "f", "args": None}}
    result: dict[str, Any] = {"functionResponse": {"name": "f", "response": None}}
    contents = [{"role": "model", "parts": [call]}, {"role": "user", "parts": [result]}]
    ollamas_call = {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": None}}]}

    asked, answered = gemini.decode_chat(gemini.open_chat(msgspec.json.encode({"contents": contents}))).messages
    (asked_of_ollama,) = ollama.decode_chat(
        ollama.open_chat(msgspec.json.encode({"messages": [ollamas_call]}))
    ).messages

    assert asked.parts == (ToolCall("call_0_0", "f", "{}"),)
    assert isinstance(answered.parts[0], ToolResult)
    assert asked_of_ollama.parts == (ToolCall("c", "f", "{}"),)


def test_a_text_to_be_embedded_may_come_with_nulls() -> None:
    nulls = {"model": None, "taskType": None, "title": None, "outputDimensionality": None}
    asked = {"content": {"parts": [{"text": "Hi"}], "role": None}} | nulls

    envelope = gemini_embeddings.open_single(msgspec.json.encode(asked))

    assert gemini_embeddings.decode_embeddings(envelope).texts == ("Hi",)
