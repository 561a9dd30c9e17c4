"""Gemini's answers and streams, read and written, and its errors."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from google.genai import types as google
from hypothesis import given, settings

from tests.wire import gemini_strategies, streams
from wire import gemini
from wire.dialect import BadBodyError, BadStreamError, Dialect, StreamFailedError, StreamMeter
from wire.errors import ApiError, Code, invalid
from wire.gemini.array import ArrayFraming
from wire.neutral import (
    ChatResponse,
    Choice,
    Finished,
    Metered,
    Started,
    StreamEvent,
    Text,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
)
from wire.sse import data_of

DIALECT: Dialect = gemini
PICTURE = "iVBORw0KGgo="
USED = {"promptTokenCount": 10, "candidatesTokenCount": 4, "thoughtsTokenCount": 6, "totalTokenCount": 20}


def answer(*parts: Any, finish: str | None = "STOP", index: int = 0, **members: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}, "index": index}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "modelVersion": "gemini-3.8-flash", "responseId": "r-1"} | members


def event(told: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(told) + b"\r\n\r\n"


def metered(*told: dict[str, Any]) -> StreamMeter:
    meter = DIALECT.meter(show_usage=True)
    for each in told:
        meter.see(event(each))
    return meter


# --- plain answers ---


def test_usage_is_counted_inclusively() -> None:
    used = {
        "promptTokenCount": 100,
        "cachedContentTokenCount": 40,
        "toolUsePromptTokenCount": 10,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 30,
        "totalTokenCount": 160,
        "promptTokensDetails": [
            {"modality": "TEXT", "tokenCount": 60},
            {"modality": "AUDIO", "tokenCount": 25},
            {"modality": "IMAGE", "tokenCount": 15},
        ],
        "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 5}, {"modality": "TEXT", "tokenCount": 35}],
        "toolUsePromptTokensDetails": [{"modality": "AUDIO", "tokenCount": 2}, {"modality": "TEXT", "tokenCount": 8}],
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 12}],
        "serviceTier": "standard",
    }

    result = gemini.read_result(msgspec.json.encode(answer({"text": "x"}, usageMetadata=used)))

    assert result.usage is not None
    assert streams.without_raw(result.usage) == Usage(
        input_tokens=110,
        cached_input_tokens=40,
        audio_input_tokens=22,
        image_input_tokens=15,
        output_tokens=50,
        reasoning_tokens=30,
        image_output_tokens=12,
    )
    assert msgspec.json.decode(result.usage.raw) == used


@pytest.mark.parametrize(
    ("used", "usage"),
    [
        ({"promptTokenCount": "9"}, Usage(input_tokens=9)),  # of embeddings, and as Google's JSON may write numbers
        ({"candidatesTokenCount": 3}, Usage(output_tokens=3)),
        ({"thoughtsTokenCount": 6}, Usage(output_tokens=6, reasoning_tokens=6)),
        (
            {
                "promptTokenCount": 9,
                "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 4}],
                "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 5}],
                "candidatesTokenCount": 3,
                "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 2}, {"modality": "AUDIO"}],
            },
            Usage(input_tokens=9, output_tokens=3, audio_output_tokens=2),
        ),
    ],
)
def test_usage_that_is_told_in_part_counts_for_what_it_tells(used: dict[str, Any], usage: Usage) -> None:
    told = gemini.read_result(msgspec.json.encode(answer({"text": "x"}, usageMetadata=used))).usage

    assert told is not None
    assert streams.without_raw(told) == usage


def test_parts_that_another_host_reports_beyond_their_total_leave_no_count_below_zero() -> None:
    usage = Usage(
        input_tokens=9, audio_input_tokens=5, image_input_tokens=70, output_tokens=3, reasoning_tokens=8,
        image_output_tokens=1,
    )  # fmt: skip

    told = gemini.encode_response(ChatResponse("r", "m", (Choice(0, (Text("x"),), "stop"),), usage))

    assert msgspec.json.decode(told)["usageMetadata"] == {
        "promptTokenCount": 9,
        "candidatesTokenCount": 0,
        "thoughtsTokenCount": 3,
        "totalTokenCount": 12,
        "promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 5}, {"modality": "IMAGE", "tokenCount": 4}],
        "candidatesTokensDetails": [],
    }


@pytest.mark.parametrize("used", [None, {}, [], "x", {"promptTokenCount": -1}, {"promptTokenCount": "many"}])
def test_usage_that_cannot_be_believed_is_none(used: Any) -> None:
    assert gemini.read_result(msgspec.json.encode(answer({"text": "x"}, usageMetadata=used))).usage is None


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("CONTINUATION", "length"),
        ("ESCALATION", "content_filter"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("MALFORMED_FUNCTION_CALL", "stop"),
        ("SOMETHING_NEW", "stop"),
    ],
)
def test_finish_reasons_are_understood(reason: str, finish: str) -> None:
    assert gemini.read_result(msgspec.json.encode(answer({"text": "x"}, finish=reason))).finish == finish


def test_calls_are_the_reason_of_a_stop() -> None:
    call = {"functionCall": {"name": "f", "args": {"n": 1}}}
    told = msgspec.json.encode(answer({"text": "I look."}, call, call))

    (choice,) = gemini.decode_response(told).choices

    assert choice.finish == gemini.read_result(told).finish == "tool_calls"
    calls = [part for part in choice.parts if isinstance(part, ToolCall)]
    assert [call.id for call in calls] == ["call_r-1_0_0", "call_r-1_0_1"]


def test_a_refused_prompt_is_an_answer_that_says_nothing() -> None:
    told = msgspec.json.encode({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 9}})

    response, result = gemini.decode_response(told), gemini.read_result(told)

    assert response.choices == (Choice(0, (), "content_filter"),)
    assert (result.finish, result.usage and result.usage.input_tokens) == ("content_filter", 9)


@pytest.mark.parametrize("told", [b"{}", b"[]", b"{nope", b'{"candidates":[]}', b'{"error":{"message":"busy"}}'])
def test_what_is_no_answer_is_refused(told: bytes) -> None:
    with pytest.raises(BadBodyError):
        gemini.read_result(told)


def test_a_picture_in_an_answer_has_no_place_elsewhere() -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": PICTURE}}

    with pytest.raises(BadBodyError, match="inline_data"):
        gemini.decode_response(msgspec.json.encode(answer(picture)))
    with pytest.raises(BadBodyError, match="inline_data"):
        DIALECT.decoder().decode(event(answer(picture)))


def test_logprobs_go_both_ways() -> None:
    said = {
        "chosenCandidates": [{"token": "é", "tokenId": 5, "logProbability": -0.25}],
        "topCandidates": [
            {"candidates": [{"token": "é", "logProbability": -0.25}, {"token": "e", "logProbability": -2}]}
        ],
    }
    told = answer({"text": "é"})
    told["candidates"][0]["logprobsResult"] = said

    response = gemini.decode_response(msgspec.json.encode(told))

    e_acute = {"token": "é", "logprob": -0.25, "bytes": [195, 169]}
    assert response.choices[0].logprobs == {
        "content": [e_acute | {"top_logprobs": [e_acute, {"token": "e", "logprob": -2.0, "bytes": [101]}]}],
        "refusal": None,
    }
    back = msgspec.json.decode(gemini.encode_response(response))["candidates"][0]["logprobsResult"]
    assert back["chosenCandidates"] == [{"token": "é", "logProbability": -0.25}]
    assert back["topCandidates"] == said["topCandidates"]


@settings(max_examples=40)
@given(gemini_strategies.gemini_responses())
def test_google_s_sdk_reads_our_answers_and_streams(response: ChatResponse) -> None:
    whole = google.GenerateContentResponse.model_validate_json(gemini.encode_response(response))
    told = streams.split(DIALECT, streams.encoded(DIALECT, streams.events_of(response)))
    chunks = [google.GenerateContentResponse.model_validate_json(data_of(each)) for each in told]

    text = "".join(part.text for part in response.choices[0].parts if isinstance(part, Text))
    assert (whole.text or "") == text
    first = [chunk.candidates[0] for chunk in chunks if chunk.candidates and not chunk.candidates[0].index]
    parts = [part for candidate in first if candidate.content for part in candidate.content.parts or ()]
    assert "".join(part.text or "" for part in parts if not part.thought) == text
    total = response.usage and response.usage.input_tokens + response.usage.output_tokens
    assert (whole.usage_metadata and whole.usage_metadata.total_token_count) == total
    assert (chunks[-1].usage_metadata and chunks[-1].usage_metadata.total_token_count) == total


# --- streams ---

STREAM = [
    answer({"text": "Hm.", "thought": True}, finish=None, usageMetadata={"promptTokenCount": 10}),
    answer({"text": "Grüße"}, finish=None, usageMetadata=USED | {"candidatesTokenCount": 1}),
    answer({"functionCall": {"name": "f", "args": {"n": 1}}, "thoughtSignature": "c2ln"}, finish=None),
    answer({"text": ""}, usageMetadata=USED),
]


def test_a_stream_is_understood() -> None:
    told = streams.decoded(DIALECT, map(event, STREAM))

    assert [each for each in told if not isinstance(each, Metered)] == [
        Started("r-1", "gemini-3.8-flash"),
        ThinkingDelta("Hm."),
        TextDelta("Grüße"),
        ThinkingDelta(signature="gemini:c2ln"),
        ToolCallStarted(0, "call_r-1_0_0", "f"),
        ToolCallDelta(0, '{"n":1}'),
        Finished("tool_calls"),
    ]
    assert streams.assembled(told).usage == Usage(input_tokens=10, output_tokens=10, reasoning_tokens=6)


def test_candidates_are_told_apart_by_their_index_or_else_their_place() -> None:
    """Google leaves out what is 0, and an index with it."""
    both, second = answer({"text": "a"}, finish=None), answer({"text": "c"}, index=1, finish=None)
    both["candidates"] = [{"content": {"parts": [{"text": text}]}} for text in "ab"]
    call = answer({"functionCall": {"name": "f"}}, index=1)
    end = answer()  # told twice, it is one end all the same

    told = streams.decoded(DIALECT, map(event, (both, second, call, end, end)))

    assert told[1:] == [
        TextDelta("a"),
        TextDelta("b", 1),
        TextDelta("c", 1),
        ToolCallStarted(0, "call_r-1_1_0", "f", 1),
        ToolCallDelta(0, "{}", 1),
        Finished("tool_calls", 1),
        Finished("stop"),
    ]


def test_the_last_event_waits_for_the_books() -> None:
    meter = DIALECT.meter(show_usage=True)

    passed = [meter.see(event(each)) for each in STREAM]

    assert passed == [*map(event, STREAM[:3]), b""]
    assert meter.closing == event(STREAM[-1])
    assert (meter.model, meter.finish, meter.finished) == ("gemini-3.8-flash", "tool_calls", True)
    assert meter.output_bytes == len("Hm.Grüße".encode()) + len('{"n":1}')
    assert meter.usage is not None
    assert (meter.usage.input_tokens, meter.usage.output_tokens) == (10, 10)


def test_what_comes_behind_the_end_is_the_end() -> None:
    end, late = answer({"text": ""}), {"usageMetadata": USED, "responseId": "r-1"}
    meter = DIALECT.meter(show_usage=True)

    passed = [meter.see(event(end)), meter.see(event(late))]

    assert passed == [b"", event(end)]
    assert meter.closing == event(late)
    assert meter.usage is not None
    assert meter.usage.output_tokens == 10


def test_every_candidate_must_have_ended() -> None:
    first, second = answer({"text": "a"}), answer({"text": "b"}, index=1, finish=None)
    meter = DIALECT.meter(show_usage=True)

    assert meter.see(event(first)) == b""
    assert meter.see(event(second)) == event(first) + event(second)
    assert (meter.finished, meter.closing) == (False, b"")
    assert meter.see(event(answer({"text": "c"}, index=1))) == b""
    assert meter.finished


def test_usage_told_before_the_end_alone_is_not_believed() -> None:
    meter = metered(answer({"text": "a"}, finish=None, usageMetadata=USED), answer({"text": "b"}))

    assert meter.finished
    assert meter.usage is None


def test_a_refused_prompt_ends_a_stream() -> None:
    told = {"promptFeedback": {"blockReason": "OTHER"}, "usageMetadata": {"promptTokenCount": 9}, "responseId": "r"}
    meter = metered(told)

    assert (meter.finished, meter.finish) == (True, "content_filter")
    assert Finished("content_filter") in streams.decoded(DIALECT, [event(told)])


@pytest.mark.parametrize(
    "said",
    [
        b'data: {"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}\n\n',
        b'{\n  "error": {"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}\n}\n\n',
    ],
)
def test_an_error_in_mid_stream_is_the_provider_s(said: bytes) -> None:
    for read in (DIALECT.meter(show_usage=True).see, DIALECT.decoder().decode):
        with pytest.raises(StreamFailedError, match="overloaded"):
            read(said)


@pytest.mark.parametrize("said", [b"data: {}\n\n", b"data: {nope\n\n", b"data: []\n\n", b'data: {"candidates":1}\n\n'])
def test_what_is_no_event_is_refused(said: bytes) -> None:
    with pytest.raises(BadStreamError):
        DIALECT.meter(show_usage=True).see(said)


def test_arguments_that_come_in_pieces_go_out_whole() -> None:
    events: list[StreamEvent] = [
        Started("r", "m"),
        ToolCallStarted(0, "a", "f"),
        ToolCallStarted(1, "b", "g"),
        ToolCallDelta(1, '{"y":'),
        ToolCallDelta(0, '{"x":1}'),
        ToolCallDelta(1, "2}"),
        Finished("tool_calls"),
    ]

    first, last = (
        msgspec.json.decode(data_of(each)) for each in streams.split(DIALECT, streams.encoded(DIALECT, events))
    )

    assert [part["functionCall"] for part in first["candidates"][0]["content"]["parts"]] == [
        {"id": "a", "name": "f", "args": {"x": 1}},
        {"id": "b", "name": "g", "args": {"y": 2}},
    ]
    assert last["candidates"][0]["finishReason"] == "STOP"


def test_arguments_of_a_call_that_was_told_are_refused() -> None:
    encoder = gemini.encoder(show_usage=True)
    encoder.encode(ToolCallStarted(0, "a", "f"))
    encoder.encode(TextDelta("So."))

    with pytest.raises(BadStreamError):
        encoder.encode(ToolCallDelta(0, '{"x":1}'))


def test_an_array_holds_what_the_events_hold() -> None:
    stream = (
        b": keep-alive\n\n"
        + b"".join(map(event, STREAM))
        + gemini.encode_error(invalid("x"), request_id="", stream=True)
    )
    for cut in range(len(stream)):
        framing = ArrayFraming(max_event_bytes=1 << 20)

        array = framing.feed(stream[:cut]) + framing.feed(stream[cut:]) + framing.close()

        *answers, error = msgspec.json.decode(array)
        assert answers == STREAM
        assert error["error"]["status"] == "INVALID_ARGUMENT"


def test_an_array_of_nothing_is_an_array() -> None:
    assert msgspec.json.decode(ArrayFraming(max_event_bytes=9).close()) == []


# --- errors ---


@pytest.mark.parametrize("code", Code)
def test_errors_are_google_s(code: Code) -> None:
    error = msgspec.json.decode(gemini.encode_error(ApiError(code, "Sorry."), request_id="req-1"))["error"]

    assert (error["code"], error["message"], error["status"]) == (code.http, "Sorry.", code.grpc)
    assert error["details"][0]["reason"] == code.name


def test_a_provider_s_own_status_is_kept() -> None:
    missing = ApiError(Code.PROVIDER_REJECTED, "No such model.", status=404)

    error = msgspec.json.decode(gemini.encode_error(missing, request_id="req-1"))["error"]

    assert (error["code"], error["status"]) == (404, "NOT_FOUND")


def test_an_error_in_a_stream_begins_as_the_sdk_expects() -> None:
    told = gemini.encode_error(invalid("Sorry."), request_id="r", stream=True)

    assert told.startswith(b'data: {"error":{"code":400,')
    assert told.endswith(b"\n\n")


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (b'{"error":{"code":400,"message":"Bad.","status":"INVALID_ARGUMENT"}}', "Bad."),
        (b'[{"error":{"code":400,"message":"Bad."}}]', "Bad."),
        (b"<html>", ""),
    ],
)
def test_a_provider_s_message_is_found(told: bytes, message: str) -> None:
    assert gemini.error_message(told) == message
