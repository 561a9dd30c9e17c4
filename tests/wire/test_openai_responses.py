from __future__ import annotations

from typing import Any

import msgspec
import openai
import openai.types.responses as gpt
import pytest
from hypothesis import given, settings
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import response_create_params
from pydantic import TypeAdapter

from tests.wire import responses_strategies, streams
from wire import anthropic_messages, openai_chat, openai_responses
from wire.dialect import BadBodyError, BadStreamError, Dialect, StreamFailedError
from wire.errors import ApiError, Code
from wire.neutral import (
    ChatRequest,
    ChatResponse,
    Choice,
    Finished,
    Image,
    Message,
    Metered,
    ResponseFormat,
    Settled,
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
from wire.openai_responses.encoding import can_say
from wire.sse import data_of

DIALECT: Dialect = openai_responses
PICTURE = "iVBORw0KGgo="
EVENT: TypeAdapter[Any] = TypeAdapter(gpt.ResponseStreamEvent)
ITEM: TypeAdapter[Any] = TypeAdapter(gpt.ResponseInputItemParam)
TOOL: TypeAdapter[Any] = TypeAdapter(gpt.FunctionToolParam)

quick = settings(max_examples=40)


def body(**fields: Any) -> bytes:
    return msgspec.json.encode({"model": "m", "input": "Hello"} | fields)


def decoded(**fields: Any) -> ChatRequest:
    return openai_responses.decode_chat(openai_responses.open_chat(body(**fields)))


def event(kind: str, **members: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), msgspec.json.encode({"type": kind, **members}))


def told(stream: bytes) -> list[dict[str, Any]]:
    return [msgspec.json.decode(data_of(each)) for each in streams.split(DIALECT, stream)]


# --- opening ---


def test_an_envelope_holds_what_routing_and_the_books_need() -> None:
    envelope = openai_responses.open_chat(
        body(stream=True, max_output_tokens=50, user="u-1", temperature=0, instructions="Be brief.")
    )

    assert (envelope.model, envelope.stream, envelope.max_output_tokens) == ("m", True, 50)
    assert (envelope.choices, envelope.end_user, envelope.show_usage) == (1, "u-1", True)
    assert envelope.temperature == 0
    assert envelope.input_bytes == len('"Hello""Be brief."')
    silent = openai_responses.open_chat(b'{"input":"Hello","safety_identifier":"s-1"}')
    assert (silent.model, silent.stream, silent.max_output_tokens, silent.end_user) == ("", False, None, "s-1")


def test_an_image_counts_as_a_picture_and_not_as_its_bytes() -> None:
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{PICTURE * 10_000}"}
    shown = [{"role": "user", "content": [image]}]
    returned = [{"type": "function_call_output", "call_id": "c", "output": [image]}]

    for given_input in (shown, returned):
        assert openai_responses.open_chat(body(input=given_input)).input_bytes < 17_000


@pytest.mark.parametrize("given_input", [None, "", [], 7, {}])
def test_there_must_be_an_input(given_input: Any) -> None:
    with pytest.raises(ApiError, match="'input'") as caught:
        openai_responses.open_chat(body(input=given_input))

    assert caught.value.code is Code.INVALID_REQUEST


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"conversation": {"id": "conv_1"}}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"tools": [{"type": "function", "name": "f"}, {"type": "file_search"}]}, "tools[1]"),
        ({"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}, "tools[0]"),
        ({"tools": [{"type": "computer_use_preview"}]}, "tools[0]"),
        ({"tools": [{"type": "mcp", "server_label": "x", "server_url": "https://x.example"}]}, "tools[0]"),
        ({"tools": [{"type": "image_generation"}]}, "tools[0]"),
    ],
)
def test_what_needs_a_memory_or_cannot_be_bounded_is_refused_at_every_provider(
    fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(ApiError, match=r"stor|bounded") as caught:
        openai_responses.open_chat(body(**fields))

    assert (caught.value.code, caught.value.param) == (Code.UNSUPPORTED_FIELD, param)


def test_what_clients_send_for_nothing_is_taken() -> None:
    nothing: dict[str, Any] = {
        "previous_response_id": None,
        "conversation": None,
        "prompt": None,
        "background": False,
        "tools": [],
    }

    assert openai_responses.open_chat(body(**nothing)).model == "m"


# --- rewriting ---


def test_nothing_is_stored_at_the_provider() -> None:
    raw = body(store=True, max_output_tokens=500, text={"verbosity": "low"}, tools=[{"type": "custom", "name": "x"}])
    envelope = openai_responses.open_chat(raw)

    rewritten = msgspec.json.decode(openai_responses.rewrite_chat(envelope, model="gpt", max_output_tokens=100))

    assert rewritten == msgspec.json.decode(raw) | {"model": "gpt", "store": False, "max_output_tokens": 100}


def test_what_openai_has_not_sealed_is_kept_from_it() -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    own = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}
    thought = Choice(0, (Thinking("Hm", "sig"), Thinking(redacted="x"), Thinking("Nobody's")), "stop")
    answered = openai_responses.encode_response(ChatResponse("r", "m", (thought,), None))
    foreign = msgspec.json.decode(answered)["output"]
    envelope = openai_responses.open_chat(body(input=[own, *foreign, call]))

    rewritten = msgspec.json.decode(openai_responses.rewrite_chat(envelope, model="m", max_output_tokens=None))

    assert rewritten["input"] == [own, call]


# --- decoding ---


def test_a_conversation_with_tools() -> None:
    request = decoded(
        instructions="Be brief.",
        input=[
            {"role": "developer", "content": "Use Celsius."},
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "Where is this?"},
                    {"type": "input_image", "detail": "high", "image_url": f"data:image/png;base64,{PICTURE}"},
                ],
            },
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm"}]},
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "I look.", "annotations": [], "logprobs": []}],
            },
            {
                "type": "function_call",
                "id": "fc_1",
                "call_id": "c1",
                "name": "weather",
                "arguments": '{"city": "Köln"}',
                "status": "completed",
            },
            {"type": "function_call", "call_id": "c2", "name": "time", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": "11 °C"},
            {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "12:00"}]},
        ],
        tools=[{"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": True}],
        tool_choice={"type": "function", "name": "weather"},
        parallel_tool_calls=False,
        text={
            "format": {
                "type": "json_schema",
                "name": "place",
                "description": "Where it is",
                "schema": {"type": "object"},
                "strict": True,
            }
        },
        reasoning={"effort": "low", "summary": "auto"},
        include=["reasoning.encrypted_content"],
        metadata={"a": "b"},
        store=True,
        truncation="disabled",
    )

    assert request.messages == (
        Message("system", (Text("Be brief."),)),
        Message("system", (Text("Use Celsius."),)),
        Message("user", (Text("Where is this?"), Image(data=PICTURE, media_type="image/png", detail="high"))),
        Message(
            "assistant",
            (
                Thinking("Hm"),
                Text("I look."),
                ToolCall("c1", "weather", '{"city": "Köln"}'),
                ToolCall("c2", "time", "{}"),
            ),
        ),
        Message("user", (ToolResult("c1", (Text("11 °C"),)),)),
        Message("user", (ToolResult("c2", (Text("12:00"),)),)),
    )
    assert request.tools == (Tool("weather", parameters={"type": "object"}, strict=True),)
    assert request.tool_choice == ToolChoice("tool", "weather")
    assert request.parallel_tool_calls is False
    described = {"type": "object", "description": "Where it is"}
    assert request.response_format == ResponseFormat("json_schema", "place", described, strict=True)
    assert request.reasoning_effort == "low"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [{"type": "custom", "name": "x"}]}, "tools[0]"),
        ({"truncation": "auto"}, "truncation"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"context_management": [{"type": "compaction"}]}, "context_management"),
        ({"include": ["something.new"]}, "include"),
        ({"text": {"verbosity": "low"}}, "text.verbosity"),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
        ({"tool_choice": {"type": "web_search_preview"}}, "tool_choice"),
        ({"input": [{"type": "computer_call", "id": "x"}]}, "input[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]}, "input[0].content[0]"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input[0].content[0].file_id",
        ),
        (
            {"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}", "namespace": "n"}]},
            "input[0].namespace",
        ),
        (
            {"input": [{"type": "function_call_output", "call_id": "c", "output": "", "caller": {"type": "program"}}]},
            "input[0].caller",
        ),
    ],
)
def test_what_would_be_lost_in_translation_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        decoded(**fields)

    assert caught.value.code is Code.UNSUPPORTED_FIELD
    assert caught.value.param is not None
    assert caught.value.param.startswith(param)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"type": "text"}, ResponseFormat("text")),
        ({"type": "json_object"}, ResponseFormat("json_object")),
        (
            {"type": "json_schema", "name": "n", "schema": {"type": "array"}, "description": "Many.", "strict": False},
            ResponseFormat("json_schema", "n", {"description": "Many.", "type": "array"}, strict=False),
        ),
    ],
)
def test_formats_are_understood_and_said(told: dict[str, Any], expected: ResponseFormat) -> None:
    """A description goes on within the schema."""
    wanted = decoded(text={"format": told}).response_format
    said = msgspec.json.decode(openai_responses.encode_chat(ChatRequest("m", (), response_format=wanted)))

    assert wanted == expected
    described = {"schema": expected.schema} if expected.schema else {}
    assert said["text"]["format"] == {name: told[name] for name in told if name != "description"} | described


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (None, None),
        (ToolChoice("auto"), "auto"),
        (ToolChoice("none"), "none"),
        (ToolChoice("required"), "required"),
        (ToolChoice("tool", "f"), {"type": "function", "name": "f"}),
    ],
)
def test_choices_of_tools_are_understood_and_said(choice: ToolChoice | None, told: Any) -> None:
    request = ChatRequest("m", (), tools=(Tool("f"),), tool_choice=choice, parallel_tool_calls=False)
    tools = [{"type": "function", "name": "f", "parameters": None, "strict": False}]

    said = msgspec.json.decode(openai_responses.encode_chat(request))

    assert (said.get("tool_choice"), said["tools"], said["parallel_tool_calls"]) == (told, tools, False)
    assert decoded(tools=tools, tool_choice=told).tool_choice == choice
    untooled = msgspec.json.decode(openai_responses.encode_chat(msgspec.structs.replace(request, tools=())))
    assert untooled.keys().isdisjoint(("tools", "tool_choice", "parallel_tool_calls"))


def test_what_a_model_refused_to_say_stays_in_the_conversation() -> None:
    content = [{"type": "refusal", "refusal": "No."}, {"type": "output_text", "text": "Or so."}]

    (message,) = decoded(input=[{"type": "message", "role": "assistant", "content": content}]).messages

    assert message == Message("assistant", (Text("No."), Text("Or so.")))


def test_what_is_included_of_hosted_tools_or_comes_anyway_may_be_asked_for() -> None:
    included = [
        "reasoning.encrypted_content",
        "message.input_image.image_url",
        "file_search_call.results",
        "web_search_call.results",
        "web_search_call.action.sources",
        "code_interpreter_call.outputs",
        "computer_call_output.output.image_url",
    ]

    assert decoded(include=included).logprobs is None


def test_a_temperature_is_openai_s() -> None:
    assert decoded(temperature=2).temperature == 2
    for temperature in (-0.1, 2.1):
        with pytest.raises(ApiError, match="'temperature' must be a number from 0 to 2"):
            decoded(temperature=temperature)


def test_openai_takes_no_smaller_bound_than_16() -> None:
    assert can_say(ChatRequest("m", (), max_output_tokens=16))
    assert can_say(ChatRequest("m", ()))
    assert not can_say(ChatRequest("m", (), max_output_tokens=15))


def test_log_probabilities_are_asked_for_in_two_fields() -> None:
    request = decoded(include=["message.output_text.logprobs"], top_logprobs=3)

    assert (request.logprobs, request.top_logprobs) == (True, 3)
    assert decoded().logprobs is None


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (ChatRequest("m", (), choices=2), "n"),
        (ChatRequest("m", (), stop=("END",)), "stop"),
        (ChatRequest("m", (), seed=0), "seed"),
        (ChatRequest("m", (), top_k=5), "top_k"),
        (ChatRequest("m", (), frequency_penalty=0.5), "frequency_penalty"),
        (ChatRequest("m", (Message("user", (Text("x"),), "Ada"),)), "messages[0].name"),
    ],
)
def test_other_callers_hear_what_the_responses_api_cannot_do(request_: ChatRequest, param: str) -> None:
    with pytest.raises(ApiError) as caught:
        openai_responses.encode_chat(request_)

    assert caught.value.param == param


@quick
@given(responses_strategies.responses_requests())
def test_openai_s_sdk_knows_our_bodies(request: ChatRequest) -> None:
    encoded = msgspec.json.decode(openai_responses.encode_chat(request))

    for item in encoded["input"]:
        ITEM.validate_python(item)
    for tool in encoded.get("tools", ()):
        TOOL.validate_python(tool)
    assert encoded.keys() <= {*response_create_params.ResponseCreateParamsBase.__annotations__, "stream"}


# --- answers ---


@quick
@given(responses_strategies.responses_responses())
def test_openai_s_sdk_reads_our_answers(response: ChatResponse) -> None:
    read = gpt.Response.model_validate_json(openai_responses.encode_response(response), strict=True)

    texts = [part.text for part in response.choices[0].parts if isinstance(part, Text)]
    assert read.output_text == "".join(texts)
    assert (read.usage and read.usage.total_tokens) == (
        response.usage and response.usage.input_tokens + response.usage.output_tokens
    )


@quick
@given(responses_strategies.responses_responses())
def test_openai_s_sdk_puts_our_streams_together(response: ChatResponse) -> None:
    state: Any = ResponseStreamState(input_tools=[], text_format=openai.omit)
    seen = told(streams.encoded(DIALECT, streams.events_of(response)))
    for each in seen:
        state.handle_event(EVENT.validate_python(each, strict=True))

    whole = gpt.Response.model_validate_json(openai_responses.encode_response(response))
    final = state._completed_response
    if response.choices[0].finish in ("stop", "tool_calls"):
        assert final is not None
        assert final.output_text == whole.output_text
    assert seen[-1]["response"] | {"created_at": 0} == msgspec.json.decode(
        openai_responses.encode_response(response)
    ) | {"created_at": 0, "output": seen[-1]["response"]["output"]}
    assert [item["type"] for item in seen[-1]["response"]["output"]] == [item.type for item in whole.output]


def test_the_order_of_events_is_openai_s() -> None:
    parts = (Thinking("Hm", "sig"), Text("Grüße"), ToolCall("c1", "f", '{"a":1}'))
    response = ChatResponse("r1", "m", (Choice(0, parts, "tool_calls"),), Usage(input_tokens=9, output_tokens=3), 7)

    seen = told(streams.encoded(DIALECT, streams.events_of(response, piece_chars=100)))

    assert [(each["type"].removeprefix("response."), each.get("output_index")) for each in seen] == [
        ("created", None),
        ("in_progress", None),
        ("output_item.added", 0),
        ("reasoning_summary_part.added", 0),
        ("reasoning_summary_text.delta", 0),
        ("reasoning_summary_text.done", 0),
        ("reasoning_summary_part.done", 0),
        ("output_item.done", 0),
        ("output_item.added", 1),
        ("content_part.added", 1),
        ("output_text.delta", 1),
        ("output_text.done", 1),
        ("content_part.done", 1),
        ("output_item.done", 1),
        ("output_item.added", 2),
        ("function_call_arguments.delta", 2),
        ("function_call_arguments.done", 2),
        ("output_item.done", 2),
        ("completed", None),
    ]
    assert [each["sequence_number"] for each in seen] == list(range(len(seen)))
    assert seen[-1]["response"]["output"] == [each["item"] for each in seen if each["type"].endswith("item.done")]
    assert seen[-1]["response"]["usage"]["total_tokens"] == 12
    assert seen[-1]["response"]["store"] is False


def test_every_event_is_named_for_its_type() -> None:
    response = ChatResponse("r1", "m", (Choice(0, (Text("Hello"),), "stop"),), None)

    for each in streams.split(DIALECT, streams.encoded(DIALECT, streams.events_of(response))):
        assert streams.name_of(each) == msgspec.json.decode(data_of(each))["type"]


def test_an_answer_that_was_cut_short_is_incomplete() -> None:
    response = ChatResponse("r1", "m", (Choice(0, (Text("Hel"),), "length"),), None)

    last = told(streams.encoded(DIALECT, streams.events_of(response)))[-1]

    assert last["type"] == "response.incomplete"
    assert last["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert last["response"]["output"][0]["status"] == "incomplete"


def test_usage_that_only_the_gateway_knows_is_told_at_the_end() -> None:
    settled = Settled("req-1", "m", "p", None, 1.0, "stop", Usage(input_tokens=7, output_tokens=3))

    last = told(streams.encoded(DIALECT, [Started("r", "m"), TextDelta("x"), Finished("stop"), settled]))[-1]

    assert (last["response"]["usage"]["input_tokens"], last["response"]["usage"]["output_tokens"]) == (7, 3)


def test_thinking_that_anthropic_signed_comes_back_to_it() -> None:
    thought = (Thinking("Hm", signature="sig"), Thinking(redacted="sealed"), ToolCall("c1", "f", "{}"))
    answered = openai_responses.encode_response(ChatResponse("r", "m", (Choice(0, thought, "tool_calls"),), None))
    output = msgspec.json.decode(answered)["output"]
    result = {"type": "function_call_output", "call_id": "c1", "output": "done"}

    request = decoded(input=[{"role": "user", "content": "Go"}, *output, result])
    claude = msgspec.json.decode(anthropic_messages.encode_chat(request))

    assert claude["messages"][1]["content"][:2] == [
        {"type": "thinking", "thinking": "Hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "sealed"},
    ]
    last = msgspec.json.decode(openai_responses.encode_chat(request))["input"][-1]
    assert last == result | {"output": [{"type": "input_text", "text": "done"}]}


def test_log_probabilities_are_told_with_their_text() -> None:
    logprobs = {"content": [{"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": []}], "refusal": None}
    response = ChatResponse("r", "m", (Choice(0, (Text("Hi"),), "stop", logprobs=logprobs),), None)

    plain = msgspec.json.decode(openai_responses.encode_response(response))
    seen = told(streams.encoded(DIALECT, [Started("r", "m"), TextDelta("Hi", logprobs=logprobs), Finished("stop")]))

    assert plain["output"][0]["content"][0]["logprobs"] == logprobs["content"]
    assert [each["logprobs"] for each in seen if "logprobs" in each] == [logprobs["content"]] * 2
    assert openai_responses.decode_response(openai_responses.encode_response(response)).choices[0].logprobs == {
        "content": logprobs["content"]
    }


# --- a provider's answers ---


@pytest.mark.parametrize("answer", [b"", b"{", b"[]", b"{}", b'{"error":{"message":"no"}}'])
def test_what_is_no_response_is_refused(answer: bytes) -> None:
    with pytest.raises(BadBodyError):
        openai_responses.read_result(answer)
    with pytest.raises(BadBodyError):
        openai_responses.decode_response(answer)


def test_an_item_that_no_other_dialect_has_is_refused() -> None:
    answer = {"id": "r", "status": "completed", "output": [{"type": "web_search_call", "id": "ws_1"}]}

    assert openai_responses.read_result(msgspec.json.encode(answer)).finish == "stop"
    with pytest.raises(BadBodyError, match="web_search_call"):
        openai_responses.decode_response(msgspec.json.encode(answer))
    added = msgspec.json.encode({"type": "response.output_item.added", "item": answer["output"][0]})
    with pytest.raises(BadStreamError, match="web_search_call"):
        openai_responses.decoder().decode(b"data: " + added + b"\n\n")


def test_a_refusal_is_a_filtered_answer() -> None:
    content = [{"type": "refusal", "refusal": "I will not."}]
    answer = {"id": "r", "status": "completed", "output": [{"type": "message", "content": content}]}

    read = openai_responses.decode_response(msgspec.json.encode(answer))

    assert read.choices[0] == Choice(0, (Text("I will not."),), "content_filter")


def test_open_models_tell_their_thinking_whole_and_arguments_at_once() -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": '{"a":1}'}
    events = [
        event("response.created", response={"id": "r", "model": "m", "created_at": 5.5}),
        event("response.reasoning_text.delta", delta="Hm"),
        event("response.output_item.added", output_index=1, item=call | {"arguments": ""}),
        event("response.output_item.done", output_index=1, item=call),
        event("response.completed", response={"status": "completed", "output": [call]}),
    ]

    assert streams.decoded(DIALECT, events) == [
        Started("r", "m", 5),
        ThinkingDelta("Hm"),
        ToolCallStarted(0, "c", "f"),
        ToolCallDelta(0, '{"a":1}'),
        Finished("tool_calls"),
    ]


def test_a_call_is_why_a_stream_ended_whose_end_does_not_repeat_it() -> None:
    """Agents run the call for that reason alone. Some hosts end with `output: []`."""
    call = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"}

    def finishes(status: str) -> tuple[Finished, str | None]:
        """What the caller of another dialect is told, and what the books say."""
        last = event(f"response.{status}", response={"id": "r", "status": status, "output": []})
        events = [event("response.output_item.added", item=call), last]
        meter = openai_responses.meter(show_usage=True)
        for each in events:
            meter.see(each)
        return next(each for each in streams.decoded(DIALECT, events) if isinstance(each, Finished)), meter.finish

    assert finishes("completed") == (Finished("tool_calls"), "tool_calls")
    assert finishes("incomplete") == (Finished("length"), "length")


def test_a_call_without_arguments_has_an_empty_object_of_them() -> None:
    """Some hosts of the chat dialect say nothing, and clients read the arguments as JSON."""
    response = ChatResponse("r1", "m", (Choice(0, (ToolCall("c", "f", ""),), "tool_calls"),), None)

    (plain,) = msgspec.json.decode(openai_responses.encode_response(response))["output"]
    events = told(streams.encoded(DIALECT, streams.events_of(response)))
    by_type = {each["type"]: each for each in events}

    assert plain["arguments"] == "{}"
    assert by_type["response.output_item.added"]["item"]["arguments"] == ""
    assert by_type["response.function_call_arguments.done"]["arguments"] == "{}"
    assert by_type["response.output_item.done"]["item"] == plain
    assert events[-1]["response"]["output"] == [plain]


def test_a_call_that_was_cut_off_before_its_arguments_has_none() -> None:
    """An empty object would read as a whole call, to be run."""
    events = told(streams.encoded(DIALECT, [Started("r1", "m"), ToolCallStarted(0, "c", "f"), Finished("length")]))

    items = [each["item"] for each in events if "item" in each]
    assert [(each["status"], each["arguments"]) for each in items] == [("in_progress", ""), ("incomplete", "")]


def test_calls_are_told_apart_by_their_ids_where_no_place_is_told() -> None:
    items = [{"type": "function_call", "id": f"fc_{n}", "call_id": f"c{n}", "name": "f"} for n in range(2)]
    events = [event("response.output_item.added", item=item) for item in items]
    events += [event("response.function_call_arguments.delta", item_id=f"fc_{n}", delta=str(n)) for n in range(2)]

    assert streams.decoded(DIALECT, events)[2:] == [ToolCallDelta(0, "0"), ToolCallDelta(1, "1")]


def test_the_parts_of_a_summary_are_paragraphs() -> None:
    summary = [{"type": "summary_text", "text": "One"}, {"type": "summary_text", "text": "Two"}]
    plain = {"id": "r", "status": "completed", "output": [{"type": "reasoning", "summary": summary}]}
    events = [
        event("response.reasoning_summary_part.added", summary_index=0),
        event("response.reasoning_summary_text.delta", delta="One"),
        event("response.reasoning_summary_part.added", summary_index=1),
        event("response.reasoning_summary_text.delta", delta="Two"),
    ]

    thought = "".join(each.text for each in streams.decoded(DIALECT, events) if isinstance(each, ThinkingDelta))

    assert thought == "One\n\nTwo"
    assert openai_responses.decode_response(msgspec.json.encode(plain)).choices[0].parts == (Thinking(thought),)


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (event("error", code="server_error", message="Overloaded.", param=None), "server_error"),
        (event("error", error={"type": "server_error", "message": "Overloaded."}), "server_error"),
        (event("response.failed", response={"status": "failed", "error": {"message": "Overloaded."}}), ""),
        (event("response.failed", response={"error": {"code": "busy", "message": "Overloaded."}}), "busy"),
    ],
)
def test_a_stream_that_fails_says_so(failure: bytes, kind: str) -> None:
    with pytest.raises(StreamFailedError, match=r"Overloaded\.") as caught:
        openai_responses.meter(show_usage=True).see(failure)

    assert caught.value.kind == kind


@pytest.mark.parametrize(
    "kind",
    ["output_text", "refusal", "function_call_arguments", "reasoning_summary_text", "reasoning_text"],
)
def test_all_that_a_model_writes_is_counted(kind: str) -> None:
    meter = openai_responses.meter(show_usage=True)

    meter.see(event(f"response.{kind}.delta", delta="Grüße"))
    meter.see(event("response.custom_tool_call_input.delta", delta="1"))

    assert meter.output_bytes == len("Grüße".encode()) + 1


@pytest.mark.parametrize("bad", [b"data: {\n\n", b"data: []\n\n", b'data: {"delta":"x"}\n\n'])
def test_what_is_no_event_is_refused(bad: bytes) -> None:
    with pytest.raises(BadStreamError):
        openai_responses.meter(show_usage=True).see(bad)


def test_calls_that_come_mixed_are_refused() -> None:
    encoder = openai_responses.encoder(show_usage=True)
    for each in (Started("r", "m"), ToolCallStarted(0, "a", "f"), ToolCallStarted(1, "b", "f")):
        encoder.encode(each)

    with pytest.raises(BadStreamError, match="mixed"):
        encoder.encode(ToolCallDelta(0, "{}"))


def test_the_end_that_hosts_borrow_from_chat_completions_is_passed_over() -> None:
    last = event("response.completed", response={"status": "completed", "output": []})
    meter = openai_responses.meter(show_usage=True)

    assert [meter.see(each) for each in (last, DONE)] == [b"", b""]
    assert (meter.finished, meter.closing) == (True, last)
    assert openai_responses.decoder().decode(DONE) == []


def test_events_that_are_new_to_us_go_on_untouched() -> None:
    new = event("response.something.new", what=1)

    assert openai_responses.meter(show_usage=True).see(new) == new
    assert openai_responses.decoder().decode(new) == []


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, None),
        ({}, None),
        ({"input_tokens": -1, "output_tokens": 2}, None),
        ({"input_tokens": 5, "output_tokens": 2}, (5, 0, 2, 0)),
        ({"input_tokens": 5}, (5, 0, 0, 0)),
        ({"output_tokens": "2"}, (0, 0, 2, 0)),
        (
            {
                "input_tokens": 5,
                "input_tokens_details": {"cached_tokens": 9},
                "output_tokens": 2,
                "output_tokens_details": {"reasoning_tokens": 3},
            },
            (5, 5, 2, 2),
        ),
    ],
)
def test_usage_is_read_and_never_believed_beyond_its_totals(
    usage: Any, expected: tuple[int, int, int, int] | None
) -> None:
    read = openai_responses.read_result(
        msgspec.json.encode({"id": "r", "status": "completed", "output": [], "usage": usage})
    ).usage

    assert (
        read and (read.input_tokens, read.cached_input_tokens, read.output_tokens, read.reasoning_tokens)
    ) == expected


@pytest.mark.parametrize(
    ("written", "kept_12h", "expected"),
    [(900, 900, (0, 900)), (900, 200, (700, 200)), (900, 0, (900, 0)), (900, None, (900, 0)), (900, 5000, (0, 900))],
)
def test_what_is_cached_for_twelve_hours_is_told_apart(
    written: int, kept_12h: int | None, expected: tuple[int, int]
) -> None:
    kinds = None if kept_12h is None else {"ttl_12h_tokens": kept_12h, "ttl_30m_tokens": max(0, written - kept_12h)}
    details = {"cached_tokens": 0, "cache_write_tokens": written, "cache_write_tokens_details": kinds}
    usage = {"input_tokens": 1000, "input_tokens_details": details, "output_tokens": 1}
    told = openai_responses.read_result(
        msgspec.json.encode({"id": "r", "status": "completed", "output": [], "usage": usage})
    ).usage

    assert told is not None
    assert (told.cache_write_5m_tokens, told.cache_write_1h_tokens) == expected


# --- errors ---


def test_an_error_is_openai_s_and_in_a_stream_both_flat_and_nested() -> None:
    error = ApiError(Code.PROVIDER_ERROR, "Cut short.", param="x")

    plain = msgspec.json.decode(openai_responses.encode_error(error, request_id="r"))
    streamed = openai_responses.encode_error(error, request_id="r", stream=True)

    (read,) = told(streamed)
    assert plain == msgspec.json.decode(openai_chat.encode_error(error, request_id="r"))
    assert streams.name_of(streamed) == "error"
    assert read["error"] == plain["error"]
    assert EVENT.validate_python(read).message == "Cut short."


def test_usage_is_told_whole_in_a_stream() -> None:
    usage = {"input_tokens": 5, "output_tokens": 2}
    last = event("response.completed", response={"status": "completed", "output": [], "usage": usage})

    (_, _, metered) = streams.decoded(DIALECT, [last])

    assert isinstance(metered, Metered)
    assert metered.usage.input_tokens == 5
