"""Anthropic's door."""

from __future__ import annotations

from collections import defaultdict

from tests.matrix.doors import HttpDoor, at, joined, parsed
from tests.matrix.wishes import (
    CALL_ID,
    MAX_TOKENS,
    PARAMETERS,
    PICTURE,
    PICTURE_URL,
    RESULT,
    SCHEMA,
    STOP,
    TOOL,
    TOWN,
    Feature,
    Heard,
    Json,
    Wish,
)

_SOURCES = {
    Feature.IMAGE: {"type": "base64", "media_type": "image/png", "data": PICTURE},
    Feature.IMAGE_URL: {"type": "url", "url": PICTURE_URL},
}


def _body(wish: Wish) -> Json:
    body: Json = {"model": wish.model, "messages": _messages(wish), "max_tokens": MAX_TOKENS}
    if wish.has_tool:
        body["tools"] = [{"name": TOOL, "input_schema": PARAMETERS}]
    match wish.feature:
        case Feature.FORCED_TOOL:
            body["tool_choice"] = {"type": "any"}
        case Feature.JSON_SCHEMA:
            body["output_config"] = {"format": {"type": "json_schema", "schema": SCHEMA}}
        case Feature.STOP:
            body["stop_sequences"] = [STOP]
    return body | ({"stream": True} if wish.streams else {})


def _messages(wish: Wish) -> list[Json]:
    question: Json = {"role": "user", "content": wish.text}
    if source := _SOURCES.get(wish.feature):
        question["content"] = [{"type": "text", "text": wish.text}, {"type": "image", "source": source}]
    if wish.feature is not Feature.TOOL_RESULT:
        return [question]
    call = {"type": "tool_use", "id": CALL_ID, "name": TOOL, "input": TOWN}
    result = {"type": "tool_result", "tool_use_id": CALL_ID, "content": RESULT}
    return [question, {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]


def _whole(answer: Json) -> Heard:
    blocks: list[Json] = answer["content"]
    calls = [(block["name"], block["input"]) for block in blocks if block["type"] == "tool_use"]
    assert answer["stop_reason"] in (["tool_use"] if calls else ["end_turn", "max_tokens", "stop_sequence"])
    return Heard(text=joined(block["text"] for block in blocks if block["type"] == "text"), calls=calls)


def _pieces(events: list[Json]) -> Heard:
    text, names = "", dict[int, str]()
    arguments: defaultdict[int, str] = defaultdict(str)
    for event in events:
        if event["type"] == "content_block_start" and event["content_block"]["type"] == "tool_use":
            names[event["index"]] = event["content_block"]["name"]
        elif event["type"] == "content_block_delta":
            text += event["delta"].get("text", "")
            arguments[event["index"]] += event["delta"].get("partial_json", "")
    return Heard(text=text, calls=parsed((name, arguments[index]) for index, name in names.items()))


def _problem(body: Json) -> tuple[str, str]:
    assert body["type"] == "error"
    assert set(body["error"]) == {"type", "message"}
    assert body["request_id"]
    return body["error"]["type"], body["error"]["message"]


MESSAGES = HttpDoor(
    name="anthropic messages",
    path=at("/v1/messages"),
    body=_body,
    whole=_whole,
    pieces=_pieces,
    problem=_problem,
    ends=lambda text: "event: message_stop" in text,
    codes={
        "UNSUPPORTED_FIELD": "invalid_request_error",
        "PROVIDER_REJECTED": "invalid_request_error",
        "PROVIDER_ERROR": "api_error",
        "MODEL_NOT_FOUND": "not_found_error",
    },
)
