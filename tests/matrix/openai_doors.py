"""OpenAI's doors: chat, the older completions, Responses."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from tests.matrix.doors import TEXTS_ALONE, HttpDoor, at, joined, parsed
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

_DATA_URL = f"data:image/png;base64,{PICTURE}"


def problem(body: Json) -> tuple[str, str]:
    error = body["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error["code"], error["message"]


def _is_done(text: str) -> bool:
    return text.endswith("data: [DONE]\n\n")


def _picture(wish: Wish) -> str | None:
    return {Feature.IMAGE: _DATA_URL, Feature.IMAGE_URL: PICTURE_URL}.get(wish.feature)


def _chat_body(wish: Wish) -> Json:
    body: Json = {"model": wish.model, "messages": _messages(wish), "max_tokens": MAX_TOKENS}
    if wish.has_tool:
        body["tools"] = [{"type": "function", "function": {"name": TOOL, "parameters": PARAMETERS}}]
    match wish.feature:
        case Feature.FORCED_TOOL:
            body["tool_choice"] = "required"
        case Feature.JSON_SCHEMA:
            wanted = {"name": "fruit", "strict": True, "schema": SCHEMA}
            body["response_format"] = {"type": "json_schema", "json_schema": wanted}
        case Feature.STOP:
            body["stop"] = [STOP]
    return body | ({"stream": True} if wish.streams else {})


def _messages(wish: Wish) -> list[Json]:
    question: Json = {"role": "user", "content": wish.text}
    if picture := _picture(wish):
        shown = {"type": "image_url", "image_url": {"url": picture}}
        question["content"] = [{"type": "text", "text": wish.text}, shown]
    if wish.feature is not Feature.TOOL_RESULT:
        return [question]
    function = {"name": TOOL, "arguments": json.dumps(TOWN)}
    call = {"role": "assistant", "tool_calls": [{"id": CALL_ID, "type": "function", "function": function}]}
    return [question, call, {"role": "tool", "tool_call_id": CALL_ID, "content": RESULT}]


def _chat_whole(answer: Json) -> Heard:
    message = answer["choices"][0]["message"]
    functions = [call["function"] for call in message.get("tool_calls") or ()]
    calls = parsed((function["name"], function["arguments"]) for function in functions)
    assert answer["choices"][0]["finish_reason"] in (["tool_calls"] if calls else ["stop", "length"])
    return Heard(text=message["content"] or "", calls=calls)


def _chat_pieces(events: list[Json]) -> Heard:
    deltas = [choice["delta"] for event in events for choice in event["choices"]]
    names: dict[int, str] = {}
    arguments: defaultdict[int, str] = defaultdict(str)
    for call in (call for delta in deltas for call in delta.get("tool_calls") or ()):
        names.setdefault(call["index"], call["function"].get("name"))
        arguments[call["index"]] += call["function"].get("arguments") or ""
    return Heard(
        text=joined(delta.get("content") for delta in deltas),
        calls=parsed((name, arguments[index]) for index, name in names.items()),
    )


CHAT = HttpDoor(
    name="openai chat",
    path=at("/v1/chat/completions"),
    body=_chat_body,
    whole=_chat_whole,
    pieces=_chat_pieces,
    problem=problem,
    ends=_is_done,
)


def _completions_body(wish: Wish) -> Json:
    body: Json = {"model": wish.model, "prompt": wish.text, "max_tokens": MAX_TOKENS, "stream": wish.streams}
    return body | ({"stop": [STOP]} if wish.feature is Feature.STOP else {})


COMPLETIONS = HttpDoor(
    name="openai completions",
    path=at("/v1/completions"),
    body=_completions_body,
    whole=lambda answer: Heard(text=answer["choices"][0]["text"]),
    pieces=lambda events: Heard(text=joined(choice["text"] for event in events for choice in event["choices"])),
    problem=problem,
    ends=_is_done,
    lacks=TEXTS_ALONE,
)


def _responses_body(wish: Wish) -> Json:
    body: Json = {"model": wish.model, "input": _items(wish), "max_output_tokens": MAX_TOKENS}
    if wish.has_tool:
        body["tools"] = [{"type": "function", "name": TOOL, "parameters": PARAMETERS, "strict": False}]
    match wish.feature:
        case Feature.FORCED_TOOL:
            body["tool_choice"] = "required"
        case Feature.JSON_SCHEMA:
            body["text"] = {"format": {"type": "json_schema", "name": "fruit", "strict": True, "schema": SCHEMA}}
    return body | ({"stream": True} if wish.streams else {})


def _items(wish: Wish) -> str | list[Json]:
    if picture := _picture(wish):
        shown = {"type": "input_image", "image_url": picture, "detail": "auto"}
        return [{"role": "user", "content": [{"type": "input_text", "text": wish.text}, shown]}]
    if wish.feature is not Feature.TOOL_RESULT:
        return wish.text
    call = {"type": "function_call", "call_id": CALL_ID, "name": TOOL, "arguments": json.dumps(TOWN)}
    result = {"type": "function_call_output", "call_id": CALL_ID, "output": RESULT}
    return [{"role": "user", "content": wish.text}, call, result]


def _responses_whole(answer: Json) -> Heard:
    items: list[Json] = answer["output"]
    texts = [part["text"] for item in items if item["type"] == "message" for part in item["content"]]
    calls = parsed((item["name"], item["arguments"]) for item in items if item["type"] == "function_call")
    return Heard(text=joined(texts), calls=calls)


def _responses_pieces(events: list[Json]) -> Heard:
    """The pieces, which must come to what the last event says as a whole."""
    text = joined(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    whole = _responses_whole(_last(events)["response"])
    assert text == whole.text
    spelled = joined(event["delta"] for event in events if event["type"] == "response.function_call_arguments.delta")
    assert not whole.calls or json.loads(spelled) == whole.calls[0][1]
    return whole


def _last(events: list[Json]) -> Any:
    return next(event for event in events if event["type"] in ("response.completed", "response.incomplete"))


def _stream_problem(body: Json) -> tuple[str, str]:
    if body.get("type") == "error":
        assert (body["code"], body["message"]) == (body["error"]["code"], body["error"]["message"])
    return problem(body)


RESPONSES = HttpDoor(
    name="openai responses",
    path=at("/v1/responses"),
    body=_responses_body,
    whole=_responses_whole,
    pieces=_responses_pieces,
    problem=_stream_problem,
    ends=lambda text: "event: response.completed" in text or "event: response.incomplete" in text,
    lacks={Feature.STOP: "its API has none"},
)
