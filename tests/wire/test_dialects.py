"""What holds for every dialect: nothing is lost on the way through it and back."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wire import gemini_strategies, ollama_strategies, responses_strategies, strategies, streams
from wire import anthropic_messages, gemini, ollama, openai_chat, openai_responses
from wire.dialect import Dialect, Envelope
from wire.neutral import (
    ChatRequest,
    ChatResponse,
    Choice,
    Finished,
    Started,
    Text,
    TextDelta,
    Thinking,
    ToolCall,
    Usage,
)

OPENAI: Dialect = openai_chat
ANTHROPIC: Dialect = anthropic_messages
GEMINI: Dialect = gemini
RESPONSES: Dialect = openai_responses
OLLAMA: Dialect = ollama
DIALECTS = {"openai": OPENAI, "anthropic": ANTHROPIC, "gemini": GEMINI, "responses": RESPONSES, "ollama": OLLAMA}

requests = st.one_of(
    st.tuples(st.just(OPENAI), strategies.openai_requests()),
    st.tuples(st.just(ANTHROPIC), strategies.anthropic_requests()),
    st.tuples(st.just(GEMINI), gemini_strategies.gemini_requests()),
    st.tuples(st.just(RESPONSES), responses_strategies.responses_requests()),
    st.tuples(st.just(OLLAMA), ollama_strategies.ollama_requests()),
)
responses = st.one_of(
    st.tuples(st.just(OPENAI), strategies.openai_responses()),
    st.tuples(st.just(ANTHROPIC), strategies.anthropic_responses()),
    st.tuples(st.just(GEMINI), gemini_strategies.gemini_responses()),
    st.tuples(st.just(RESPONSES), responses_strategies.responses_responses()),
    st.tuples(st.just(OLLAMA), ollama_strategies.ollama_responses()),
)

quick = settings(max_examples=60)

ANSWER = ChatResponse(
    id="answer-1",
    model="m",
    choices=(
        Choice(
            0,
            (Thinking("Hm — 考える"), Text("Grüße,\n\n世界"), ToolCall("call_1", "f", '{"a": "é\\n"}')),
            "tool_calls",
        ),
    ),
    usage=Usage(input_tokens=12, output_tokens=7),
)


def opened(dialect: Dialect, body: bytes, request: ChatRequest) -> Envelope:
    """As a door opens it: Gemini's URL holds what other dialects' bodies do."""
    envelope = dialect.open_chat(body)
    in_url = {"model": request.model, "stream": request.stream} if dialect is GEMINI else {}
    return msgspec.structs.replace(envelope, **in_url)


@quick
@given(requests)
def test_a_request_survives_the_way_to_a_provider_and_back(case: tuple[Dialect, ChatRequest]) -> None:
    dialect, request = case

    assert dialect.decode_chat(opened(dialect, dialect.encode_chat(request), request)) == request


@quick
@given(requests)
def test_rewriting_changes_the_model_and_keeps_all_else_byte_for_byte(case: tuple[Dialect, ChatRequest]) -> None:
    dialect, request = case
    body = dialect.encode_chat(request)

    rewritten = dialect.rewrite_chat(opened(dialect, body, request), model="other", max_output_tokens=None)

    changed = {"model": "other"} if dialect is not GEMINI else {}
    assert msgspec.json.decode(rewritten) == msgspec.json.decode(body) | changed
    assert len(rewritten) == len(body) + (len("other") - len(request.model) if changed else 0)


@quick
@given(responses)
def test_an_answer_survives_the_way_to_a_caller_and_back(case: tuple[Dialect, ChatResponse]) -> None:
    dialect, response = case

    body = dialect.encode_response(response)

    read = dialect.decode_response(body)
    usage = read.usage and streams.without_raw(read.usage)
    assert msgspec.structs.replace(read, usage=usage) == response


@quick
@given(responses)
def test_the_books_read_what_the_caller_is_told(case: tuple[Dialect, ChatResponse]) -> None:
    dialect, response = case

    result = dialect.read_result(dialect.encode_response(response))

    assert result.model == response.model
    assert result.finish == response.choices[0].finish
    assert (result.usage and streams.without_raw(result.usage)) == response.usage
    assert result.output_bytes == streams.output_bytes(response)


@quick
@given(responses, st.lists(st.integers(0, 1 << 16), max_size=8), st.integers(1, 9))
def test_a_stream_tells_the_same_as_the_plain_answer_however_it_is_cut(
    case: tuple[Dialect, ChatResponse], cuts: list[int], piece_chars: int
) -> None:
    dialect, response = case
    stream = streams.encoded(dialect, streams.events_of(response, piece_chars=piece_chars))

    told = streams.assembled(streams.decoded(dialect, streams.split(dialect, stream, cuts)))

    assert told == response


@quick
@given(responses)
def test_the_meter_passes_on_every_byte_and_knows_what_to_charge(case: tuple[Dialect, ChatResponse]) -> None:
    dialect, response = case
    stream = streams.encoded(dialect, streams.events_of(response))
    meter = dialect.meter(show_usage=True)

    passed = b"".join(map(meter.see, streams.split(dialect, stream)))

    assert meter.finished
    assert meter.closing
    assert passed + meter.closing == stream
    assert meter.model == response.model
    assert meter.finish == response.choices[-1].finish
    assert meter.output_bytes == streams.output_bytes(response)
    assert (meter.usage and streams.without_raw(meter.usage)) == response.usage


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_a_stream_may_be_cut_at_every_byte(dialect: Dialect) -> None:
    stream = streams.encoded(dialect, streams.events_of(ANSWER))
    whole = streams.split(dialect, stream)

    assert len(whole) > 5
    for cut in range(len(stream)):
        assert streams.split(dialect, stream, [cut]) == whole
    assert streams.split(dialect, stream, range(len(stream))) == whole


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_what_only_keeps_a_stream_open_says_nothing(dialect: Dialect) -> None:
    kept_open = b"\n" if dialect is OLLAMA else b": keep-alive\n\n"
    meter = dialect.meter(show_usage=True)

    assert meter.see(kept_open) == kept_open
    assert dialect.decoder().decode(kept_open) == []
    assert not meter.finished


@pytest.mark.parametrize("dialect", [OPENAI, GEMINI, RESPONSES, OLLAMA], ids=lambda dialect: dialect.name)
def test_log_probabilities_are_told_with_their_part_of_a_stream(dialect: Dialect) -> None:
    def step(token: str) -> dict[str, Any]:
        said = {"token": token, "logprob": -0.5, "bytes": list(token.encode())}
        return said | {"top_logprobs": [said]}

    pieces = [TextDelta(text, logprobs={"content": [step(text)]}) for text in ("Hi", "ö")]
    stream = streams.encoded(dialect, [Started("r", "m"), *pieces, TextDelta("!"), Finished("stop")])

    told = [each for each in streams.decoded(dialect, streams.split(dialect, stream)) if isinstance(each, TextDelta)]

    assert [each.text for each in told] == ["Hi", "ö", "!"]
    steps = [each.logprobs and each.logprobs["content"] for each in told]
    assert steps == [[step("Hi")], [step("ö")], None]


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_a_broken_stream_is_not_finished(dialect: Dialect) -> None:
    events = streams.split(dialect, streams.encoded(dialect, streams.events_of(ANSWER)))
    told = [len(streams.decoded(dialect, events[: at + 1])) for at in range(len(events))]
    finish_at = next(
        at for at, count in enumerate(told) if "Finished" in repr(streams.decoded(dialect, events[: at + 1]))
    )

    for broken_at in range(finish_at):
        meter = dialect.meter(show_usage=True)
        for event in events[: broken_at + 1]:
            meter.see(event)
        assert not meter.finished


@pytest.mark.parametrize("caller", DIALECTS.values(), ids=DIALECTS)
@pytest.mark.parametrize("provider", DIALECTS.values(), ids=DIALECTS)
def test_any_provider_s_answer_reaches_any_caller(provider: Dialect, caller: Dialect) -> None:
    (said,) = ANSWER.choices
    plain = provider.decode_response(provider.encode_response(ANSWER))
    events = streams.decoded(
        provider, streams.split(provider, streams.encoded(provider, streams.events_of(ANSWER, piece_chars=100)))
    )

    told = caller.decode_response(caller.encode_response(plain))
    streamed = streams.assembled(streams.decoded(caller, streams.split(caller, streams.encoded(caller, events))))

    for answer in (told, streamed):
        (choice,) = answer.choices
        call = choice.parts[-1]
        assert choice.parts[:-1] == said.parts[:-1]
        assert isinstance(call, ToolCall)
        assert msgspec.json.decode(call.arguments) == {"a": "é\n"}
        assert choice.finish == "tool_calls"
        assert answer.model == "m"
        assert answer.usage is not None
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (12, 7)
