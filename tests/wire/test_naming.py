"""A refusal names the field as its caller does."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from wire import (
    anthropic_messages,
    gemini,
    gemini_embeddings,
    ollama,
    ollama_embeddings,
    ollama_generate,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_responses,
)
from wire.errors import ApiError, Code, unsupported
from wire.naming import NAMES, callers_name, in_callers_words
from wire.neutral import ChatRequest, EmbeddingRequest, Message, ResponseFormat, Text, Tool, ToolChoice

DIALECTS = (
    openai_chat,
    openai_completions,
    openai_responses,
    anthropic_messages,
    gemini,
    gemini_embeddings,
    ollama,
    ollama_embeddings,
    ollama_generate,
    openai_embeddings,
)


@pytest.mark.parametrize(
    ("field", "dialect", "name"),
    [
        ("stop", "openai_chat", "stop"),
        ("stop", "anthropic_messages", "stop_sequences"),
        ("stop", "gemini", "generationConfig.stopSequences"),
        ("stop", "spec_c", "stop"),
        ("messages[3]", "openai_chat", "messages[3]"),
        ("messages[3]", "ollama", "messages[3]"),
        ("messages[3].name", "gemini", "contents"),
        ("messages[3]", "openai_responses", "input"),
        ("task", "gemini_embeddings", "taskType"),
    ],
)
def test_a_field_is_named_as_the_caller_does(field: str, dialect: str, name: str) -> None:
    refused = in_callers_words(unsupported(field, "is 'stop' for no one."), dialect)
    assert (refused.param, refused.message) == (name, f"'{name}' is 'stop' for no one.")


def test_the_names_are_those_of_dialects() -> None:
    assert set(NAMES) <= {dialect.name for dialect in DIALECTS}


def test_what_is_named_is_what_encoders_refuse() -> None:
    known = {*ChatRequest.__struct_fields__, *EmbeddingRequest.__struct_fields__, "n"}

    assert {field for names in NAMES.values() for field in names} <= known


ODD_VALUES = (True, 0.5, {"odd": 1})
SPOKEN = {"messages": [{"role": "user", "content": "Hi"}]}
BODIES: dict[str, dict[str, Any]] = {
    "openai_completions": {"prompt": "Hi"},
    "openai_responses": {"input": "Hi"},
    "anthropic_messages": {**SPOKEN, "model": "m", "max_tokens": 9, "tool_choice": {"type": "auto"}},
    "gemini": {"contents": [{"parts": [{"text": "Hi"}]}]},
    "gemini_embeddings": {"requests": [{"content": {"parts": []}}]},
    "ollama": SPOKEN,
    "ollama_embeddings": {"input": "Hi"},
    "ollama_generate": {"prompt": "Hi"},
    "openai_embeddings": {"input": "Hi"},
}


def refused(dialect: Any, name: str, value: object) -> ApiError | None:
    body = msgspec.json.decode(msgspec.json.encode(BODIES[dialect.name]))
    *outer, last = name.split(".")
    place = body["requests"][0] if dialect is gemini_embeddings else body
    for each in outer:
        place = place.setdefault(each, {})
    place[last] = value
    is_chat = hasattr(dialect, "open_chat")
    opened, decode = (
        (dialect.open_chat, dialect.decode_chat) if is_chat else (dialect.open_embeddings, dialect.decode_embeddings)
    )
    try:
        decode(opened(msgspec.json.encode(body)))
    except ApiError as error:
        return error
    return None


@pytest.mark.parametrize(
    ("dialect", "name"), [(each, name) for each in DIALECTS for name in NAMES.get(each.name, {}).values()]
)
def test_a_dialect_reads_what_it_is_told_of(dialect: Any, name: str) -> None:
    """Of a field that it did not know it would say so, whatever is in it."""
    errors = [refused(dialect, name, value) for value in ODD_VALUES]

    path = f"requests[0].{name}" if dialect is gemini_embeddings else name
    assert (Code.INVALID_REQUEST, path) in [(error.code, error.param) for error in errors if error]


@pytest.mark.parametrize("dialect", [openai_chat, openai_responses, anthropic_messages, gemini, ollama])
@pytest.mark.parametrize(
    ("field", "settings"),
    [
        ("n", {"choices": 2}),
        ("temperature", {"temperature": 0.5}),
        ("top_k", {"top_k": 5}),
        ("frequency_penalty", {"frequency_penalty": 0.5}),
        ("presence_penalty", {"presence_penalty": 0.5}),
        ("seed", {"seed": 5}),
        ("stop", {"stop": ("END",)}),
        ("tool_choice", {"tools": (Tool("f"),), "tool_choice": ToolChoice("required")}),
        ("parallel_tool_calls", {"tools": (Tool("f"),), "parallel_tool_calls": False}),
        ("response_format", {"response_format": ResponseFormat("json_schema", "x", {"type": "object"})}),
        ("reasoning_effort", {"reasoning_effort": "low"}),
        ("logprobs", {"logprobs": True}),
        ("top_logprobs", {"top_logprobs": 3}),
    ],
)
def test_what_a_dialect_can_say_is_named_as_it_says_it(dialect: Any, field: str, settings: dict[str, Any]) -> None:
    request = ChatRequest(**{"model": "claude-opus-4-6", "messages": (Message("user", (Text("Hi"),)),), **settings})
    refused, place = None, {}
    try:
        place = msgspec.json.decode(dialect.encode_chat(request))
    except ApiError as error:
        refused = error.param

    assert refused in (None, field)
    for step in callers_name(field, dialect.name).split(".") if refused is None else ():
        assert step in place
        place = place[step]


def test_what_names_no_field_stays_as_it_is() -> None:
    error = unsupported("stop", "no")
    plain = msgspec.json.decode(openai_chat.encode_error(in_callers_words(error, "nobody's"), request_id="r"))
    assert plain["error"]["param"] == callers_name("stop", "nobody's") == "stop"
