from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.wire import streams
from wire import anthropic_messages
from wire.dialect import BadBodyError, BadStreamError, Dialect, StreamFailedError, StreamMeter
from wire.errors import ApiError, Code, invalid
from wire.neutral import (
    ChatRequest,
    ChatResponse,
    Choice,
    Finished,
    Image,
    Message,
    Metered,
    ResponseFormat,
    Started,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    ToolChoice,
    ToolResult,
    Usage,
)
from wire.openai_chat.stream_out import DONE
from wire.sse import data_of

DIALECT: Dialect = anthropic_messages
HELLO = [{"role": "user", "content": "Hello"}]


def body(**fields: Any) -> bytes:
    return msgspec.json.encode({"model": "m", "max_tokens": 9, "messages": HELLO} | fields)


def event(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: ".encode() + msgspec.json.encode({"type": kind} | members) + b"\n\n"


def start(**usage: Any) -> bytes:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m-1", "content": [], "usage": usage}
    return event("message_start", message=message)


def delta(**members: Any) -> bytes:
    return event("content_block_delta", index=0, delta=members)


def end(stop_reason: str | None = "end_turn", **usage: Any) -> bytes:
    return event("message_delta", delta={"stop_reason": stop_reason, "stop_sequence": None}, usage=usage)


STOP = event("message_stop")


# --- opening ---


def test_an_envelope_holds_what_routing_and_the_books_need() -> None:
    raw = body(stream=True, metadata={"user_id": "u-1"}, system="Be kind.")

    envelope = anthropic_messages.open_chat(raw)

    assert (envelope.model, envelope.stream, envelope.max_output_tokens) == ("m", True, 9)
    assert (envelope.choices, envelope.end_user, envelope.show_usage) == (1, "u-1", True)
    assert envelope.input_bytes == len(msgspec.json.encode(HELLO)) + len('"Be kind."')


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", ""),
        ("model", None),
        ("model", ...),
        ("messages", []),
        ("messages", ...),
        ("max_tokens", -1),
        ("max_tokens", ...),
        ("max_tokens", None),
        ("stream", 1),
        ("metadata", "me"),
        ("metadata", {"user_id": 7}),
    ],
)
def test_a_bad_field_is_refused_by_name(field: str, value: object) -> None:
    fields = msgspec.json.decode(body()) | {field: value}
    raw = msgspec.json.encode({name: value for name, value in fields.items() if value is not ...})

    with pytest.raises(ApiError) as caught:
        anthropic_messages.open_chat(raw)

    assert caught.value.code is Code.INVALID_REQUEST
    assert caught.value.param == field


def test_a_bound_is_imposed_only_when_given() -> None:
    envelope = anthropic_messages.open_chat(body(tomorrow={"a": 1}))

    kept = anthropic_messages.rewrite_chat(envelope, model="real", max_output_tokens=None)
    bound = anthropic_messages.rewrite_chat(envelope, model="real", max_output_tokens=5)

    assert msgspec.json.decode(kept) == msgspec.json.decode(body(model="real", tomorrow={"a": 1}))
    assert msgspec.json.decode(bound)["max_tokens"] == 5


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"fallbacks": [{"model": "dearer", "max_tokens": 64_000}]}, "fallbacks"),
        ({"fallbacks": "default"}, "fallbacks"),
        ({"thread": {"type": "create"}}, "thread"),
        ({"thread": {"type": "continue", "previous_message_id": "msg_1"}}, "thread"),
        ({"compaction": {"type": "summarize"}}, "compaction"),
        ({"context_management": {"edits": [{"type": "compact_20260112"}]}}, "context_management.edits[0].type"),
        (
            {"context_management": {"edits": [{"type": "clear_thinking_20251015"}, {"type": "tomorrow"}]}},
            "context_management.edits[1].type",
        ),
    ],
)
def test_what_no_hold_could_bound_is_refused_at_every_provider(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        anthropic_messages.open_chat(body(**fields))

    assert (caught.value.code, caught.value.param) == (Code.UNSUPPORTED_FIELD, param)


@pytest.mark.parametrize(
    "fields",
    [
        {"fallbacks": None, "thread": None, "compaction": None, "context_management": None},
        {"fallbacks": [], "context_management": {}},
        {"context_management": {"edits": None}},
        {"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}, {"type": "clear_thinking_20251015"}]}},
    ],
)
def test_what_only_clears_the_context_goes_on(fields: dict[str, Any]) -> None:
    anthropic_messages.open_chat(body(**fields))


# --- refusals in translation ---


def message(*content: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return {"messages": [*HELLO, {"role": role, "content": list(content)}]}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"container": "c"}, "container"),
        ({"inference_geo": "eu"}, "inference_geo"),
        ({"speed": "fast"}, "speed"),
        ({"mcp_servers": [{"url": "x"}]}, "mcp_servers"),
        ({"tomorrow": 1}, "tomorrow"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"thinking": {"type": "between_tools"}}, "thinking.type"),
        ({"output_config": {"task_budget": {}}}, "output_config.task_budget"),
        ({"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}, "context_management"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 1}]}, "tools[0].type"),
        ({"tools": [{"name": "f", "input_schema": {}, "defer_loading": True}]}, "tools[0].defer_loading"),
        ({"tools": [{"name": "f", "input_schema": {}, "input_examples": [{}]}]}, "tools[0].input_examples"),
        (message({"type": "document", "source": {}}), "messages[1].content[0].type"),
        (message({"type": "image", "source": {"type": "file", "file_id": "f"}}), "messages[1].content[0].source.type"),
        (message({"type": "server_tool_use", "id": "s"}, role="assistant"), "messages[1].content[0].type"),
        (message({"type": "text", "text": "x", "citations": [{}]}), "messages[1].content[0].citations"),
    ],
)
def test_what_another_dialect_cannot_say_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        anthropic_messages.decode_chat(anthropic_messages.open_chat(body(**fields)))

    assert caught.value.code is Code.UNSUPPORTED_FIELD
    assert caught.value.param == param


def test_a_call_s_input_must_be_an_object() -> None:
    fields = message({"type": "tool_use", "id": "t", "name": "f", "input": "x"}, role="assistant")

    with pytest.raises(ApiError) as caught:
        anthropic_messages.decode_chat(anthropic_messages.open_chat(body(**fields)))

    assert caught.value.param == "messages[1].content[0].input"


@pytest.mark.parametrize(
    ("members", "parts", "is_error"),
    [
        ({}, (), False),
        ({"content": "21 °C", "is_error": False}, (Text("21 °C"),), False),
        ({"content": [], "is_error": True}, (), True),
        (
            {
                "content": [
                    {"type": "text", "text": "Here"},
                    {"type": "image", "source": {"type": "url", "url": "https://a.example/b"}},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
                ]
            },
            (Text("Here"), Image(url="https://a.example/b"), Image(data="AA==", media_type="image/png")),
            False,
        ),
    ],
)
def test_a_tool_s_result_is_understood(members: dict[str, Any], parts: tuple[Any, ...], *, is_error: bool) -> None:
    result = {"type": "tool_result", "tool_use_id": "t", **members}

    request = anthropic_messages.decode_chat(anthropic_messages.open_chat(body(**message(result))))

    assert request.messages[1:] == (Message("user", (ToolResult("t", parts, is_error),)),)


def test_what_claude_code_sends_is_understood() -> None:
    """As Claude Code 2 does: https://github.com/psewar/skirnir/releases/tag/v0.12.1."""
    cached = {"type": "ephemeral", "ttl": "1h", "scope": "global"}
    request = anthropic_messages.decode_chat(
        anthropic_messages.open_chat(
            body(
                system=[{"type": "text", "text": "You are Claude Code.", "cache_control": cached}],
                messages=[*HELLO, {"role": "system", "content": [{"type": "text", "text": "Be brief."}]}],
                thinking={"type": "adaptive", "display": "omitted"},
                output_config={"effort": "high"},
                context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
                metadata={"user_id": "u"},
                stream=True,
            )
        )
    )

    assert request.messages == (
        Message("system", (Text("You are Claude Code.", "1h"),)),
        Message("user", (Text("Hello"),)),
        Message("system", (Text("Be brief."),)),
    )
    assert request.reasoning_effort == "high"


# --- bodies for Anthropic ---


def encoded(**fields: Any) -> dict[str, Any]:
    fields = {"model": "m", "messages": (Message("user", (Text("Hello"),)),)} | fields
    return {**msgspec.json.decode(anthropic_messages.encode_chat(ChatRequest(**fields)))}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"choices": 2}, "n"),
        ({"temperature": 1.3}, "temperature"),
        ({"frequency_penalty": 0.1}, "frequency_penalty"),
        ({"presence_penalty": -1.0}, "presence_penalty"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 5}, "top_logprobs"),
        ({"seed": 0}, "seed"),
        ({"response_format": ResponseFormat("json_object")}, "response_format"),
        ({"reasoning_effort": "ultra"}, "reasoning_effort"),
        ({"messages": (Message("user", (Text("Hi"),), name="bob"),)}, "messages[0].name"),
        ({"messages": (Message("system", (Text("Hi"),)),)}, "messages"),
    ],
)
def test_what_anthropic_cannot_say_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        encoded(**fields)

    assert caught.value.code is Code.UNSUPPORTED_FIELD
    assert caught.value.param == param


def test_defaults_of_openai_ask_for_nothing() -> None:
    assert encoded(frequency_penalty=0.0, presence_penalty=0.0, logprobs=False, choices=1) == encoded()


def test_anthropic_always_gets_a_bound() -> None:
    assert encoded()["max_tokens"] == 4096
    assert encoded(max_output_tokens=7)["max_tokens"] == 7


TOOLS = (Tool("f"),)


@pytest.mark.parametrize(
    ("fields", "wire"),
    [
        ({"reasoning_effort": "minimal"}, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
        ({"reasoning_effort": "max"}, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}),
        ({"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
        ({"thinking_budget_tokens": 2048}, {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
        (
            {"reasoning_effort": "high", "tools": TOOLS, "tool_choice": ToolChoice("required")},
            {"output_config": {"effort": "high"}, "tool_choice": {"type": "any"}},
        ),
        (
            {"tools": TOOLS, "parallel_tool_calls": False},
            {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
        ),
        (
            {"tools": TOOLS, "parallel_tool_calls": False, "tool_choice": ToolChoice("none")},
            {"tool_choice": {"type": "none"}},
        ),
        ({"tool_choice": ToolChoice("auto"), "parallel_tool_calls": True}, {}),
        (
            {"response_format": ResponseFormat("json_schema", "name", {"type": "object"}, strict=True)},
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        ),
        ({"response_format": ResponseFormat("text")}, {}),
        ({"end_user": "u" * 300}, {}),
    ],
)
def test_settings_in_anthropic_s_words(fields: dict[str, Any], wire: dict[str, Any]) -> None:
    body = encoded(**fields)

    told = {name: value for name, value in body.items() if name not in ("model", "max_tokens", "messages", "tools")}
    assert told == wire


@pytest.mark.parametrize("model", ["claude-haiku-4-5", "claude-opus-4-6"])
@pytest.mark.parametrize(
    ("fields", "thinks"),
    [
        ({"temperature": 0.5}, False),
        ({"temperature": 1.0}, True),
        ({"top_k": 5}, False),
        ({"top_p": 0.94}, False),
        ({"top_p": 0.95}, True),
    ],
)
def test_with_sampling_of_ones_own_no_model_is_made_to_think(
    model: str, fields: dict[str, Any], *, thinks: bool
) -> None:
    """Anthropic answers 400: `top_p` "must be greater than or equal to 0.95 or unset when thinking is enabled"."""
    body = encoded(model=model, reasoning_effort="low", **fields)
    assert ("thinking" in body) is thinks
    assert body | fields == body


_SAMPLING = {"temperature": 0.5, "top_p": 0.96, "top_k": 5}


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("claude-3-7-sonnet-20250219", ["temperature", "top_p", "top_k"]),
        ("claude-sonnet-4-20250514", ["temperature", "top_p", "top_k"]),
        ("claude-opus-4-1-20250805", ["temperature", "top_k"]),
        ("anthropic/claude-haiku-4.5", ["temperature", "top_k"]),
        ("claude-sonnet-4-6", ["temperature", "top_k"]),
        ("claude-4.5-sonnet", ["temperature", "top_k"]),
        ("claude-v2:1", ["temperature", "top_p", "top_k"]),
        ("claude-4.7-opus", []),
        ("claude-opus-4-7", []),
        ("anthropic/claude-opus-4.8", []),
        ("claude-sonnet-5-20260601", []),
        ("claude-fable-5", []),
        ("house", ["temperature", "top_p", "top_k"]),
    ],
)
def test_of_sampling_a_model_is_told_what_it_takes(model: str, told: list[str]) -> None:
    """Anthropic refuses the whole call otherwise: "`temperature` is deprecated for this model"."""
    body = encoded(model=model, **_SAMPLING)
    assert {name: body[name] for name in _SAMPLING if name in body} == {name: _SAMPLING[name] for name in told}


def test_one_of_the_two_goes_out_whichever_it_is() -> None:
    assert encoded(model="claude-opus-4-6", top_p=0.96)["top_p"] == 0.96
    unsaid = encoded(model="claude-opus-4-6", temperature=1, top_p=0.96)
    assert ("temperature" in unsaid, unsaid["top_p"]) == (False, 0.96)


def test_a_model_that_takes_no_sampling_thinks_whatever_was_asked_of_it() -> None:
    assert encoded(model="claude-opus-4-7", reasoning_effort="low", temperature=1.3)["thinking"] == {"type": "adaptive"}


@pytest.mark.parametrize("model", ["claude-fable-5", "anthropic/claude-mythos-5-1"])
def test_models_that_always_think_are_asked_for_the_least_of_it(model: str) -> None:
    told = encoded(model=model, reasoning_effort="none")

    assert "thinking" not in told
    assert told["output_config"] == {"effort": "low"}


@pytest.mark.parametrize("model", ["claude-opus-4-6", "claude-opus-4-8", "claude-sonnet-5-20260601", "house"])
def test_newer_models_think_by_an_effort(model: str) -> None:
    body = encoded(model=model, thinking_budget_tokens=8_000)
    assert (body["thinking"], body["output_config"]) == ({"type": "adaptive"}, {"effort": "medium"})


def test_the_effort_that_came_with_4_7_is_high_before() -> None:
    assert encoded(model="claude-sonnet-4-6", reasoning_effort="xhigh")["output_config"] == {"effort": "high"}
    assert encoded(model="claude-opus-4-7", reasoning_effort="xhigh")["output_config"] == {"effort": "xhigh"}


@pytest.mark.parametrize(
    ("asked", "max_tokens", "budget"),
    [
        ({"reasoning_effort": "low"}, 4_000, 1_024),
        ({"reasoning_effort": "high"}, 60_000, 24_576),
        ({"reasoning_effort": "high"}, 4_000, 2_000),
        ({"reasoning_effort": "high"}, 1_025, 1_024),
        ({"reasoning_effort": "high"}, 1_024, None),
        ({"thinking_budget_tokens": 512}, 4_000, 1_024),
        ({"thinking_budget_tokens": 3_999}, 4_000, 3_999),
        ({"thinking_budget_tokens": 8_192}, None, 2_048),
    ],
)
@pytest.mark.parametrize(
    "model", ["claude-haiku-4-5", "claude-opus-4-5-20251101", "claude-sonnet-4-20250514", "claude-3-7-sonnet-20250219"]
)
def test_older_models_think_by_a_budget(
    model: str, asked: dict[str, Any], max_tokens: int | None, budget: int | None
) -> None:
    body = encoded(model=model, max_output_tokens=max_tokens, **asked)
    assert body.get("thinking") == ({"type": "enabled", "budget_tokens": budget} if budget else None)
    assert "output_config" not in body


@pytest.mark.parametrize(
    ("thought", "thinks"),
    [((), False), ((Thinking("DeepSeek's"),), False), ((Thinking("Claude's", signature="sig"),), True)],
)
def test_with_a_budget_no_model_goes_on_from_a_call_without_its_thinking(
    thought: tuple[Thinking, ...], *, thinks: bool
) -> None:
    called = Message("assistant", (*thought, ToolCall("c", "f", "{}")))
    messages = (Message("user", (Text("x"),)), called, Message("user", (ToolResult("c", (Text("y"),)),)))
    older, newer = (
        encoded(model=f"claude-opus-{version}", messages=messages, reasoning_effort="low") for version in ("4-5", "4-6")
    )
    assert ("thinking" in older) is thinks
    assert newer["thinking"] == {"type": "adaptive"}


def test_only_thinking_that_someone_signed_goes_back() -> None:
    thoughts = (Thinking("DeepSeek's"), Thinking("Claude's", signature="sig"), Thinking(redacted="sealed"))
    turns = (Message("user", (Text("Hi"),)), Message("assistant", (*thoughts, Text("Yes"))))

    content = encoded(messages=turns)["messages"][1]["content"]

    assert content == [
        {"type": "thinking", "thinking": "Claude's", "signature": "sig"},
        {"type": "redacted_thinking", "data": "sealed"},
        {"type": "text", "text": "Yes"},
    ]


def test_results_come_first_and_neighbours_become_one_turn() -> None:
    body = encoded(
        messages=(
            Message("user", (Text("Go"),)),
            Message("assistant", (Text("\n"), ToolCall("functions.f:0", "f", ""), ToolCall("b", "f", "{oops"))),
            Message("user", (ToolResult("functions.f:0", (Text("1"),)),)),
            Message("user", (Text("and now?"),)),
            Message("user", (ToolResult("b", (Text(""),), is_error=True),)),
        )
    )

    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Go"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "functions_f_0", "name": "f", "input": {}},
                {"type": "tool_use", "id": "b", "name": "f", "input": {"INVALID_JSON": "{oops"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "functions_f_0", "content": [{"type": "text", "text": "1"}]},
                {"type": "tool_result", "tool_use_id": "b", "content": [], "is_error": True},
                {"type": "text", "text": "and now?"},
            ],
        },
    ]


# --- a provider's plain answer ---


def answer(**fields: Any) -> bytes:
    whole = {"id": "msg_1", "type": "message", "model": "m-1", "content": [], "stop_reason": "end_turn"}
    return msgspec.json.encode(whole | fields)


@pytest.mark.parametrize("raw", [b"<html>", b"[]", b"{}", b'{"content":null}', b'{"content":"x"}'])
def test_a_body_that_is_no_answer_is_told_apart(raw: bytes) -> None:
    for read in (anthropic_messages.read_result, anthropic_messages.decode_response):
        with pytest.raises(BadBodyError):
            read(raw)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"input_tokens": 5, "output_tokens": 2}, Usage(5, output_tokens=2)),
        (
            {"input_tokens": 5, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 30, "output_tokens": 2},
            Usage(135, cached_input_tokens=100, cache_write_5m_tokens=30, output_tokens=2),
        ),
        (
            {
                "input_tokens": 5,
                "cache_creation_input_tokens": 30,
                "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
                "output_tokens": 9,
                "output_tokens_details": {"thinking_tokens": 4},
            },
            Usage(35, cache_write_5m_tokens=10, cache_write_1h_tokens=20, output_tokens=9, reasoning_tokens=4),
        ),
        (
            {"input_tokens": 5, "output_tokens": 2, "cache_creation": None, "server_tool_use": None},
            Usage(5, output_tokens=2),
        ),
        (
            {
                "input_tokens": 1000,
                "output_tokens": 50,
                "iterations": [
                    {
                        "type": "compaction",
                        "input_tokens": 180_000,
                        "cache_read_input_tokens": 20,
                        "cache_creation_input_tokens": 30,
                        "output_tokens": 3500,
                    },
                    {"type": "message", "input_tokens": 1000, "output_tokens": 50},
                ],
            },
            Usage(181_050, cached_input_tokens=20, cache_write_5m_tokens=30, output_tokens=3550),
        ),
        ({"input_tokens": 5, "output_tokens": 2, "iterations": None}, Usage(5, output_tokens=2)),
        ({"input_tokens": 5}, Usage(5)),
        ({"output_tokens": 2}, Usage(output_tokens=2)),
        ({"input_tokens": "5", "output_tokens": 2.0}, Usage(5, output_tokens=2)),
        ({"input_tokens": -5, "output_tokens": 2}, None),
        (None, None),
        ({}, None),
    ],
)
def test_usage_counts_the_cache_in(usage: object, expected: Usage | None) -> None:
    told = anthropic_messages.read_result(answer(usage=usage)).usage

    assert (told and streams.without_raw(told)) == expected
    if told:
        assert msgspec.json.decode(told.raw) == usage


@pytest.mark.parametrize(
    ("stop_reason", "finish"),
    [
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("brand_new", "stop"),
    ],
)
def test_stop_reasons(stop_reason: str, finish: str) -> None:
    assert anthropic_messages.read_result(answer(stop_reason=stop_reason)).finish == finish


def test_the_text_that_stopped_the_answer_is_told() -> None:
    raw = answer(stop_reason="stop_sequence", stop_sequence="END", usage={"input_tokens": 1, "output_tokens": 1})

    told = anthropic_messages.encode_response(anthropic_messages.decode_response(raw))

    assert msgspec.json.decode(told)["stop_reason"] == "stop_sequence"
    assert msgspec.json.decode(told)["stop_sequence"] == "END"


# --- the meter ---


def metered(*events: bytes) -> tuple[StreamMeter, list[bytes]]:
    meter = anthropic_messages.meter(show_usage=False)
    return meter, [meter.see(each) for each in events]


def test_usage_is_put_together_from_the_start_and_the_end() -> None:
    events = [
        start(input_tokens=5, cache_read_input_tokens=100, cache_creation_input_tokens=7, output_tokens=1,
              cache_creation={"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 7}),
        event("ping"),
        delta(type="text_delta", text="é"),
        delta(type="thinking_delta", thinking="abc"),
        delta(type="signature_delta", signature="s" * 100),
        delta(type="input_json_delta", partial_json="{}"),
        event("brand_new", a=1),
        end("tool_use", output_tokens=15, input_tokens=None),
        STOP,
    ]  # fmt: skip

    meter, passed = metered(*events)

    assert passed == [*events[:-1], b""]
    assert (meter.closing, meter.finished, meter.finish, meter.model) == (STOP, True, "tool_calls", "m-1")
    assert meter.output_bytes == 2 + 3 + 2
    assert meter.usage is not None
    assert streams.without_raw(meter.usage) == Usage(
        112, cached_input_tokens=100, cache_write_1h_tokens=7, output_tokens=15
    )


def test_totals_at_the_end_replace_those_of_the_start() -> None:
    meter, _ = metered(start(input_tokens=5, output_tokens=1), end(input_tokens=50, output_tokens=4), STOP)

    assert meter.usage is not None
    assert (meter.usage.input_tokens, meter.usage.output_tokens) == (50, 4)


@pytest.mark.parametrize("more", [{}, {"usage": None}, {"usage": {}}, {"usage": {"output_tokens": None}}])
def test_usage_that_the_start_alone_tells_is_no_answer_s(more: dict[str, Any]) -> None:
    """The books go by an estimate then, and callers of other dialects are told the same."""
    ended = event("message_delta", delta={"stop_reason": "end_turn"}, **more)
    events = [start(input_tokens=5, output_tokens=1), ended, STOP]

    assert metered(*events)[0].usage is None
    assert not [each for each in streams.decoded(DIALECT, events) if isinstance(each, Metered)]


def test_a_stream_is_finished_only_with_its_stop_reason() -> None:
    assert not metered(start(), delta(type="text_delta", text="x"))[0].finished
    assert not metered(start(), end(None, output_tokens=1))[0].finished
    assert not metered(start(), STOP)[0].finished
    assert streams.decoded(DIALECT, [event("message_delta", delta={"stop_reason": None})]) == []


def test_the_end_that_hosts_borrow_from_chat_completions_is_passed_over() -> None:
    meter, passed = metered(start(), end(output_tokens=1), STOP, DONE)

    assert passed[2:] == [b"", b""]
    assert (meter.finished, meter.closing) == (True, STOP)
    assert anthropic_messages.decoder().decode(DONE) == []


def test_an_error_event_is_the_provider_s_failure() -> None:
    failure = event("error", error={"type": "overloaded_error", "message": "Overloaded"})

    for see in (anthropic_messages.meter(show_usage=True).see, anthropic_messages.decoder().decode):
        with pytest.raises(StreamFailedError) as caught:
            see(failure)
        assert (caught.value.message, caught.value.kind) == ("Overloaded", "overloaded_error")


@pytest.mark.parametrize("data", [b"<html>", b"{}", b"[]", b'{"type":7}', b'{"choices":[]}', b"[" * 100_000])
def test_an_event_of_another_kind_is_none_of_anthropic_s(data: bytes) -> None:
    for see in (anthropic_messages.meter(show_usage=True).see, anthropic_messages.decoder().decode):
        with pytest.raises(BadStreamError):
            see(b"data: " + data + b"\n\n")


# --- decoding and encoding streams ---


def test_a_stream_as_anthropic_sends_it() -> None:
    told = streams.decoded(
        DIALECT,
        [
            start(input_tokens=5, output_tokens=1),
            event("content_block_start", index=0, content_block={"type": "thinking", "thinking": "", "signature": ""}),
            delta(type="thinking_delta", thinking="Hm"),
            delta(type="signature_delta", signature="sig"),
            event("content_block_stop", index=0),
            event("content_block_start", index=1, content_block={"type": "redacted_thinking", "data": "sealed"}),
            event("content_block_stop", index=1),
            event("ping"),
            event("content_block_start", index=2, content_block={"type": "text", "text": ""}),
            delta(type="text_delta", text="Hi"),
            event("content_block_stop", index=2),
            event(
                "content_block_start", index=3, content_block={"type": "tool_use", "id": "t", "name": "f", "input": {}}
            ),
            delta(type="input_json_delta", partial_json=""),
            delta(type="input_json_delta", partial_json='{"a":1}'),
            event("content_block_stop", index=3),
            event(
                "content_block_start", index=4, content_block={"type": "tool_use", "id": "u", "name": "g", "input": {}}
            ),
            delta(type="input_json_delta", partial_json=""),
            event("content_block_stop", index=4),
            end("tool_use", output_tokens=15),
            STOP,
        ],
    )

    assert isinstance(told[0], Started)
    assert told[1:-1] == [
        ThinkingDelta("Hm"),
        ThinkingDelta("", "sig"),
        ThinkingDelta(redacted="sealed"),
        TextDelta("Hi"),
        ToolCallStarted(0, "t", "f"),
        ToolCallDelta(0, '{"a":1}'),
        ToolCallStarted(1, "u", "g"),
        ToolCallDelta(1, "{}"),
        Finished("tool_calls"),
    ]
    assert isinstance(told[-1], Metered)
    assert (told[-1].usage.input_tokens, told[-1].usage.output_tokens) == (5, 15)


def test_what_a_block_begins_with_is_told() -> None:
    """Some compatible hosts send no deltas for what is short, or known at once."""
    blocks = [
        {"type": "thinking", "thinking": "Hm", "signature": "sig"},
        {"type": "thinking", "signature": "alone"},
        {"type": "thinking", "thinking": "So"},
        {"type": "text", "text": "Hi"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "u", "name": "g"},
    ]

    events = [
        each
        for index, block in enumerate(blocks)
        for each in (
            event("content_block_start", index=index, content_block=block),
            event("content_block_stop", index=index),
        )
    ]

    assert metered(*events)[0].output_bytes == len("HmSoHi") + len('{"a":1}')
    assert streams.decoded(DIALECT, events) == [
        ThinkingDelta("Hm", "sig"),
        ThinkingDelta("", "alone"),
        ThinkingDelta("So"),
        TextDelta("Hi"),
        ToolCallStarted(0, "t", "f"),
        ToolCallDelta(0, '{"a":1}'),
        ToolCallStarted(1, "u", "g"),
        ToolCallDelta(1, "{}"),
    ]


def test_deltas_that_follow_one_another_are_one_block() -> None:
    """Clients take the answer's words from its one block of text."""
    parts = (Thinking("Hm, hm, hm."), Text("I look it up."), ToolCall("t", "f", '{"a":1}'), Text("And then."))
    response = ChatResponse("r", "m", (Choice(0, parts, "tool_calls"),), None)

    stream = streams.split(DIALECT, streams.encoded(DIALECT, streams.events_of(response)))

    told = [msgspec.json.decode(data_of(each)) for each in stream]
    begun = [each["content_block"]["type"] for each in told if each["type"] == "content_block_start"]
    assert begun == ["thinking", "text", "tool_use", "text"]


def test_a_signature_ends_its_block_of_thinking() -> None:
    signed = (ThinkingDelta("a"), ThinkingDelta(signature="s1"), ThinkingDelta("b"), ThinkingDelta(signature="s2"))

    stream = streams.encoded(DIALECT, signed)

    assert stream.count(b"event: content_block_start") == stream.count(b"event: content_block_stop") == 2


def test_calls_whose_arguments_come_mixed_are_not_mixed_up() -> None:
    encoder = anthropic_messages.encoder(show_usage=True)
    encoder.encode(ToolCallStarted(0, "a", "f"))
    encoder.encode(ToolCallStarted(1, "b", "f"))

    with pytest.raises(BadStreamError):
        encoder.encode(ToolCallDelta(0, "{"))


# --- errors ---


def test_an_error_in_anthropic_s_form() -> None:
    error = invalid("Sorry.", param="n")

    plain = anthropic_messages.encode_error(error, request_id="req-1")

    shown = {"type": "error", "error": {"type": "invalid_request_error", "message": "Sorry."}, "request_id": "req-1"}
    assert msgspec.json.decode(plain) == shown
    streamed = anthropic_messages.encode_error(error, request_id="req-1", stream=True)
    assert streamed == b"event: error\ndata: " + plain + b"\n\n"


@pytest.mark.parametrize(
    ("code", "status", "kind"),
    [
        (Code.UNAUTHENTICATED, None, "authentication_error"),
        (Code.BUDGET_EXCEEDED, None, "billing_error"),
        (Code.FORBIDDEN, None, "permission_error"),
        (Code.MODEL_NOT_FOUND, None, "not_found_error"),
        (Code.PAYLOAD_TOO_LARGE, None, "request_too_large"),
        (Code.RATE_LIMITED, None, "rate_limit_error"),
        (Code.PROVIDER_REJECTED, 404, "not_found_error"),
        (Code.PROVIDER_REJECTED, 422, "invalid_request_error"),
        (Code.PROVIDER_ERROR, None, "api_error"),
        (Code.PROVIDER_UNAVAILABLE, None, "overloaded_error"),
        (Code.PROVIDER_TIMEOUT, None, "timeout_error"),
        (Code.INTERNAL, None, "api_error"),
    ],
)
def test_types_of_errors(code: Code, status: int | None, kind: str) -> None:
    body = anthropic_messages.encode_error(ApiError(code, "x", status=status), request_id="r")

    assert msgspec.json.decode(body)["error"]["type"] == kind
