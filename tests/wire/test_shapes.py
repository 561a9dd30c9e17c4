"""The shapes of requests: null is absent, what clients echo is read over, and what is new to us is refused."""

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
from wire.neutral import ChatRequest, Message, Text, ToolCall, ToolResult
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


_CHAT = {
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
        {
            "role": "assistant",
            "content": "So",
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "1"},
    ]
}
_RESPONSES = {
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
        {"role": "assistant", "content": [{"type": "output_text", "text": "So"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "1"},
    ],
    "tools": [{"type": "function", "name": "f"}],
    "reasoning": {"effort": "low"},
    "text": {},
}
_ANTHROPIC = {
    "model": "m",
    "max_tokens": 9,
    "messages": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]},
    ],
    "tools": [{"name": "f", "input_schema": {}}],
    "thinking": {"type": "enabled", "budget_tokens": 2000},
}
_GEMINI = {
    "contents": [
        {"parts": [{"inlineData": {"mimeType": "image/png", "data": "AA=="}}]},
        {"parts": [{"fileData": {"mimeType": "image/png", "fileUri": "https://a.example/b.png"}}]},
    ],
    "tools": [{"functionDeclarations": [{"name": "f"}]}],
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "safetySettings": [{"threshold": "OFF"}],
}
_OLLAMA = {
    "messages": [{"role": "assistant", "content": "", "tool_calls": [{"id": "c", "function": {"name": "f"}}]}],
    "tools": [{"function": {"name": "f"}}],
}
ECHOES: list[tuple[Any, dict[str, Any], tuple[str | int, ...], dict[str, Any]]] = [
    (openai_chat, _CHAT, ("messages", 0, "content", 0), {"prompt_cache_breakpoint": {"mode": "explicit"}}),
    (openai_chat, _CHAT, ("messages", 1), {"annotations": [{"type": "url_citation"}], "parsed": {"a": 1}}),
    (openai_chat, _CHAT, ("messages", 1), {"provider_specific_fields": {"a": 1}}),
    (openai_chat, _CHAT, ("messages", 1, "tool_calls", 0), {"index": 0}),
    (openai_chat, _CHAT, ("messages", 1, "tool_calls", 0, "function"), {"parsed_arguments": {}}),
    (openai_chat, _CHAT, ("messages", 2), {"name": "f"}),
    (openai_responses, _RESPONSES, ("input", 0, "content", 0), {"prompt_cache_breakpoint": {"mode": "explicit"}}),
    (openai_responses, _RESPONSES, ("input", 0), {"type": "message", "id": "i", "status": "completed"}),
    (openai_responses, _RESPONSES, ("input", 1), {"phase": "commentary"}),
    (openai_responses, _RESPONSES, ("input", 1, "content", 0), {"annotations": [{}], "logprobs": [{}], "parsed": 1}),
    (openai_responses, _RESPONSES, ("input", 2), {"id": "i", "status": "completed", "parsed_arguments": {}}),
    (openai_responses, _RESPONSES, ("input", 2), {"caller": {"type": "direct"}}),
    (openai_responses, _RESPONSES, ("input", 3), {"id": "i", "status": "completed", "name": "f"}),
    (openai_responses, _RESPONSES, ("input", 3), {"caller": {"type": "direct"}}),
    (openai_responses, _RESPONSES, ("tools", 0), {"allowed_callers": ["direct"], "defer_loading": False}),
    (openai_responses, _RESPONSES, ("tools", 0), {"output_schema": {"type": "object"}}),
    (openai_responses, _RESPONSES, ("reasoning",), {"summary": "auto", "generate_summary": "auto"}),
    (openai_responses, _RESPONSES, ("reasoning",), {"context": "auto", "mode": "standard"}),
    (openai_responses, _RESPONSES, ("text",), {"verbosity": "medium"}),
    (anthropic_messages, _ANTHROPIC, ("messages", 1, "content", 0), {"caller": {"type": "direct"}}),
    (anthropic_messages, _ANTHROPIC, ("messages", 1, "content", 0), {"cache_control": {"type": "ephemeral"}}),
    (anthropic_messages, _ANTHROPIC, ("tools", 0), {"type": "custom", "eager_input_streaming": True}),
    (anthropic_messages, _ANTHROPIC, ("tools", 0), {"allowed_callers": ["direct"], "defer_loading": False}),
    (anthropic_messages, _ANTHROPIC, ("thinking",), {"display": "omitted"}),
    (gemini, _GEMINI, ("contents", 0, "parts", 0, "inlineData"), {"displayName": "a"}),
    (gemini, _GEMINI, ("contents", 0, "parts", 0), {"mediaResolution": {"level": "LOW"}, "partMetadata": {"a": 1}}),
    (gemini, _GEMINI, ("contents", 0, "parts", 0), {"thought": False}),
    (gemini, _GEMINI, ("contents", 0), {"role": "function"}),
    (gemini, _GEMINI, ("contents", 1, "parts", 0, "fileData"), {"displayName": "a"}),
    (gemini, _GEMINI, ("tools", 0, "functionDeclarations", 0), {"response": {}, "responseJsonSchema": {}}),
    (gemini, _GEMINI, ("systemInstruction",), {"role": "user"}),
    (gemini, _GEMINI, ("safetySettings", 0), {"category": "HARM_CATEGORY_HARASSMENT", "method": "SEVERITY"}),
    (ollama, _OLLAMA, ("messages", 0, "tool_calls", 0), {"type": "function"}),
    (ollama, _OLLAMA, ("messages", 0, "tool_calls", 0, "function"), {"index": 0, "description": "Does it."}),
    (ollama, _OLLAMA, ("tools", 0), {"type": "function"}),
]


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: f"{shape.__module__}.{shape.__name__}")
def test_a_member_that_is_null_is_absent(shape: type[msgspec.Struct]) -> None:
    for field in msgspec.structs.fields(shape):
        if field.default is None:
            assert msgspec.convert(None, field.type) is None, field.name


def test_a_member_that_is_new_to_us_is_refused_and_not_lost() -> None:
    """But for hints and labels, and for what only tells the kinds of things apart."""
    lenient = {shape.__name__ for shape in SHAPES if not shape.__struct_config__.forbid_unknown_fields}

    assert lenient == {
        "CacheControl", "ContextManagement", "Kind", "Metadata", "ReasoningText", "Seal", "ToolKind",
    }  # fmt: skip


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


@pytest.mark.parametrize(
    ("dialect", "body", "path", "members"),
    ECHOES,
    ids=[f"{dialect.name}: {', '.join(members)}" for dialect, _, _, members in ECHOES],
)
def test_what_clients_echo_and_what_changes_no_answer_is_read_over(
    dialect: Any, body: dict[str, Any], path: tuple[str | int, ...], members: dict[str, Any]
) -> None:
    echoing = msgspec.json.decode(msgspec.json.encode(body))
    place = echoing
    for step in path:
        place = place[step]
    place.update(members)

    plain, read = (dialect.decode_chat(dialect.open_chat(msgspec.json.encode(each))) for each in (body, echoing))

    assert read == plain


@pytest.mark.parametrize(
    ("dialect", "field", "most"),
    [(openai_chat, "user", 64), (openai_responses, "user", 64), (anthropic_messages, "metadata", 256)],
    ids=["openai_chat", "openai_responses", "anthropic_messages"],
)
def test_an_end_user_s_id_goes_along_as_long_as_the_provider_takes_it(dialect: Any, field: str, most: int) -> None:
    def told(end_user: str) -> Any:
        request = ChatRequest("m", (Message("user", (Text("Hi"),)),), end_user=end_user)
        return msgspec.json.decode(dialect.encode_chat(request)).get(field)

    assert told("u" * most) == ({"user_id": "u" * most} if field == "metadata" else "u" * most)
    assert told("u" * (most + 1)) is None


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
