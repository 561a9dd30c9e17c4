"""Ollama's doors: chat, and the older generate."""

from __future__ import annotations

from tests.matrix.doors import HttpDoor, at, joined, lines
from tests.matrix.wishes import (
    MAX_TOKENS,
    PARAMETERS,
    PICTURE,
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

_NO_TOOLS = "generate has no tools"


def _options(wish: Wish) -> Json:
    options: Json = {"num_predict": MAX_TOKENS}
    return options | ({"stop": [STOP]} if wish.feature is Feature.STOP else {})


def _settings(wish: Wish) -> Json:
    body: Json = {"model": wish.model, "stream": wish.streams, "options": _options(wish)}
    return body | ({"format": SCHEMA} if wish.feature is Feature.JSON_SCHEMA else {})


def _chat_body(wish: Wish) -> Json:
    body = {**_settings(wish), "messages": _messages(wish)}
    if wish.has_tool:
        body["tools"] = [{"type": "function", "function": {"name": TOOL, "parameters": PARAMETERS}}]
    return body


def _messages(wish: Wish) -> list[Json]:
    question: Json = {"role": "user", "content": wish.text}
    if wish.feature is Feature.IMAGE:
        question["images"] = [PICTURE]
    if wish.feature is not Feature.TOOL_RESULT:
        return [question]
    call = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": TOOL, "arguments": TOWN}}]}
    return [question, call, {"role": "tool", "tool_name": TOOL, "content": RESULT}]


def _chat_pieces(answers: list[Json]) -> Heard:
    messages = [answer["message"] for answer in answers if "message" in answer]
    functions = [call["function"] for message in messages for call in message.get("tool_calls", ())]
    return Heard(
        text=joined(message["content"] for message in messages),
        calls=[(function["name"], function["arguments"]) for function in functions],
    )


def _generate_body(wish: Wish) -> Json:
    body = {**_settings(wish), "prompt": wish.text}
    return body | ({"images": [PICTURE]} if wish.feature is Feature.IMAGE else {})


def problem(body: Json) -> tuple[str, str]:
    assert set(body) == {"error", "code"}
    return body["code"], body["error"]


def _is_done(text: str) -> bool:
    return bool(lines(text)[-1].get("done"))


CHAT = HttpDoor(
    name="ollama chat",
    path=at("/api/chat"),
    body=_chat_body,
    whole=lambda answer: _chat_pieces([answer]),
    pieces=_chat_pieces,
    problem=problem,
    frames=lines,
    ends=_is_done,
    lacks={
        Feature.FORCED_TOOL: "its API has no tool choice",
        Feature.IMAGE_URL: "its API takes pictures as bytes",
    },
)
GENERATE = HttpDoor(
    name="ollama generate",
    path=at("/api/generate"),
    body=_generate_body,
    whole=lambda answer: Heard(text=answer["response"]),
    pieces=lambda answers: Heard(text=joined(answer["response"] for answer in answers)),
    problem=problem,
    frames=lines,
    ends=_is_done,
    lacks={
        **dict.fromkeys((Feature.TOOL_CALL, Feature.FORCED_TOOL, Feature.TOOL_RESULT), _NO_TOOLS),
        Feature.IMAGE_URL: "its API takes pictures as bytes",
    },
)
