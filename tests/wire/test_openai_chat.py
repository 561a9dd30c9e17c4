from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.wire import streams
from usage import taxonomy
from wire import openai_chat
from wire.dialect import BadBodyError, BadStreamError, Dialect, StreamFailedError, StreamMeter
from wire.errors import ApiError, Code
from wire.neutral import (
    Finished,
    Metered,
    ResponseFormat,
    Started,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
)

DIALECT: Dialect = openai_chat
HELLO = [{"role": "user", "content": "Hello"}]


def body(**fields: Any) -> bytes:
    return msgspec.json.encode({"model": "m", "messages": HELLO} | fields)


def chunk(delta: dict[str, Any] | None = None, finish: str | None = None, **fields: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return b"data: " + msgspec.json.encode({"id": "c-1", "model": "m-1", "choices": choices} | fields) + b"\n\n"


USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
DONE = b"data: [DONE]\n\n"


# --- opening ---


def test_an_envelope_holds_what_routing_and_the_books_need() -> None:
    raw = body(stream=True, max_tokens=50, n=2, user="u-1", stream_options={"include_usage": True})

    envelope = openai_chat.open_chat(raw)

    assert (envelope.model, envelope.stream, envelope.max_output_tokens) == ("m", True, 50)
    assert (envelope.choices, envelope.end_user, envelope.show_usage) == (2, "u-1", True)
    assert envelope.input_bytes == len(msgspec.json.encode(HELLO))


def test_null_is_absent_and_usage_is_hidden_unless_asked_for() -> None:
    raw = body(stream=True, max_tokens=None, n=None, user=None, stream_options=None)

    envelope = openai_chat.open_chat(raw)

    assert (envelope.max_output_tokens, envelope.choices, envelope.end_user, envelope.show_usage) == (
        None,
        1,
        None,
        False,
    )


def test_the_smaller_of_two_bounds_counts_and_the_newer_user_field_too() -> None:
    envelope = openai_chat.open_chat(body(max_tokens=50, max_completion_tokens=20, safety_identifier="u-2"))

    assert (envelope.max_output_tokens, envelope.end_user) == (20, "u-2")


def test_a_missing_model_means_the_default_route() -> None:
    assert openai_chat.open_chat(msgspec.json.encode({"messages": HELLO})).model == ""


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", ""),
        ("model", 7),
        ("model", None),
        ("messages", []),
        ("messages", "hi"),
        ("messages", None),
        ("stream", "yes"),
        ("n", 0),
        ("n", 129),
        ("n", 1.5),
        ("max_tokens", 0),
        ("max_completion_tokens", "many"),
        ("user", 7),
        ("stream_options", [1]),
    ],
)
def test_a_bad_field_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(ApiError) as caught:
        openai_chat.open_chat(
            body(**{field: value}) if field != "stream_options" else body(stream=True, **{field: value})
        )

    assert caught.value.code is Code.INVALID_REQUEST
    assert caught.value.param == field
    assert f"'{field}' must be" in caught.value.message


# --- rewriting ---


def rewritten(raw: bytes, bound: int | None = None, **options: Any) -> dict[str, Any]:
    out = openai_chat.rewrite_chat(openai_chat.open_chat(raw), model="real", max_output_tokens=bound, **options)
    return {**msgspec.json.decode(out)}


def test_numbers_and_unknown_fields_reach_the_provider_as_they_were_written() -> None:
    raw = b'{"model": "m", "messages": [ {"role":"user","content":"\\u00e9"} ], "temperature": 1.10, "new": {"a" :1E2}}'

    out = openai_chat.rewrite_chat(openai_chat.open_chat(raw), model="real", max_output_tokens=None)

    assert b'[ {"role":"user","content":"\\u00e9"} ]' in out
    assert b'"temperature":1.10' in out
    assert b'"new":{"a" :1E2}' in out
    assert b'"model":"real"' in out


def test_a_stream_asks_for_its_usage_and_keeps_the_caller_s_other_options() -> None:
    assert rewritten(body(stream=True))["stream_options"] == {"include_usage": True}
    options = {"include_usage": False, "include_obfuscation": False}
    assert rewritten(body(stream=True, stream_options=options))["stream_options"] == {
        "include_usage": True,
        "include_obfuscation": False,
    }
    assert "stream_options" not in rewritten(body())


def test_a_bound_is_imposed_on_the_field_that_the_caller_uses() -> None:
    def bounds(**fields: Any) -> dict[str, Any]:
        return bounds_of(rewritten(body(**fields), bound=5, bound_field="max_completion_tokens"))

    assert bounds(max_completion_tokens=9) == {"max_completion_tokens": 5}
    assert bounds(max_tokens=9) == {"max_tokens": 5}
    assert bounds(max_tokens=9, max_completion_tokens=9) == {"max_tokens": 5, "max_completion_tokens": 5}
    assert bounds(max_tokens=None) == {"max_tokens": None, "max_completion_tokens": 5}
    assert bounds() == {"max_completion_tokens": 5}


def test_a_host_that_knows_the_older_bound_alone_is_told_each_bound_by_its_name() -> None:
    """DeepSeek passes over the newer one (earendil-works/pi on GitHub, issue 8018), others refuse it, or both."""
    assert bounds_of(rewritten(body(max_completion_tokens=9))) == {"max_tokens": 9}
    assert bounds_of(rewritten(body(max_completion_tokens=9), bound=5)) == {"max_tokens": 5}
    for one, other in ((5, 4000), (4000, 5)):
        assert bounds_of(rewritten(body(max_completion_tokens=one, max_tokens=other))) == {"max_tokens": 5}
        assert bounds_of(rewritten(body(max_tokens=other, max_completion_tokens=one))) == {"max_tokens": 5}
    assert bounds_of(rewritten(body(max_completion_tokens=None, max_tokens=9))) == {"max_tokens": 9}
    assert bounds_of(rewritten(body(max_completion_tokens=None), bound=5)) == {"max_tokens": 5}
    assert bounds_of(rewritten(body(max_completion_tokens=None))) == {}
    assert bounds_of(rewritten(body())) == {}


def bounds_of(sent: dict[str, Any]) -> dict[str, Any]:
    return {name: sent[name] for name in ("max_tokens", "max_completion_tokens") if name in sent}


# --- refusals in translation ---


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"logit_bias": {"50256": -100}}, "logit_bias"),
        ({"audio": {"voice": "alloy"}}, "audio"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"function_call": {"name": "f"}}, "function_call"),
        ({"web_search_options": {"search_context_size": "low"}}, "web_search_options"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"verbosity": "low"}, "verbosity"),
        ({"store": True}, "store"),
        ({"tomorrow": 1}, "tomorrow"),
        ({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, "tools[0].type"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}, "tool_choice.type"),
        ({"tool_choice": "any"}, "tool_choice"),
        ({"response_format": {"type": "grammar"}}, "response_format.type"),
        ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [{"type": "file"}]}]}, "messages[0].content[0].type"),
        ({"messages": [*HELLO, {"role": "user", "content": "x", "weight": 1}]}, "messages[1].weight"),
        ({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, "messages[0].audio"),
        ({"messages": [{"role": "assistant", "function_call": {"name": "f"}}]}, "messages[0].function_call"),
    ],
)
def test_what_another_dialect_cannot_say_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        openai_chat.decode_chat(openai_chat.open_chat(body(**fields)))

    assert caught.value.code is Code.UNSUPPORTED_FIELD
    assert caught.value.param == param
    assert f"'{param}'" in caught.value.message


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"stop": [1]}, "stop"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"messages": [{"role": "user"}]}, "messages[0]"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/x"}}]}]},
            "messages[0].content[0].image_url.url",
        ),
    ],
)
def test_a_malformed_field_is_refused_with_its_place(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        openai_chat.decode_chat(openai_chat.open_chat(body(**fields)))

    assert caught.value.code is Code.INVALID_REQUEST
    assert caught.value.param == param


def test_what_changes_nothing_may_stay_behind() -> None:
    fields = {
        "store": False, "metadata": {"a": "b"}, "service_tier": "auto", "modalities": ["text"], "verbosity": "medium",
        "logit_bias": {}, "functions": None, "prompt_cache_key": "k", "prediction": {"type": "content", "content": "x"},
        "frequency_penalty": 0, "n": 1, "logprobs": False, "tools": [], "function_call": "none", "audio": None,
    }  # fmt: skip
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "x",
        "refusal": None,
        "annotations": [],
        "audio": None,
        "tool_calls": None,
    }

    request = openai_chat.decode_chat(openai_chat.open_chat(body(messages=[message, *HELLO], **fields)))

    assert len(request.messages) == 2


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_what_a_model_thought_comes_back_by_either_name(name: str) -> None:
    content = [{"type": "text", "text": "So."}, {"type": "refusal", "refusal": "No."}]
    said = {"role": "assistant", "content": content, name: "Hm", "refusal": "Not that."}

    (message,) = openai_chat.decode_chat(openai_chat.open_chat(body(messages=[said]))).messages

    assert message.parts == (Thinking("Hm"), Text("So."), Text("No."), Text("Not that."))


def test_a_schema_s_description_goes_along_within_it() -> None:
    wanted = {"name": "n", "description": "Many.", "schema": {"type": "array"}}
    asked = body(response_format={"type": "json_schema", "json_schema": wanted})

    request = openai_chat.decode_chat(openai_chat.open_chat(asked))

    assert request.response_format == ResponseFormat("json_schema", "n", {"description": "Many.", "type": "array"})


# --- a provider's plain answer ---


def answer(message: dict[str, Any], finish: str | None = "stop", **fields: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant"} | message, "finish_reason": finish}
    return msgspec.json.encode({"id": "c-1", "model": "m-1", "created": 5, "choices": [choice]} | fields)


@pytest.mark.parametrize(
    "raw", [b"<html>", b"[]", b"{}", b'{"choices":[]}', b'{"choices":null}', b'{"choices":[{"index":"x"}]}']
)
def test_a_body_that_is_no_answer_is_told_apart(raw: bytes) -> None:
    for read in (openai_chat.read_result, openai_chat.decode_response):
        with pytest.raises(BadBodyError):
            read(raw)


def test_an_error_in_a_200_keeps_its_message() -> None:
    with pytest.raises(BadBodyError, match="overloaded"):
        openai_chat.read_result(b'{"error":{"message":"overloaded"}}')


def usage_of(usage: object) -> Usage | None:
    return openai_chat.read_result(answer({"content": "x"}, usage=usage)).usage


def test_usage_is_read_as_each_host_counts_it() -> None:
    details = {"prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 1, "cache_write_tokens": 2}}
    told = usage_of(USAGE | details | {"completion_tokens_details": {"reasoning_tokens": 2, "audio_tokens": None}})
    assert told is not None
    assert streams.without_raw(told) == Usage(
        input_tokens=9,
        cached_input_tokens=4,
        cache_write_5m_tokens=2,
        audio_input_tokens=1,
        output_tokens=3,
        reasoning_tokens=2,
    )
    assert msgspec.json.decode(told.raw)["prompt_tokens_details"]["cached_tokens"] == 4

    deepseek = usage_of(USAGE | {"prompt_cache_hit_tokens": 6, "prompt_cache_miss_tokens": 3})
    assert deepseek is not None
    assert streams.without_raw(deepseek) == Usage(input_tokens=9, cached_input_tokens=6, output_tokens=3)


@pytest.mark.parametrize(
    ("told", "usage"),
    [
        ({"prompt_tokens": 9}, Usage(input_tokens=9)),  # of embeddings
        ({"completion_tokens": 3}, Usage(output_tokens=3)),
        ({"prompt_tokens": "9", "completion_tokens": 3.0}, Usage(input_tokens=9, output_tokens=3)),
        (USAGE | {"completion_tokens_details": {"audio_tokens": 2}},
         Usage(input_tokens=9, output_tokens=3, audio_output_tokens=2)),
    ],
)  # fmt: skip
def test_usage_counts_though_it_is_told_in_part_or_as_text(told: dict[str, Any], usage: Usage) -> None:
    read = usage_of(told)

    assert read is not None
    assert streams.without_raw(read) == usage


def test_reasoning_that_a_host_counts_beside_the_completion_is_charged() -> None:
    """Figures that xAI told: https://github.com/Wei-Shaw/sub2api/issues/5771."""
    told = usage_of(
        {
            "prompt_tokens": 10120,
            "completion_tokens": 1499,
            "total_tokens": 14428,
            "completion_tokens_details": {"reasoning_tokens": 2809},
        }
    )

    assert told is not None
    assert (told.output_tokens, told.reasoning_tokens) == (1499 + 2809, 2809)


def test_thoughts_that_only_the_total_tells_are_charged() -> None:
    """As Gemini's endpoint for OpenAI's clients counts: https://github.com/mozilla-ai/any-llm/issues/1290."""
    told = usage_of({"completion_tokens": 1, "prompt_tokens": 9, "total_tokens": 103})

    assert told is not None
    assert (told.input_tokens, told.output_tokens, told.reasoning_tokens) == (9, 94, 93)


@pytest.mark.parametrize(
    "more",
    [
        {"total_tokens": 12},
        {"total_tokens": 5},
        {"total_tokens": 80, "completion_tokens_details": {"reasoning_tokens": 2}},
        {"total_tokens": 1012, "prompt_tokens_details": {"cached_tokens": 1000}},
        {"total_tokens": 1012, "prompt_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 400}},
        {"total_tokens": 1062, "prompt_tokens_details": {"cached_tokens": 1000}},
    ],
)
def test_a_total_with_something_else_in_it_adds_nothing(more: dict[str, Any]) -> None:
    """Reasoning that is told counts as it is told, and what the cache holds may be counted beside the prompt."""
    told = usage_of({"prompt_tokens": 9, "completion_tokens": 3} | more)

    assert told is not None
    assert told.output_tokens == 3


def test_no_token_is_charged_twice() -> None:
    """Cached audio is in both of the host's counts, and a count beyond the total is none."""
    details = {"cached_tokens": 6, "audio_tokens": 5, "image_tokens": 70}
    told = usage_of(USAGE | {"prompt_tokens_details": details, "completion_tokens_details": {"reasoning_tokens": 8}})

    assert told is not None
    assert (told.cached_input_tokens, told.audio_input_tokens, told.image_input_tokens) == (6, 5, 70)  # as reported
    told, _ = taxonomy.consistent(told)
    assert (told.cached_input_tokens, told.audio_input_tokens, told.image_input_tokens) == (6, 3, 0)
    assert (told.output_tokens, told.reasoning_tokens) == (3, 3)


@pytest.mark.parametrize(
    "usage", [None, {}, [], "x" * 40, {"prompt_tokens": -5, "completion_tokens": 1}, {"total": 123456}]
)
def test_usage_that_cannot_be_believed_is_unknown_and_not_zero(usage: object) -> None:
    assert usage_of(usage) is None


def test_a_forced_call_and_a_refusal_are_named_for_other_dialects() -> None:
    calls = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]

    assert openai_chat.decode_response(answer({"tool_calls": calls})).choices[0].finish == "tool_calls"
    assert openai_chat.decode_response(answer({"refusal": "No."})).choices[0].finish == "content_filter"


def test_the_oddities_of_hosts_are_read() -> None:
    mistral = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}, {"type": "text", "text": "Hi"}]
    response = openai_chat.decode_response(answer({"content": mistral}, created=5.0))
    assert [getattr(part, "text", "") for part in response.choices[0].parts] == ["Hm", "Hi"]
    assert response.created == 5
    assert openai_chat.read_result(answer({"content": mistral})).output_bytes == 4

    vllm = openai_chat.decode_response(answer({"content": "Hi", "reasoning": "Hm"}))
    assert [getattr(part, "text", "") for part in vllm.choices[0].parts] == ["Hm", "Hi"]

    no_id = {"content": None, "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}
    (call,) = openai_chat.decode_response(answer(no_id)).choices[0].parts
    assert (getattr(call, "id", ""), getattr(call, "arguments", "")) == ("call_c-1_0_0", '{"a":1}')


# --- the meter ---


def metered(*events: bytes, show_usage: bool = False) -> tuple[StreamMeter, list[bytes]]:
    meter = openai_chat.meter(show_usage=show_usage)
    return meter, [meter.see(event) for event in events]


def test_the_usage_chunk_that_only_we_asked_for_is_withheld() -> None:
    events = [chunk({"content": "Hi"}, usage=None), chunk({}, "stop", usage=None), chunk(usage=USAGE), DONE]

    meter, passed = metered(*events)
    assert passed == [events[0], events[1], b"", b""]
    assert meter.usage is not None
    assert (meter.usage.input_tokens, meter.usage.output_tokens) == (9, 3)
    assert (meter.finished, meter.closing, meter.model, meter.output_bytes) == (True, DONE, "m-1", 2)

    assert metered(*events, show_usage=True)[1] == [*events[:3], b""]


def test_usage_that_comes_with_text_passes() -> None:
    last = chunk({"content": "."}, "stop", usage=USAGE)

    meter, passed = metered(last, DONE)

    assert passed == [last, b""]
    assert meter.usage is not None


def test_comments_and_azure_s_chunk_about_the_prompt_pass() -> None:
    azure = chunk(prompt_filter_results=[{"prompt_index": 0}])

    meter, passed = metered(b": keep-alive\n\n", azure)

    assert passed == [b": keep-alive\n\n", azure]
    assert not meter.finished


def test_done_does_not_mend_a_stream_without_a_finish_reason() -> None:
    assert not metered(chunk({"content": "Hi"}), DONE)[0].finished
    assert not metered(DONE)[0].finished


def test_every_choice_must_finish() -> None:
    def of(index: int, finish: str | None) -> bytes:
        return chunk(choices=[{"index": index, "delta": {"content": "x"}, "finish_reason": finish}])

    assert not metered(of(0, None), of(1, None), of(0, "stop"))[0].finished
    assert metered(of(0, None), of(1, None), of(0, "stop"), of(1, "stop"))[0].finished


def test_an_empty_chunk_behind_the_end_does_not_open_the_answer_again() -> None:
    assert metered(chunk({"content": "x"}, "stop"), chunk({}, "", usage=USAGE))[0].finished


def test_generated_bytes_are_text_thinking_and_arguments() -> None:
    call = {"index": 0, "function": {"arguments": '{"ä"'}}

    meter, _ = metered(chunk({"content": "é"}), chunk({"reasoning_content": "abc"}), chunk({"tool_calls": [call]}))

    assert meter.output_bytes == 2 + 3 + 5


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"error":{"message":"overloaded","type":"server_error"}}\n\n',
        b'event: error\ndata: {"error":{"message":"overloaded","code":"server_error"},"choices":[]}\n\n',
        b'data: {"object":"error","message":"overloaded","type":"server_error"}\n\n',
    ],
)
def test_an_error_event_is_the_provider_s_failure(event: bytes) -> None:
    for see in (openai_chat.meter(show_usage=False).see, openai_chat.decoder().decode):
        with pytest.raises(StreamFailedError) as caught:
            see(event)
        assert (caught.value.message, caught.value.kind) == ("overloaded", "server_error")


@pytest.mark.parametrize("data", [b"<html>", b"{}", b'{"type":"ping"}', b"[]", b"[" * 100_000, b'{"choices":7}'])
def test_an_event_of_another_kind_is_no_chunk(data: bytes) -> None:
    for see in (openai_chat.meter(show_usage=False).see, openai_chat.decoder().decode):
        with pytest.raises(BadStreamError):
            see(b"data: " + data + b"\n\n")


# --- decoding streams ---


def neutral(*events: bytes) -> list[object]:
    return list(streams.decoded(DIALECT, events))


def test_a_stream_as_openai_sends_it() -> None:
    def call(index: int, **function: str) -> dict[str, Any]:
        head = {"id": f"call_{index}", "type": "function"} if "name" in function else {}
        return {"tool_calls": [{"index": index, **head, "function": function}]}

    told = neutral(
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hi"}),
        chunk(call(0, name="f", arguments="")),
        chunk(call(0, arguments='{"a"')),
        chunk(call(0, arguments=":1}")),
        chunk(call(1, name="g", arguments="{}")),
        chunk({}, "tool_calls"),
        chunk(usage=USAGE),
        DONE,
    )

    assert told[:-1] == [
        Started("c-1", "m-1"),
        TextDelta("Hi"),
        ToolCallStarted(0, "call_0", "f"),
        ToolCallDelta(0, '{"a"'),
        ToolCallDelta(0, ":1}"),
        ToolCallStarted(1, "call_1", "g"),
        ToolCallDelta(1, "{}"),
        Finished("tool_calls"),
    ]
    assert isinstance(told[-1], Metered)


def test_parallel_calls_that_all_have_index_0_are_told_apart_by_id() -> None:
    """As Gemini's OpenAI endpoint sends them."""

    def call(id_: str) -> dict[str, Any]:
        return {"tool_calls": [{"index": 0, "id": id_, "function": {"name": "f", "arguments": "{}"}}]}

    told = neutral(chunk(call("a")), chunk(call("b")), chunk({}, "stop"))

    assert [event for event in told if isinstance(event, ToolCallStarted)] == [
        ToolCallStarted(0, "a", "f"),
        ToolCallStarted(1, "b", "f"),
    ]
    assert told[-1] == Finished("tool_calls")


@pytest.mark.parametrize("again", ["call_0", "", None])
def test_a_call_goes_on_whether_its_id_is_repeated_empty_or_left_out(again: str | None) -> None:
    """As hosts of Qwen's models send it, among others."""

    def call(id_: str | None, **function: str) -> dict[str, Any]:
        return {"tool_calls": [{"index": 0, "id": id_, "type": "function", "function": function}]}

    told = neutral(chunk(call("call_0", name="f", arguments='{"a"')), chunk(call(again, arguments=":1}")))

    assert told[1:] == [ToolCallStarted(0, "call_0", "f"), ToolCallDelta(0, '{"a"'), ToolCallDelta(0, ":1}")]


def test_calls_without_ids_are_told_apart_by_their_places_and_get_ids_of_ours() -> None:
    calls = [{"index": n, "id": "", "function": {"name": "f", "arguments": f'{{"n":{n}}}'}} for n in range(2)]

    told = neutral(chunk({"tool_calls": calls}))

    assert told[1:] == [
        ToolCallStarted(0, "call_c-1_0_0", "f"),
        ToolCallDelta(0, '{"n":0}'),
        ToolCallStarted(1, "call_c-1_0_1", "f"),
        ToolCallDelta(1, '{"n":1}'),
    ]


def test_a_host_that_names_neither_itself_nor_its_answer_starts_once() -> None:
    unnamed = {"id": None, "model": None, "created": None}
    last = chunk(choices=[{"delta": None, "finish_reason": "stop"}], **unnamed)

    told = neutral(chunk({"content": "H"}, **unnamed), chunk({"content": "i"}, **unnamed), last)

    assert told == [Started("", ""), TextDelta("H"), TextDelta("i"), Finished("stop")]


def test_thinking_and_refusals_are_told() -> None:
    told = neutral(
        chunk({"reasoning_content": "Hm"}), chunk({"reasoning": "m"}), chunk({"refusal": "No"}), chunk({}, "stop")
    )

    assert told[1:] == [ThinkingDelta("Hm"), ThinkingDelta("m"), TextDelta("No"), Finished("content_filter")]


# --- errors ---


@pytest.mark.parametrize("code", Code)
def test_every_error_has_its_type_and_our_code(code: Code) -> None:
    error = ApiError(code, "Sorry.", param="n")

    plain = msgspec.json.decode(openai_chat.encode_error(error, request_id="r"))
    streamed = openai_chat.encode_error(error, request_id="r", stream=True)

    assert plain["error"] == {"message": "Sorry.", "type": plain["error"]["type"], "param": "n", "code": code.name}
    assert plain["error"]["type"].endswith(("_error", "_quota"))
    assert streamed == b"data: " + msgspec.json.encode(plain) + b"\n\n"
    with pytest.raises(StreamFailedError, match=r"Sorry\."):
        openai_chat.decoder().decode(streamed)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'{"error":{"message":"Bad key","type":"x"}}', "Bad key"),
        (b'{"error":"model not found"}', "model not found"),
        (b'{"object":"error","message":"Too long"}', "Too long"),
        (b'{"detail":"Not Found"}', "Not Found"),
        (b'[{"error":{"code":400,"message":"API key not valid"}}]', "API key not valid"),
        (b'{"detail":[{"msg":"x"}]}', "x"),
        (
            (
                b'{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","messages",0,"x"],'
                b'"msg":"Extra inputs are not permitted","input":1},{"loc":["body","user"],"msg":"No"},{"loc":[[]]}]}}'
            ),
            "body.messages.0.x: Extra inputs are not permitted; body.user: No",
        ),
        (b'{"error":' * 900 + b'"x"' + b"}" * 900, ""),
        (b"[" * 900 + b'"x"' + b"]" * 900, ""),
        (b"<html>", ""),
        (b"", ""),
        (b"[]", ""),
        (b"7", ""),
        (b'{"error":null}', ""),
    ],
)
def test_a_provider_s_message_is_found_in_any_shape(raw: bytes, message: str) -> None:
    assert openai_chat.error_message(raw) == message


def test_a_provider_s_message_is_bounded() -> None:
    assert len(openai_chat.error_message(msgspec.json.encode({"error": "x" * 100_000}))) == 2_000


@pytest.mark.parametrize("name", ["documents", "prediction", "chat_template"])
def test_long_fields_of_hosts_own_count_as_text(name: str) -> None:
    """They may be read by the model, and a budget is to hold then too."""
    said = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    plain = openai_chat.open_chat(msgspec.json.encode(said)).input_bytes

    long = openai_chat.open_chat(msgspec.json.encode(said | {name: ["word " * 10_000]})).input_bytes

    assert long - plain >= 50_000
