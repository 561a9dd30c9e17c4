"""A caller of one dialect, a provider of the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from tests.wire import strategies, streams
from wire import anthropic_messages, gemini, ollama, openai_chat, openai_responses
from wire.dialect import Dialect
from wire.errors import ApiError
from wire.neutral import (
    ChatRequest,
    ChatResponse,
    Choice,
    Finished,
    Message,
    Part,
    Settled,
    Text,
    Thinking,
    ToolCall,
    Usage,
)

OPENAI: Dialect = openai_chat
ANTHROPIC: Dialect = anthropic_messages
RESPONSES: Dialect = openai_responses
GEMINI: Dialect = gemini
OLLAMA: Dialect = ollama

PICTURE = "iVBORw0KGgo="
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}

OPENAI_BODY = {
    "model": "m",
    "max_completion_tokens": 100,
    "temperature": 1,
    "stop": "END",
    "user": "u-1",
    "stream": True,
    "reasoning_effort": "low",
    "parallel_tool_calls": False,
    "tool_choice": "auto",
    "response_format": {"type": "json_schema", "json_schema": {"name": "place", "strict": True, "schema": SCHEMA}},
    "tools": [
        {
            "type": "function",
            "function": {"name": "weather", "description": "Now", "parameters": SCHEMA, "strict": True},
        },
        {"type": "function", "function": {"name": "time"}},
    ],
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": [{"type": "text", "text": "Use Celsius."}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Where is this, and the weather there?"},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}", "detail": "high"}},
                {"type": "image_url", "image_url": {"url": "https://pictures.example/a.jpg"}},
            ],
        },
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Köln"}'}},
                {"id": "call_2", "type": "function", "function": {"name": "time", "arguments": ""}},
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "11 °C"},
        {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "12:00"}]},
        {"role": "user", "content": "And tomorrow?"},
    ],
}

IN_ANTHROPIC = {
    "model": "m",
    "max_tokens": 100,
    "temperature": 1,
    "stop_sequences": ["END"],
    "metadata": {"user_id": "u-1"},
    "stream": True,
    "thinking": {"type": "adaptive"},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "tools": [
        {"name": "weather", "description": "Now", "input_schema": SCHEMA, "strict": True},
        {"name": "time", "input_schema": {"type": "object", "properties": {}}},
    ],
    "system": [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Use Celsius."}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Where is this, and the weather there?"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}},
                {"type": "image", "source": {"type": "url", "url": "https://pictures.example/a.jpg"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "call_1", "name": "weather", "input": {"city": "Köln"}},
                {"type": "tool_use", "id": "call_2", "name": "time", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "11 °C"}]},
                {"type": "tool_result", "tool_use_id": "call_2", "content": [{"type": "text", "text": "12:00"}]},
                {"type": "text", "text": "And tomorrow?"},
            ],
        },
    ],
}

ANTHROPIC_BODY = {
    "model": "m",
    "max_tokens": 100,
    "temperature": 1,
    "stop_sequences": ["END"],
    "metadata": {"user_id": "u-1"},
    "stream": True,
    "service_tier": "auto",
    "cache_control": {"type": "ephemeral"},
    "thinking": {"type": "enabled", "budget_tokens": 8000},
    "tool_choice": {"type": "tool", "name": "weather", "disable_parallel_tool_use": True},
    "tools": [
        {
            "name": "weather",
            "description": "Now",
            "input_schema": SCHEMA,
            "eager_input_streaming": True,
            "cache_control": {"type": "ephemeral"},
        }
    ],
    "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
    "messages": [
        {"role": "user", "content": "The weather in Köln?"},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Signed by Claude", "signature": "sig"},
                {"type": "thinking", "thinking": "Thought by DeepSeek", "signature": ""},
                {"type": "redacted_thinking", "data": "sealed"},
                {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Köln"}},
                {"type": "tool_use", "id": "toolu_2", "name": "weather", "input": {}},
                {"type": "tool_use", "id": "toolu_3", "name": "weather", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "content": [
                        {"type": "text", "text": "See the chart."},
                        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}},
                    ],
                },
                {"type": "tool_result", "tool_use_id": "toolu_2", "is_error": True},
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_3",
                    "content": [{"type": "image", "source": {"type": "url", "url": "https://charts.example/a.png"}}],
                },
                {"type": "text", "text": "And tomorrow?"},
            ],
        },
        {"role": "assistant", "content": "Rain."},
        {"role": "user", "content": "Thanks."},
    ],
}

IN_OPENAI = {
    "model": "m",
    "max_tokens": 100,
    "temperature": 1,
    "stop": ["END"],
    "user": "u-1",
    "stream": True,
    "stream_options": {"include_usage": True},
    "reasoning_effort": "medium",
    "tool_choice": {"type": "function", "function": {"name": "weather"}},
    "parallel_tool_calls": False,
    "tools": [{"type": "function", "function": {"name": "weather", "description": "Now", "parameters": SCHEMA}}],
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "The weather in Köln?"},
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "Thought by DeepSeek",
            "tool_calls": [
                {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Köln"}'}},
                {"id": "toolu_2", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
                {"id": "toolu_3", "type": "function", "function": {"name": "weather", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "toolu_1", "content": "See the chart."},
        {"role": "tool", "tool_call_id": "toolu_2", "content": "error"},
        {"role": "tool", "tool_call_id": "toolu_3", "content": "The result is the image in the next message."},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}},
                {"type": "image_url", "image_url": {"url": "https://charts.example/a.png"}},
                {"type": "text", "text": "And tomorrow?"},
            ],
        },
        {"role": "assistant", "content": "Rain."},
        {"role": "user", "content": "Thanks."},
    ],
}


def translated(caller: Dialect, body: dict[str, Any], provider: Dialect) -> Any:
    envelope = caller.open_chat(msgspec.json.encode(body))
    return msgspec.json.decode(provider.encode_chat(caller.decode_chat(envelope)))


@pytest.mark.parametrize(
    ("caller", "body", "provider", "expected"),
    [(OPENAI, OPENAI_BODY, ANTHROPIC, IN_ANTHROPIC), (ANTHROPIC, ANTHROPIC_BODY, OPENAI, IN_OPENAI)],
    ids=["openai-to-anthropic", "anthropic-to-openai"],
)
def test_a_conversation_with_tools(
    caller: Dialect, body: dict[str, Any], provider: Dialect, expected: dict[str, Any]
) -> None:
    assert translated(caller, body, provider) == expected


def test_arguments_are_kept_as_the_model_wrote_them() -> None:
    """1e2 and 100 are one to JSON, and two to a caller that signs or compares."""
    call = {
        "id": "c",
        "type": "function",
        "function": {"name": "f", "arguments": '{"n": 1e2, "big": 12345678901234567890}'},
    }
    messages = [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [call]}]
    envelope = openai_chat.open_chat(msgspec.json.encode({"model": "m", "messages": messages}))

    body = anthropic_messages.encode_chat(openai_chat.decode_chat(envelope))

    assert b'"input":{"n": 1e2, "big": 12345678901234567890}' in body


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"seed": 1}, "seed"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"temperature": 1.5}, "temperature"),
        ({"stop": ["END", "\n\n"]}, "stop"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
    ],
)
def test_openai_s_callers_hear_what_claude_cannot_do(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError, match=f"'{param}'") as caught:
        translated(OPENAI, {"model": "m", "messages": [{"role": "user", "content": "x"}]} | fields, ANTHROPIC)

    assert caught.value.param == param


@pytest.mark.parametrize(("fields", "param"), [({"top_k": 5}, "top_k"), ({"stop_sequences": list("abcde")}, "stop")])
def test_anthropic_s_callers_hear_what_openai_cannot_do(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError, match=f"'{param}'"):
        translated(
            ANTHROPIC, {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]} | fields, OPENAI
        )


def test_a_bound_may_go_out_under_its_newer_name() -> None:
    envelope = anthropic_messages.open_chat(msgspec.json.encode(ANTHROPIC_BODY))
    request = anthropic_messages.decode_chat(envelope)

    body = msgspec.json.decode(openai_chat.encode_chat(request, bound_field="max_completion_tokens"))

    assert body["max_completion_tokens"] == 100
    assert "max_tokens" not in body


def test_a_disabled_thinking_is_told_to_the_models_that_know_it() -> None:
    body = {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "x"}],
        "thinking": {"type": "disabled"},
    }

    request = anthropic_messages.decode_chat(anthropic_messages.open_chat(msgspec.json.encode(body)))

    def told(model: str) -> tuple[Any, Any]:
        asked = msgspec.structs.replace(request, model=model)
        chat, responses = openai_chat.encode_chat(asked), openai_responses.encode_chat(asked)
        return msgspec.json.decode(chat).get("reasoning_effort"), msgspec.json.decode(responses).get("reasoning")

    for knows_it in ("gpt-5.1", "gpt-5.6-terra", "gpt-6"):
        assert told(knows_it) == ("none", {"effort": "none"})
    for refuses_it in ("gpt-4.1", "gpt-4o", "gpt-5-mini", "o3", "gpt-5.3-chat-latest", "gpt-5.1-codex", "house"):
        assert told(refuses_it) == (None, None)


@pytest.mark.parametrize("encode", [openai_chat.encode_chat, openai_responses.encode_chat])
@pytest.mark.parametrize(
    ("model", "effort", "taken"),
    [
        ("gpt-4.1", None, True),
        ("gpt-5-chat-latest", None, True),
        ("gpt-5.2", None, True),
        ("gpt-5.4", "none", True),
        ("house-o1", None, True),
        ("gpt-5.2", "low", False),
        ("gpt-5.2-pro", None, False),
        ("gpt-5.2-chat-latest", None, False),
        ("ft:o4-mini-2025-04-16:org::x", None, False),
        ("gpt-5-mini", None, False),
        ("gpt-5.6-terra", None, False),
        ("gpt-6", "none", False),
        ("o3", None, False),
        ("openai/o4-mini-2025-04-16", None, False),
    ],
)
def test_sampling_goes_to_those_of_openai_s_models_that_take_it(
    encode: Callable[[ChatRequest], bytes], model: str, effort: str | None, *, taken: bool
) -> None:
    """The others refuse the whole call: "Only the default (1) value is supported"."""
    asked = Message("user", (Text("Hi"),))
    request = ChatRequest(model, (asked,), reasoning_effort=effort, temperature=0.5, top_p=0.9)
    body = msgspec.json.decode(encode(request))
    assert ("temperature" in body, "top_p" in body) == (taken, taken)


def test_an_id_too_long_for_the_other_provider_stays_here() -> None:
    body = {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "x"}],
        "metadata": {"user_id": "u" * 65},
    }

    assert "user" not in translated(ANTHROPIC, body, OPENAI)


# --- answers ---


def said(response: ChatResponse) -> list[Part]:
    """What every dialect can say of an answer, in the order that all of them keep."""
    (choice,) = response.choices
    text = "".join(part.text for part in choice.parts if isinstance(part, Text))
    thinking = "".join(part.text for part in choice.parts if isinstance(part, Thinking))
    calls = [part for part in choice.parts if isinstance(part, ToolCall)]
    return [Thinking(thinking), Text(text), *calls]


@settings(max_examples=50)
@given(strategies.anthropic_responses())
def test_claude_s_answer_to_openai_s_caller(response: ChatResponse) -> None:
    plain = openai_chat.decode_response(openai_chat.encode_response(response))
    stream = streams.encoded(OPENAI, streams.events_of(response))
    streamed = streams.assembled(streams.decoded(OPENAI, streams.split(OPENAI, stream)))

    for told in (plain, streamed):
        assert said(told) == said(response)
        assert told.choices[0].finish == response.choices[0].finish
        assert told.usage is not None
        assert response.usage is not None
        assert told.usage.input_tokens == response.usage.input_tokens
        assert told.usage.cached_input_tokens == response.usage.cached_input_tokens
        assert told.usage.output_tokens == response.usage.output_tokens


@settings(max_examples=50)
@given(strategies.openai_responses())
def test_gpt_s_answer_to_claude_s_caller(response: ChatResponse) -> None:
    response = msgspec.structs.replace(response, choices=response.choices[:1])

    plain = anthropic_messages.decode_response(anthropic_messages.encode_response(response))
    stream = streams.encoded(ANTHROPIC, streams.events_of(response))
    streamed = streams.assembled(streams.decoded(ANTHROPIC, streams.split(ANTHROPIC, stream)))

    for told in (plain, streamed):
        assert said(told) == said(response)
        assert told.choices[0].finish == response.choices[0].finish
        assert told.usage is not None
        assert told.usage.input_tokens == (response.usage.input_tokens if response.usage else 0)
        assert told.usage.output_tokens == (response.usage.output_tokens if response.usage else 0)


def test_usage_that_only_the_gateway_knows_is_told_at_the_end() -> None:
    settled = Settled("req-1", "m", "p", None, 1.0, "stop", Usage(input_tokens=7, output_tokens=3))

    for dialect in (OPENAI, ANTHROPIC, RESPONSES, GEMINI, OLLAMA):
        told = streams.assembled(
            [*streams.decoded(dialect, streams.split(dialect, streams.encoded(dialect, [*_bare_stream(), settled])))]
        )
        assert told.usage is not None
        assert (told.usage.input_tokens, told.usage.output_tokens) == (7, 3)


def _bare_stream() -> list[Any]:
    response = ChatResponse("id", "m", (), None)
    return [*streams.events_of(response), Finished("stop")]


def test_openai_s_caller_sees_usage_only_when_it_asked() -> None:
    response = ChatResponse("id", "m", (), Usage(input_tokens=7, output_tokens=3))

    assert b"prompt_tokens" in streams.encoded(OPENAI, streams.events_of(response), show_usage=True)
    hidden = streams.encoded(OPENAI, streams.events_of(response), show_usage=False)
    assert b"usage" not in hidden
    assert hidden.endswith(b"data: [DONE]\n\n")


def test_arguments_that_are_no_json_reach_claude_s_caller_marked() -> None:
    broken = ChatResponse("id", "m", (Choice(0, (ToolCall("c", "f", '{"a":'),), "length"),), None)

    content = msgspec.json.decode(anthropic_messages.encode_response(broken))["content"]

    assert content[0]["input"] == {"INVALID_JSON": '{"a":'}
