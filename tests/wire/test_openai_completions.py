from __future__ import annotations

from typing import Any

import msgspec
import pytest
from openai.types import Completion

from tests.wire import streams
from wire import openai_completions
from wire.errors import ApiError, Code
from wire.neutral import (
    ChatResponse,
    Choice,
    Finished,
    Message,
    Metered,
    Settled,
    Started,
    StreamEvent,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    Usage,
)
from wire.openai_chat.stream_out import DONE
from wire.sse import EventSplitter, data_of

BEGUN: list[StreamEvent] = [Started("c-1", "m-1", 5), ThinkingDelta("Hm"), TextDelta("A"), TextDelta("B", 1)]
ENDED: list[StreamEvent] = [Finished("stop"), Finished("length", 1)]


def told(events: list[StreamEvent], *, show_usage: bool = True) -> list[Completion]:
    """What a caller's SDK makes of it, which checks nothing; the stream's end must be there."""
    encoder = openai_completions.encoder(show_usage=show_usage)
    stream = b"".join([*map(encoder.encode, events), encoder.close()])
    *chunks, last = EventSplitter(max_event_bytes=streams.MAX_EVENT_BYTES).feed(stream)
    assert last == DONE
    return [Completion.construct(**msgspec.json.decode(data_of(chunk))) for chunk in chunks]


def test_a_stream_tells_the_text_and_the_end_of_each_choice() -> None:
    chunks = told([*BEGUN, *ENDED])

    assert [(each.index, each.text, each.finish_reason) for chunk in chunks for each in chunk.choices] == [
        (0, "A", None),
        (1, "B", None),
        (0, "", "stop"),
        (1, "", "length"),
    ]
    assert {(each.id, each.object, each.created, each.model) for each in chunks} == {
        ("c-1", "text_completion", 5, "m-1")
    }


def test_of_usage_that_is_told_as_it_grows_the_last_counts() -> None:
    """As xAI and Gemini's endpoint for OpenAI's clients tell it, with every chunk."""
    growing: list[StreamEvent] = [Metered(Usage(input_tokens=7, output_tokens=n)) for n in (1, 2, 30)]
    settled = Settled("req-1", "m", "p", None, 1.0, "stop", Usage(input_tokens=99))

    *_, last = told([*BEGUN, *growing, *ENDED, settled])

    assert last.choices == []
    assert last.usage is not None
    assert (last.usage.prompt_tokens, last.usage.completion_tokens, last.usage.total_tokens) == (7, 30, 37)


def test_usage_that_only_the_gateway_knows_is_told_at_the_end_to_who_asked() -> None:
    settled = Settled("req-1", "m", "p", None, 1.0, "stop", Usage(input_tokens=7, output_tokens=3))

    usage = told([*BEGUN, *ENDED, settled])[-1].usage

    assert usage is not None
    assert usage.total_tokens == 10
    assert all(chunk.choices for chunk in told([*BEGUN, *ENDED, settled], show_usage=False))


def test_a_plain_answer_is_text_without_thinking() -> None:
    choices = (Choice(0, (Thinking("Hm"), Text("A"), Text("B")), "length"), Choice(1, (Text("C"),), "stop"))
    usage = Usage(input_tokens=7, output_tokens=3)

    body = openai_completions.encode_response(ChatResponse("c-1", "m-1", choices, usage, 5))

    read = Completion.model_validate_json(body, strict=True)
    assert [(each.index, each.text, each.finish_reason) for each in read.choices] == [
        (0, "AB", "length"),
        (1, "C", "stop"),
    ]
    assert (read.id, read.model, read.created) == ("c-1", "m-1", 5)
    assert read.usage is not None
    assert (read.usage.prompt_tokens, read.usage.completion_tokens, read.usage.total_tokens) == (7, 3, 10)
    assert "usage" not in msgspec.json.decode(
        openai_completions.encode_response(ChatResponse("c-1", "m-1", choices, None, 5))
    )


def test_a_prompt_is_a_message_and_its_settings_go_along() -> None:
    fields: dict[str, Any] = {
        "model": "m", "prompt": "Once", "max_tokens": 9, "n": 2, "temperature": 0.5, "top_p": 0.25, "seed": 7,
        "frequency_penalty": 0.75, "presence_penalty": -1, "stop": "END", "user": "u-1", "stream": True,
        "stream_options": {"include_usage": True}, "echo": False, "best_of": 1,
    }  # fmt: skip

    envelope = openai_completions.open_chat(msgspec.json.encode(fields))
    request = openai_completions.decode_chat(envelope)

    assert [part for message in request.messages for part in message.parts] == [Text("Once")]
    assert [message.role for message in request.messages] == ["user"]
    assert (request.model, request.max_output_tokens, request.choices, request.seed) == ("m", 9, 2, 7)
    assert (request.temperature, request.top_p) == (0.5, 0.25)
    assert (request.frequency_penalty, request.presence_penalty) == (0.75, -1)
    assert (request.stop, request.end_user, request.stream, request.show_usage) == (("END",), "u-1", True, True)
    assert envelope.input_bytes == len('"Once"')
    assert envelope.temperature == 0.5


@pytest.mark.parametrize(
    ("fields", "is_streamed", "shows_usage", "stop"),
    [
        ({"prompt": ["Once"]}, False, True, ()),
        ({"stop": ["A", "B"], "stream_options": {"include_usage": False}}, False, True, ("A", "B")),
        ({"stream": True}, True, False, ()),
        ({"stream": True, "stream_options": {}, "n": None, "stop": None}, True, False, ()),
    ],
)
def test_what_is_not_said_is_as_openai_has_it(
    fields: dict[str, Any], *, is_streamed: bool, shows_usage: bool, stop: tuple[str, ...]
) -> None:
    envelope = openai_completions.open_chat(msgspec.json.encode({"prompt": "Once"} | fields))
    request = openai_completions.decode_chat(envelope)

    assert request.messages == (Message("user", (Text("Once"),)),)
    assert (request.model, request.choices, request.max_output_tokens) == ("", 1, None)
    assert (request.stream, request.show_usage, request.stop) == (is_streamed, shows_usage, stop)


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({}, Code.INVALID_REQUEST, "prompt"),
        ({"prompt": {"a": 1}}, Code.INVALID_REQUEST, "prompt"),
        ({"prompt": None}, Code.UNSUPPORTED_FIELD, "prompt"),
        ({"prompt": []}, Code.UNSUPPORTED_FIELD, "prompt"),
        ({"prompt": ["a", "b"]}, Code.UNSUPPORTED_FIELD, "prompt"),
        ({"prompt": [5]}, Code.UNSUPPORTED_FIELD, "prompt"),
        ({"prompt": [[5, 6]]}, Code.UNSUPPORTED_FIELD, "prompt"),
        ({"prompt": "a", "n": 129}, Code.INVALID_REQUEST, "n"),
        ({"prompt": "a", "n": 0}, Code.INVALID_REQUEST, "n"),
        ({"prompt": "a", "suffix": "b"}, Code.UNSUPPORTED_FIELD, "suffix"),
        ({"prompt": "a", "echo": True}, Code.UNSUPPORTED_FIELD, "echo"),
        ({"prompt": "a", "best_of": 2}, Code.UNSUPPORTED_FIELD, "best_of"),
        ({"prompt": "a", "logprobs": 3}, Code.UNSUPPORTED_FIELD, "logprobs"),
    ],
)
def test_what_a_chat_cannot_say_is_refused_by_name(fields: dict[str, Any], code: Code, param: str) -> None:
    with pytest.raises(ApiError) as caught:
        openai_completions.decode_chat(openai_completions.open_chat(msgspec.json.encode(fields)))

    assert (caught.value.code, caught.value.param) == (code, param)
