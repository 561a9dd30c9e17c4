from __future__ import annotations

from base64 import b64encode
from typing import Any

import msgspec
import ollama as sdk
import pytest
from hypothesis import given, settings

from tests.wire import ollama_strategies, streams
from wire import anthropic_messages, ndjson, ollama, ollama_embeddings, ollama_generate, openai_chat
from wire.dialect import BadBodyError, BadStreamError, Dialect, StreamFailedError
from wire.errors import ApiError, Code
from wire.neutral import (
    ChatRequest,
    ChatResponse,
    Choice,
    EmbeddingRequest,
    EmbeddingResponse,
    Finished,
    Image,
    Message,
    Metered,
    ResponseFormat,
    Settled,
    Started,
    StreamEvent,
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

DIALECT: Dialect = ollama
HELLO = [{"role": "user", "content": "Hello"}]
PNG = b64encode(b"\x89PNG\r\n\x1a\n" + bytes(9)).decode()
AT = "2023-08-04T08:52:19.385406455-07:00"

quick = settings(max_examples=40)


def body(**fields: Any) -> bytes:
    return msgspec.json.encode({"model": "m", "messages": HELLO} | fields)


def decoded(**fields: Any) -> ChatRequest:
    return ollama.decode_chat(ollama.open_chat(body(**fields)))


def encoded(request: ChatRequest) -> Any:
    return msgspec.json.decode(ollama.encode_chat(request))


def line(message: dict[str, Any] | None = None, **fields: Any) -> bytes:
    said = {} if message is None else {"message": {"role": "assistant", "content": ""} | message}
    return msgspec.json.encode({"model": "m-1", "created_at": AT, "done": False} | said | fields) + b"\n"


# --- lines ---


def test_lines_come_whole_however_the_stream_is_cut() -> None:
    stream = b'{"a":1}\n\n{"b":"\xc3\xa9"}\r\n{"c":3}'

    for cut in range(len(stream)):
        splitter = ndjson.LineSplitter(max_event_bytes=100)
        lines = splitter.feed(stream[:cut]) + splitter.feed(stream[cut:])
        assert splitter.ending == b"\n"
        lines += splitter.feed(splitter.ending)
        assert lines == [b'{"a":1}\n', b"\n", b'{"b":"\xc3\xa9"}\r\n', b'{"c":3}\n']
        assert splitter.ending == b""


@pytest.mark.parametrize("chunks", [[b"x" * 11], [b"x" * 6, b"x" * 6], [b"x" * 12 + b"\n"]])
def test_a_line_without_end_is_refused(chunks: list[bytes]) -> None:
    splitter = ndjson.LineSplitter(max_event_bytes=10)

    with pytest.raises(BadStreamError, match="10 bytes"):
        list(map(splitter.feed, chunks))


def test_json_from_elsewhere_stays_on_its_line() -> None:
    assert ndjson.line({"a": msgspec.Raw(b'{\r\n "b": "\\n"\n}')}) == b'{"a":{   "b": "\\n" }}\n'


# --- opening and rewriting ---


def test_an_envelope_holds_what_routing_and_the_books_need() -> None:
    envelope = ollama.open_chat(body(options={"num_predict": 50, "temperature": 0}))

    assert (envelope.model, envelope.stream, envelope.max_output_tokens) == ("m", True, 50)
    assert (envelope.choices, envelope.end_user, envelope.show_usage) == (1, None, True)
    assert envelope.temperature == 0
    assert envelope.input_bytes == len(msgspec.json.encode(HELLO))
    assert ollama.open_chat(msgspec.json.encode({"messages": HELLO})).model == ""


@pytest.mark.parametrize(("stream", "streams"), [(None, True), (True, True), (False, False)])
def test_it_streams_unless_it_is_told_not_to(*, stream: bool | None, streams: bool) -> None:
    assert ollama.open_chat(body(stream=stream)).stream is streams


@pytest.mark.parametrize("tokens", [-2, -1, 0, None])
def test_a_bound_below_one_is_none(tokens: int | None) -> None:
    assert ollama.open_chat(body(options={"num_predict": tokens})).max_output_tokens is None


def test_an_image_counts_as_a_picture_and_not_as_its_bytes() -> None:
    shown = [{"role": "user", "content": "What is it?", "images": [PNG * 10_000]}]

    assert ollama.open_chat(body(messages=[{"role": "user", "images": None}, *shown])).input_bytes < 17_000
    whole = msgspec.json.encode({"model": "m", "prompt": "What is it?", "images": [PNG * 10_000]})
    assert ollama_generate.open_chat(whole).input_bytes < 17_000


def test_a_bound_is_imposed_and_defaults_stand_behind_the_caller_s_options() -> None:
    envelope = ollama.open_chat(body(options={"temperature": 0.5, "num_ctx": 8192}, keep_alive="5m"))
    fields = envelope.fields | {"options.temperature": msgspec.Raw(b"1"), "options.top_k": msgspec.Raw(b"40")}
    envelope = msgspec.structs.replace(envelope, fields=fields)

    rewritten = msgspec.json.decode(ollama.rewrite_chat(envelope, model="llama", max_output_tokens=100))

    assert rewritten == {
        "model": "llama",
        "messages": HELLO,
        "keep_alive": "5m",
        "options": {"temperature": 0.5, "top_k": 40, "num_ctx": 8192, "num_predict": 100},
    }


# --- decoding ---


def test_a_conversation_with_tools() -> None:
    function = {"name": "weather", "description": "Now", "parameters": {"type": "object"}}
    request = decoded(
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Where is this?", "images": [PNG]},
            {
                "role": "assistant",
                "content": "I look.",
                "thinking": "Hm",
                "tool_calls": [
                    {"function": {"name": "weather", "arguments": {"city": "Köln"}}},
                    {"function": {"index": 1, "name": "time", "arguments": {}}},
                ],
            },
            {"role": "tool", "content": "12:00", "tool_name": "time"},
            {"role": "tool", "content": "11 °C", "tool_name": "weather"},
            {"role": "user", "content": "And tomorrow?"},
        ],
        tools=[{"type": "function", "function": function}],
        format={"type": "object"},
        think=True,
        options={
            "num_predict": 100,
            "temperature": 0.5,
            "top_k": 5,
            "top_p": 0.9,
            "seed": 7,
            "stop": "END",
            "num_ctx": 4096,
            "repeat_penalty": 1.0,
        },
        keep_alive=0,
    )

    assert request.messages == (
        Message("system", (Text("Be brief."),)),
        Message("user", (Text("Where is this?"), Image(data=PNG, media_type="image/png"))),
        Message(
            "assistant",
            (
                Thinking("Hm"),
                Text("I look."),
                ToolCall("call_2_0", "weather", '{"city":"Köln"}'),
                ToolCall("call_2_1", "time", "{}"),
            ),
        ),
        Message("user", (ToolResult("call_2_1", (Text("12:00"),)),)),
        Message("user", (ToolResult("call_2_0", (Text("11 °C"),)),)),
        Message("user", (Text("And tomorrow?"),)),
    )
    assert request.tools == (Tool("weather", "Now", {"type": "object"}),)
    assert request.response_format == ResponseFormat("json_schema", schema={"type": "object"}, strict=True)
    assert (request.reasoning_effort, request.max_output_tokens, request.stream) == ("medium", 100, True)
    assert (request.temperature, request.top_k, request.top_p, request.seed) == (0.5, 5, 0.9, 7)
    assert request.stop == ("END",)


def test_two_calls_of_one_tool_are_answered_in_their_order() -> None:
    call = {"function": {"name": "f", "arguments": {}}}
    results = [{"role": "tool", "content": text, "name": "f"} for text in ("one", "two")]

    request = decoded(messages=[{"role": "assistant", "tool_calls": [call, call]}, *results])

    told = [part for message in request.messages[1:] for part in message.parts]
    assert told == [ToolResult("call_0_0", (Text("one"),)), ToolResult("call_0_1", (Text("two"),))]


def test_a_conversation_that_grows_keeps_its_calls_ids() -> None:
    call = {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}
    short = [*HELLO, call, {"role": "tool", "content": "x"}]

    assert decoded(messages=[*short, *HELLO]).messages[: len(short)] == decoded(messages=short).messages


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"options": {"min_p": 0.1}}, "options.min_p", Code.UNSUPPORTED_FIELD),
        ({"options": {"mirostat": 2}}, "options.mirostat", Code.UNSUPPORTED_FIELD),
        ({"options": {"temperature": "hot"}}, "options.temperature", Code.INVALID_REQUEST),
        ({"format": "xml"}, "format", Code.INVALID_REQUEST),
        ({"template": "{{ .Prompt }}"}, "template", Code.UNSUPPORTED_FIELD),
        ({"messages": [{"role": "user", "content": "x", "images": ["R0FO"]}]}, "messages[0].images[0]", None),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0]", Code.INVALID_REQUEST),
        ({"messages": [{"role": "user", "content": "x", "audio": "y"}]}, "messages[0].audio", None),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}]},
            "messages[0].tool_calls[0].function.arguments",
            Code.INVALID_REQUEST,
        ),
    ],
)
def test_what_cannot_be_read_or_translated_is_refused_by_name(
    fields: dict[str, Any], param: str, code: Code | None
) -> None:
    with pytest.raises(ApiError, match="'") as caught:
        decoded(**fields)

    assert (caught.value.param, caught.value.code) == (param, code or Code.UNSUPPORTED_FIELD)


def test_ollama_s_own_defaults_and_an_empty_format_ask_for_nothing() -> None:
    request = decoded(format="", options={"repeat_penalty": 1, "mirostat": 0, "mirostat_tau": 5.0, "use_mmap": True})

    assert request == decoded()


@pytest.mark.parametrize(("think", "effort"), [(True, "medium"), (False, "none"), ("low", "low"), (None, None)])
def test_thinking_is_an_effort(*, think: bool | str | None, effort: str | None) -> None:
    request = decoded(think=think)

    assert request.reasoning_effort == effort
    assert encoded(request).get("think") == think


# --- encoding ---


def test_a_conversation_of_another_dialect() -> None:
    request = ChatRequest(
        "m",
        (
            Message("system", (Text("Be brief."), Text("Use Celsius."))),
            Message("assistant", (Thinking("Mine", "sig"), ToolCall("c1", "f", "no json"), ToolCall("c2", "g", ""))),
            Message("user", (ToolResult("c1", (), is_error=True), ToolResult("c9", (Text("x"),)), Text("And?"))),
        ),
        tools=(Tool("f", strict=True),),
        tool_choice=ToolChoice("none"),
        thinking_budget_tokens=20_000,
        end_user="u-1",
    )

    assert encoded(request) == {
        "model": "m",
        "stream": False,
        "think": "high",
        "messages": [
            {"role": "system", "content": "Be brief.\n\nUse Celsius."},
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {"id": "c1", "function": {"name": "f", "arguments": {"INVALID_JSON": "no json"}}},
                    {"id": "c2", "function": {"name": "g", "arguments": {}}},
                ],
            },
            {"role": "tool", "content": "error", "tool_name": "f", "tool_call_id": "c1"},
            {"role": "tool", "content": "x", "tool_call_id": "c9"},
            {"role": "user", "content": "And?"},
        ],
    }


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"choices": 2}, "n"),
        ({"tools": (Tool("f"),), "tool_choice": ToolChoice("required")}, "tool_choice"),
        ({"tools": (Tool("f"),), "parallel_tool_calls": False}, "parallel_tool_calls"),
        ({"reasoning_effort": "utmost"}, "reasoning_effort"),
        ({"messages": (Message("user", (Text("x"),), "Ada"),)}, "messages[0].name"),
        ({"messages": (Message("user", (Image(url="https://pictures.example/a.png"),)),)}, "messages[0]"),
    ],
)
def test_other_callers_hear_what_ollama_cannot_do(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        ollama.encode_chat(ChatRequest(**({"model": "m", "messages": ()} | fields)))

    assert (caught.value.param, caught.value.code) == (param, Code.UNSUPPORTED_FIELD)


@quick
@given(ollama_strategies.ollama_requests())
def test_ollama_s_sdk_knows_our_bodies(request: ChatRequest) -> None:
    asked = encoded(request)

    for message in asked["messages"]:
        images = [{"value": image} for image in message.pop("images", ())]
        sdk.Message.model_validate(message | {"images": images})
    known = sdk._types.ChatRequest.model_fields
    assert asked.keys() <= known.keys()
    assert asked.get("options", {}).keys() <= sdk.Options.model_fields.keys()


# --- answers ---


@quick
@given(ollama_strategies.ollama_responses())
def test_ollama_s_sdk_reads_our_answers(response: ChatResponse) -> None:
    read = sdk.ChatResponse.model_validate_json(ollama.encode_response(response))

    assert read.done is True
    assert read.eval_count == (response.usage and response.usage.output_tokens)
    calls = [part for part in response.choices[0].parts if isinstance(part, ToolCall)]
    assert [call.function.name for call in read.message.tool_calls or ()] == [call.name for call in calls]


@pytest.mark.parametrize("dialect", [ollama, ollama_generate])
def test_a_bound_beyond_belief_is_refused_before_the_books_see_it(dialect: Any) -> None:
    body = {"messages": [{"role": "user", "content": "Hi"}], "prompt": "Hi", "options": {"num_predict": 2**31}}

    with pytest.raises(ApiError, match=r"'options\.num_predict' must be a whole number, at most 2147483647"):
        dialect.open_chat(msgspec.json.encode(body))


@pytest.mark.parametrize("created", [1_700_000_000_000, 10**18, 10**400])
def test_a_time_that_is_none_does_not_cost_the_answer(created: int) -> None:
    """Some hosts of OpenAI's dialect tell milliseconds."""
    response = ChatResponse("r", "m", (Choice(0, (Text("Hi"),), "stop"),), None, created)

    answer = msgspec.json.decode(DIALECT.encode_response(response))

    assert (answer["created_at"], answer["message"]["content"]) == ("1970-01-01T00:00:00Z", "Hi")


def test_the_older_call_for_one_vector_is_one_of_a_single_text() -> None:
    envelope = ollama_embeddings.open_single(b'{"model":"m","prompt":"Hi","keep_alive":5}')

    assert msgspec.json.decode(ollama_embeddings.rewrite_embeddings(envelope, model="n")) == {
        "model": "n",
        "input": "Hi",
        "keep_alive": 5,
    }
    assert ollama_embeddings.decode_embeddings(envelope).texts == ("Hi",)
    assert ollama_embeddings.single(b'{"model":"n","embeddings":[[0.5,1e-7]]}') == b'{"embedding":[0.5,1e-7]}'
    with pytest.raises(ApiError, match="'prompt'"):
        ollama_embeddings.open_single(b'{"model":"m","prompt":""}')


def test_a_stream_is_lines_of_which_the_last_tells_all() -> None:
    parts = (Thinking("Hm"), Text("Hi"), ToolCall("c1", "f", '{\n "a": 1}'))
    response = ChatResponse("r", "m", (Choice(0, parts, "tool_calls"),), None, 1_700_000_000)
    settled = Settled("req-1", "m", "p", None, 1.5, "stop", Usage(input_tokens=7, output_tokens=3))

    stream = streams.encoded(DIALECT, [*streams.events_of(response, piece_chars=100), settled])

    head = {"model": "m", "created_at": "2023-11-14T22:13:20Z"}
    assert [msgspec.json.decode(each) for each in stream.splitlines()] == [
        head | {"message": {"role": "assistant", "content": "", "thinking": "Hm"}, "done": False},
        head | {"message": {"role": "assistant", "content": "Hi"}, "done": False},
        head
        | {
            "message": {
                "role": "assistant",
                "content": "",
                "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": {"a": 1}}}],
            },
            "done": False,
        },
        head
        | {
            "message": {"role": "assistant", "content": ""},
            "done": True,
            "done_reason": "stop",
            "prompt_eval_count": 7,
            "eval_count": 3,
            "total_duration": 1_500_000,
        },
    ]


def test_a_call_is_told_whole_when_the_next_one_begins() -> None:
    events: list[StreamEvent] = [
        Started("r", "m"),
        ToolCallStarted(0, "a", "f"),
        ToolCallDelta(0, '{"x":'),
        ToolCallDelta(0, "1}"),
    ]

    stream = streams.encoded(DIALECT, [*events, ToolCallStarted(1, "b", "g"), Finished("tool_calls")])

    calls = [msgspec.json.decode(each)["message"].get("tool_calls") for each in stream.splitlines()]
    assert calls == [
        [{"id": "a", "function": {"name": "f", "arguments": {"x": 1}}}],
        [{"id": "b", "function": {"name": "g", "arguments": {}}}],
        None,
    ]


@pytest.mark.parametrize("between", [ToolCallStarted(1, "b", "g"), TextDelta("So.")])
def test_arguments_of_a_call_that_was_told_are_refused(between: StreamEvent) -> None:
    encoder = ollama.encoder(show_usage=True)
    encoder.encode(ToolCallStarted(0, "a", "f"))
    encoder.encode(between)

    with pytest.raises(BadStreamError, match="mixed"):
        encoder.encode(ToolCallDelta(0, '{"x":1}'))


# --- a provider's answers ---


def test_an_answer_of_an_older_version_gets_ids_of_its_own() -> None:
    call = {"function": {"name": "f", "arguments": {"a": 1e2}}}
    said = line({"tool_calls": [call, call]}, done=True, done_reason="stop", prompt_eval_count=9, eval_count=3)

    plain = ollama.decode_response(said)
    streamed = streams.assembled(
        streams.decoded(
            DIALECT, [line({"tool_calls": [call]}), line({"tool_calls": [call]}), line(done=True, done_reason="stop")]
        )
    )

    stamp = "20230804T085219385406455" + "0700"
    assert plain.id == streamed.id == f"ollama-{stamp}"
    assert [part.id for part in plain.choices[0].parts if isinstance(part, ToolCall)] == [
        f"call_ollama-{stamp}_0",
        f"call_ollama-{stamp}_1",
    ]
    assert plain.choices[0] == streamed.choices[0]
    assert plain.choices[0].finish == "tool_calls"
    assert plain.created == 1_691_164_339


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({}, None),
        ({"eval_count": 3}, None),
        ({"prompt_eval_count": 0, "eval_count": 3}, None),
        ({"prompt_eval_count": 9}, (9, 0, 0)),
        ({"prompt_eval_count": 9, "eval_count": 3}, (9, 0, 3)),
        ({"prompt_eval_count": 9, "prompt_eval_cached_count": 20, "eval_count": 3}, (9, 9, 3)),
    ],
)
def test_usage_without_the_prompt_s_tokens_is_unknown(
    counts: dict[str, int], expected: tuple[int, int, int] | None
) -> None:
    usage = ollama.read_result(line({"content": "x"}, done=True, **counts)).usage

    assert (usage and (usage.input_tokens, usage.cached_input_tokens, usage.output_tokens)) == expected


def test_a_stream_tells_thinking_text_and_usage() -> None:
    events = [
        line({"thinking": "Hm"}),
        line({"content": "Hi"}),
        b"\n",
        line({"content": ""}, done=True, done_reason="length", prompt_eval_count=9, eval_count=3),
    ]

    told = streams.decoded(DIALECT, events)

    assert told[:-1] == [
        Started("ollama-20230804T0852193854064550700", "m-1", 1_691_164_339),
        ThinkingDelta("Hm"),
        TextDelta("Hi"),
        Finished("length"),
    ]
    assert isinstance(told[-1], Metered)


def test_an_error_in_a_stream_is_a_failure() -> None:
    with pytest.raises(StreamFailedError, match="out of memory"):
        ollama.meter(show_usage=True).see(b'{"error":"out of memory"}\n')


@pytest.mark.parametrize("bad", [b"{\n", b"[]\n", b'{"message":7}\n'])
def test_what_is_no_line_of_ollama_s_is_refused(bad: bytes) -> None:
    with pytest.raises(BadStreamError):
        ollama.meter(show_usage=True).see(bad)


@pytest.mark.parametrize("answer", [b"", b"{}", b"[]", b'{"error":"no such model"}'])
def test_what_is_no_answer_is_refused(answer: bytes) -> None:
    with pytest.raises(BadBodyError):
        ollama.read_result(answer)


def test_a_stream_without_its_last_line_is_not_finished() -> None:
    meter = ollama.meter(show_usage=True)

    meter.see(line({"content": "Hi"}))

    assert (meter.finished, meter.closing, meter.output_bytes) == (False, b"", 2)


# --- translation ---


def test_claude_s_answer_to_ollama_s_caller() -> None:
    parts = (Thinking("Hm", "sig"), Text("Hi"), ToolCall("toolu_1", "f", '{"a":1}'))
    response = ChatResponse(
        "msg_1", "claude", (Choice(0, parts, "tool_calls"),), Usage(input_tokens=9, output_tokens=3)
    )
    stream = streams.encoded(anthropic_messages, streams.events_of(response))

    events = streams.decoded(anthropic_messages, streams.split(anthropic_messages, stream))
    told = streams.assembled(streams.decoded(DIALECT, streams.split(DIALECT, streams.encoded(DIALECT, events))))

    assert told.choices[0].parts == (Thinking("Hm"), Text("Hi"), ToolCall("toolu_1", "f", '{"a":1}'))
    assert told.usage == Usage(input_tokens=9, output_tokens=3)


def test_an_openai_caller_s_request_for_ollama() -> None:
    schema = {"name": "place", "strict": True, "schema": {"type": "object"}}
    asked = {
        "model": "m",
        "messages": HELLO,
        "max_completion_tokens": 9,
        "seed": 7,
        "stop": ["END"],
        "stream": True,
        "user": "u-1",
        "response_format": {"type": "json_schema", "json_schema": schema},
    }
    request = openai_chat.decode_chat(openai_chat.open_chat(msgspec.json.encode(asked)))

    assert encoded(request) == {
        "model": "m",
        "messages": HELLO,
        "stream": True,
        "options": {"num_predict": 9, "seed": 7, "stop": ["END"]},
        "format": {"type": "object"},
    }


# --- generate ---


def generate(**fields: Any) -> ChatRequest:
    asked = msgspec.json.encode({"model": "m", "prompt": "Why?"} | fields)
    return ollama_generate.decode_chat(ollama_generate.open_chat(asked))


def test_a_prompt_is_a_message() -> None:
    request = generate(system="Be brief.", images=[PNG], format="json", options={"num_predict": 5}, stream=False)

    assert request.messages == (
        Message("system", (Text("Be brief."),)),
        Message("user", (Text("Why?"), Image(data=PNG, media_type="image/png"))),
    )
    assert request.response_format == ResponseFormat("json_object")
    assert (request.max_output_tokens, request.stream) == (5, False)


@pytest.mark.parametrize("fields", [{"raw": True}, {"template": "t"}, {"suffix": "s"}, {"context": [1, 2]}])
def test_what_only_a_model_of_one_s_own_can_do_is_refused(fields: dict[str, Any]) -> None:
    (name,) = fields

    with pytest.raises(ApiError, match=f"'{name}'"):
        generate(**fields)


def test_there_must_be_a_prompt() -> None:
    with pytest.raises(ApiError, match="'prompt'"):
        generate(prompt="")


@quick
@given(ollama_strategies.ollama_responses())
def test_a_generated_answer_and_its_stream_say_the_same(response: ChatResponse) -> None:
    read = sdk.GenerateResponse.model_validate_json(ollama_generate.encode_response(response))
    encoder = ollama_generate.encoder(show_usage=True)
    stream = b"".join([*map(encoder.encode, streams.events_of(response)), encoder.close()])
    lines = [sdk.GenerateResponse.model_validate_json(each) for each in stream.splitlines()]

    assert "".join(each.response or "" for each in lines) == read.response
    assert "".join(each.thinking or "" for each in lines) == (read.thinking or "")
    assert (lines[-1].done, lines[-1].done_reason, lines[-1].eval_count) == (True, read.done_reason, read.eval_count)


# --- embeddings ---


def test_embeddings_survive_the_way_to_a_provider_and_back() -> None:
    request = EmbeddingRequest("m", ("one", "two"), dimensions=3)
    response = EmbeddingResponse("m", ((0.5, 1.0), (2.0, 3.0)), Usage(input_tokens=4))

    asked = ollama_embeddings.encode_embeddings(request)
    answered = ollama_embeddings.encode_response(response, {})

    assert ollama_embeddings.decode_embeddings(ollama_embeddings.open_embeddings(asked)) == request
    told = {"model": "m", "input": ["one", "two"], "truncate": False, "dimensions": 3}
    assert msgspec.json.decode(asked) == told, "a text that is too long is to be refused, not cut"
    read = ollama_embeddings.decode_response(answered)
    assert read.vectors == response.vectors
    assert read.usage is not None
    assert read.usage.input_tokens == 4
    assert sdk.EmbedResponse.model_validate_json(answered).prompt_eval_count == 4
    assert ollama_embeddings.read_result(answered).usage == read.usage


def test_a_single_text_and_ollama_s_own_fields_are_understood() -> None:
    asked = msgspec.json.encode({"model": "m", "input": "one", "truncate": True, "options": {"num_ctx": 9}})
    envelope = ollama_embeddings.open_embeddings(asked)

    assert ollama_embeddings.decode_embeddings(envelope).texts == ("one",)
    rewritten = msgspec.json.decode(ollama_embeddings.rewrite_embeddings(envelope, model="e"))
    assert rewritten == msgspec.json.decode(asked) | {"model": "e"}


@pytest.mark.parametrize("given_input", [[], [1, 2], {"a": 1}, ["a"] * 2049])
def test_what_is_no_text_cannot_be_embedded(given_input: Any) -> None:
    envelope = ollama_embeddings.open_embeddings(msgspec.json.encode({"model": "m", "input": given_input}))

    with pytest.raises(ApiError, match="'input'"):
        ollama_embeddings.decode_embeddings(envelope)


@pytest.mark.parametrize("answer", [b"{", b"{}", b'{"embeddings":[]}', b'{"error":"no"}'])
def test_an_answer_without_embeddings_is_refused(answer: bytes) -> None:
    with pytest.raises(BadBodyError):
        ollama_embeddings.decode_response(answer)


# --- errors ---


def test_an_error_is_words_and_in_a_stream_a_line() -> None:
    error = ApiError(Code.MODEL_NOT_FOUND, "No model 'x'.")

    plain = ollama.encode_error(error, request_id="r")

    assert msgspec.json.decode(plain) == {"error": "No model 'x'.", "code": "MODEL_NOT_FOUND"}
    assert ollama.encode_error(error, request_id="r", stream=True) == plain + b"\n"
    assert ollama.error_message(plain) == "No model 'x'."
