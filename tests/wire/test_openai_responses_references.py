"""Items that are named in place of being sent."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from wire import openai_responses
from wire.errors import ApiError, Code
from wire.neutral import (
    ChatResponse,
    Choice,
    Finished,
    Message,
    Started,
    StreamEvent,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCall,
    ToolResult,
)

QUESTION: dict[str, Any] = {"role": "user", "content": "Is it warm?"}
RESULT = {"type": "function_call_output", "call_id": "c", "output": "21 degrees"}
SAID: dict[str, Any] = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant"}
SAID |= {"content": [{"type": "output_text", "text": "Hm.", "annotations": [], "logprobs": []}]}
CALLED: dict[str, Any] = {
    "id": "fc_1",
    "type": "function_call",
    "status": "completed",
    "call_id": "c",
    "name": "f",
    "arguments": "{}",
}
THOUGHT: dict[str, Any] = {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Look."}]}
SEALED: dict[str, Any] = {"id": "rs_2", "type": "reasoning", "summary": [], "encrypted_content": "gAAAA"}
KEPT = {item["id"]: msgspec.json.encode(item) for item in (SAID, CALLED, THOUGHT, SEALED)}


def opened(*items: Any, **fields: Any) -> Any:
    return openai_responses.open_chat(msgspec.json.encode({"model": "m", "input": list(items)} | fields))


def named(*ids: str) -> list[dict[str, str]]:
    return [{"type": "item_reference", "id": each} for each in ids]


def put_in(*items: Any) -> Any:
    envelope = opened(*items)
    return openai_responses.resolved(envelope, openai_responses.references(envelope), KEPT)


def without_id(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != "id"}


def test_references_are_seen_however_they_are_written() -> None:
    raw = msgspec.json.encode({"model": "m", "input": [QUESTION, *named("msg_1"), {"id": "fc_1"}, RESULT]})
    escaped = raw.replace(b"item_", b"item\\u005f")

    for each in (raw, escaped):
        assert openai_responses.references(openai_responses.open_chat(each)) == {1: "msg_1", 2: "fc_1"}


def test_a_body_without_references_names_nothing() -> None:
    spoken = {**QUESTION, "id": "msg_9"}  # whose type is left out

    assert openai_responses.references(opened(spoken, SAID, CALLED, RESULT)) == {}
    text = openai_responses.open_chat(b'{"input": "an item_reference"}')
    assert openai_responses.references(text) == {}


@pytest.mark.parametrize("bad", [{"type": "item_reference"}, {"type": "item_reference", "id": ""}, {"id": 7}])
def test_a_reference_must_name_something(bad: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as caught:
        openai_responses.references(opened(QUESTION, bad))

    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, "input[1].id")


def test_what_is_not_kept_is_refused_with_advice() -> None:
    with pytest.raises(ApiError, match=r"send the item itself.*store: false") as caught:
        put_in(QUESTION, *named("msg_1", "msg_gone"))

    assert (caught.value.code, caught.value.param, caught.value.status) == (Code.INVALID_REQUEST, "input[2]", 400)


def test_an_openai_is_sent_the_items_and_no_id_that_it_would_look_up() -> None:
    envelope = put_in(QUESTION, *named("rs_1", "rs_2", "msg_1", "fc_1"), RESULT)

    sent = msgspec.json.decode(openai_responses.rewrite_chat(envelope, model="gpt", max_output_tokens=None))

    assert sent["input"] == [QUESTION, without_id(SEALED), without_id(SAID), without_id(CALLED), RESULT]


def test_another_provider_is_told_what_was_said_thought_and_called() -> None:
    request = openai_responses.decode_chat(put_in(QUESTION, *named("rs_1", "rs_2", "msg_1", "fc_1"), RESULT))

    assert request.messages == (
        Message("user", (Text("Is it warm?"),)),
        Message("assistant", (Thinking("Look."), Text("Hm."), ToolCall("c", "f", "{}"))),
        Message("user", (ToolResult("c", (Text("21 degrees"),)),)),
    )


def test_the_books_count_what_was_put_in() -> None:
    sent_whole = opened(QUESTION, without_id(SAID), RESULT)

    assert put_in(QUESTION, *named("msg_1"), RESULT).input_bytes == sent_whole.input_bytes


@pytest.mark.parametrize(("store", "wanted"), [(None, True), (True, True), (False, False)])
def test_openai_stores_unless_it_is_told_not_to(*, store: bool | None, wanted: bool) -> None:
    assert openai_responses.wants_storing(opened(QUESTION, store=store)) is wanted
    assert openai_responses.wants_storing(opened(QUESTION))


def test_to_store_is_yes_or_no() -> None:
    with pytest.raises(ApiError) as caught:
        openai_responses.wants_storing(opened(QUESTION, store="perhaps"))

    assert caught.value.param == "store"


# --- what an answer gives to be kept ---


def test_the_items_of_an_answer() -> None:
    nameless = without_id(SAID)
    answer = msgspec.json.encode({"id": "r", "output": [SAID, nameless, CALLED]})

    assert openai_responses.items_of(answer) == {"msg_1": KEPT["msg_1"], "fc_1": KEPT["fc_1"]}


@pytest.mark.parametrize("strange", [b"", b"[]", b'{"output": null}', b'{"output": [7]}', b"\xff"])
def test_a_strange_answer_gives_nothing(strange: bytes) -> None:
    assert openai_responses.items_of(strange) == {}


@pytest.mark.parametrize("kind", ["completed", "incomplete"])
@pytest.mark.parametrize("line", ["\n", "\r\n"])
def test_the_items_of_a_stream_are_in_its_last_event(kind: str, line: str) -> None:
    end = msgspec.json.encode({"type": f"response.{kind}", "response": {"id": "r", "output": [SAID]}}).decode()
    frame = f"event: x{line}data: {{}}{line}{line}data: {end}{line}{line}".encode()

    assert openai_responses.items_of_end(frame) == {"msg_1": KEPT["msg_1"]}


@pytest.mark.parametrize(
    "data",
    [
        b'{"type": "response.output_text.delta", "delta": "response.completed"}',
        b'{"type": "response.failed", "response": {"output": [{"id": "response.completed"}]}}',
        b"response.completed",
    ],
)
def test_what_only_speaks_of_an_end_is_none(data: bytes) -> None:
    assert openai_responses.items_of_end(b"data: " + data + b"\n\n") == {}


def test_what_is_told_whole_and_what_streams_are_named_alike() -> None:
    told = (Thinking("Look."), Text("Hm."))
    plain = openai_responses.encode_response(ChatResponse("a", "m", (Choice(0, told, "stop"),), None, 1_790_000_000))
    encoder = openai_responses.encoder(show_usage=True)
    events: list[StreamEvent] = [
        Started("a", "m", 1_790_000_000),
        ThinkingDelta("Look."),
        TextDelta("Hm."),
        Finished("stop"),
    ]
    streamed = b"".join(map(encoder.encode, events)) + encoder.close()

    kept = openai_responses.items_of_end(streamed)
    assert list(kept) == list(openai_responses.items_of(plain))
    assert [name.partition("_")[0] for name in kept] == ["rs", "msg"]


def test_answers_of_a_host_that_gives_no_ids_or_always_one_have_items_of_their_own() -> None:
    def names(id_: str, created: int) -> set[str]:
        choice = Choice(0, (Text("Hm."),), "stop")
        return set(
            openai_responses.items_of(
                openai_responses.encode_response(ChatResponse(id_, "m", (choice,), None, created))
            )
        )

    assert not names("", 7) & names("", 7)
    assert not names("chatcmpl-A1", 7) & names("chatcmpl-A1", 8)
    assert names("chatcmpl-A1", 7) == names("chatcmpl-A1", 7)  # the same answer, told again
