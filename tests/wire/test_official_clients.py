"""What the official SDKs make of our bodies, answers and streams."""

from __future__ import annotations

from typing import Any, cast

import anthropic.types as claude
import msgspec
import openai.types.chat as gpt
import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types.shared import ErrorResponse
from hypothesis import given, settings
from openai.lib.streaming.chat import ChatCompletionStreamState
from pydantic import TypeAdapter

from tests.wire import strategies, streams
from wire import anthropic_messages, openai_chat
from wire.dialect import Dialect
from wire.errors import ApiError, Code
from wire.neutral import ChatRequest, ChatResponse, Text, Thinking, ToolCall
from wire.sse import data_of

OPENAI: Dialect = openai_chat
ANTHROPIC: Dialect = anthropic_messages

GPT_MESSAGE: TypeAdapter[Any] = TypeAdapter(gpt.ChatCompletionMessageParam)
GPT_TOOL: TypeAdapter[Any] = TypeAdapter(gpt.ChatCompletionToolParam)
CLAUDE_EVENT: TypeAdapter[Any] = TypeAdapter(claude.RawMessageStreamEvent)
CLAUDE_MESSAGE: TypeAdapter[Any] = TypeAdapter(claude.MessageParam)
CLAUDE_TOOL: TypeAdapter[Any] = TypeAdapter(claude.ToolParam)
CLAUDE_SETTINGS: dict[str, TypeAdapter[Any]] = {
    "tool_choice": TypeAdapter(claude.ToolChoiceParam),
    "thinking": TypeAdapter(claude.ThinkingConfigParam),
    "output_config": TypeAdapter(claude.OutputConfigParam),
    "metadata": TypeAdapter(claude.MetadataParam),
}

quick = settings(max_examples=40)


def text_of(response: ChatResponse) -> str:
    return "".join(part.text for part in response.choices[0].parts if isinstance(part, Text))


def calls_of(response: ChatResponse) -> list[ToolCall]:
    return [part for part in response.choices[0].parts if isinstance(part, ToolCall)]


def exhausted(value: Any) -> Any:
    """Pydantic checks an `Iterable` only as it is walked."""
    if isinstance(value, dict):
        return {name: exhausted(member) for name, member in value.items()}
    return (
        [exhausted(member) for member in value] if hasattr(value, "__iter__") and not isinstance(value, str) else value
    )


# --- bodies for providers ---


@quick
@given(strategies.openai_requests())
def test_openai_s_sdk_knows_our_messages_and_tools(request: ChatRequest) -> None:
    body = msgspec.json.decode(openai_chat.encode_chat(request))

    for message in body["messages"]:
        exhausted(GPT_MESSAGE.validate_python(message))
    for tool in body.get("tools", ()):
        GPT_TOOL.validate_python(tool)
    assert body.keys() <= {*gpt.completion_create_params.CompletionCreateParamsBase.__annotations__, "stream"}


@quick
@given(strategies.anthropic_requests())
def test_anthropic_s_sdk_knows_our_messages_tools_and_settings(request: ChatRequest) -> None:
    body = msgspec.json.decode(anthropic_messages.encode_chat(request))

    for message in body["messages"]:
        exhausted(CLAUDE_MESSAGE.validate_python(message))
    for tool in body.get("tools", ()):
        exhausted(CLAUDE_TOOL.validate_python(tool))
    for name, adapter in CLAUDE_SETTINGS.items():
        if name in body:
            assert adapter.validate_python(body[name]) == body[name]
    known = claude.message_create_params.MessageCreateParamsBase.__annotations__
    sampling = {"temperature", "top_p", "top_k"}  # gone from the SDK, not from the API
    assert body.keys() <= {*known, "stream", *sampling}


# --- plain answers ---


@quick
@given(strategies.openai_responses())
def test_openai_s_sdk_reads_our_answers(response: ChatResponse) -> None:
    read = gpt.ChatCompletion.model_validate_json(openai_chat.encode_response(response), strict=True)

    message = read.choices[0].message
    assert (message.content or "") == text_of(response)
    assert [call.id for call in message.tool_calls or ()] == [call.id for call in calls_of(response)]
    assert (read.usage and read.usage.total_tokens) == (
        response.usage and response.usage.input_tokens + response.usage.output_tokens
    )


@quick
@given(strategies.anthropic_responses())
def test_anthropic_s_sdk_reads_our_answers(response: ChatResponse) -> None:
    read = claude.Message.model_validate_json(anthropic_messages.encode_response(response), strict=True)

    assert "".join(block.text for block in read.content if block.type == "text") == text_of(response)
    assert [block.id for block in read.content if block.type == "tool_use"] == [call.id for call in calls_of(response)]
    assert response.usage is not None
    usage = read.usage
    total = usage.input_tokens + (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
    assert total == response.usage.input_tokens


# --- streams ---


@quick
@given(strategies.openai_responses())
def test_openai_s_sdk_puts_our_streams_together(response: ChatResponse) -> None:
    events = streams.split(OPENAI, streams.encoded(OPENAI, streams.events_of(response)))
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()

    for event in events[:-1]:
        chunk = gpt.ChatCompletionChunk.model_validate_json(data_of(event), strict=True)
        list(state.handle_chunk(chunk))
    read = state.current_completion_snapshot

    assert data_of(events[-1]) == b"[DONE]"
    assert events[0].count(b'"role":"assistant"') == 1
    for told, choice in zip(read.choices, response.choices, strict=True):
        assert (told.message.content or "") == "".join(part.text for part in choice.parts if isinstance(part, Text))
        assert told.finish_reason == choice.finish
        functions = [call.function for call in told.message.tool_calls or () if call.type == "function"]
        expected = [(part.name, part.arguments) for part in choice.parts if isinstance(part, ToolCall)]
        assert [(function.name, function.arguments) for function in functions] == expected
    assert (read.usage and read.usage.prompt_tokens) == (response.usage and response.usage.input_tokens)


@quick
@given(strategies.anthropic_responses() | strategies.openai_responses())
def test_anthropic_s_sdk_puts_our_streams_together(response: ChatResponse) -> None:
    response = msgspec.structs.replace(response, choices=response.choices[:1])
    snapshot: Any = None
    inputs: dict[int, bytes] = {}

    for event in streams.split(ANTHROPIC, streams.encoded(ANTHROPIC, streams.events_of(response))):
        raw = CLAUDE_EVENT.validate_json(data_of(event), strict=True)
        assert raw.type == streams.name_of(event)
        snapshot = accumulate_event(event=raw, current_snapshot=snapshot, json_bufs=inputs)

    read = cast("claude.Message", snapshot)
    assert "".join(block.text for block in read.content if block.type == "text") == text_of(response)
    calls = [(block.name, block.input) for block in read.content if block.type == "tool_use"]
    assert calls == [(call.name, msgspec.json.decode(call.arguments)) for call in calls_of(response)]
    thoughts = [part for part in response.choices[0].parts if isinstance(part, Thinking) and not part.redacted]
    expected = [(thought.text, thought.signature or "") for thought in thoughts]
    assert [(block.thinking, block.signature) for block in read.content if block.type == "thinking"] == expected
    assert read.stop_reason is not None
    if response.usage is not None:
        assert read.usage.output_tokens == response.usage.output_tokens
        cached = (read.usage.cache_read_input_tokens or 0, read.usage.cache_creation_input_tokens or 0)
        assert read.usage.input_tokens + sum(cached) == response.usage.input_tokens
        assert cached[0] == response.usage.cached_input_tokens


@quick
@given(strategies.anthropic_responses() | strategies.openai_responses())
def test_blocks_of_our_anthropic_streams_open_and_close_in_order(response: ChatResponse) -> None:
    response = msgspec.structs.replace(response, choices=response.choices[:1])
    events = streams.split(ANTHROPIC, streams.encoded(ANTHROPIC, streams.events_of(response)))
    told = [msgspec.json.decode(data_of(event)) for event in events]

    assert [event["type"] for event in told[:1] + told[-2:]] == ["message_start", "message_delta", "message_stop"]
    open_block, next_block = None, 0
    for event in told[1:-2]:
        if event["type"] == "content_block_start":
            assert open_block is None
            assert event["index"] == next_block
            open_block, next_block = next_block, next_block + 1
        else:
            assert event["index"] == open_block
            open_block = None if event["type"] == "content_block_stop" else open_block
    assert open_block is None


# --- errors ---


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.PAYLOAD_TOO_LARGE])
def test_anthropic_s_sdk_knows_our_errors(code: Code) -> None:
    """All but `request_too_large`, which the documentation has and the SDK has not."""
    body = anthropic_messages.encode_error(ApiError(code, "Sorry."), request_id="req-1")

    read = ErrorResponse.model_validate_json(body, strict=True)

    assert read.error.message == "Sorry."
    assert read.request_id == "req-1"
