"""Gemini's door, whose streams come in two ways."""

from __future__ import annotations

import json

from tests.matrix.doors import HttpDoor, joined, sse
from tests.matrix.wishes import (
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

_PICTURES: dict[Feature, Json] = {
    Feature.IMAGE: {"inlineData": {"mimeType": "image/png", "data": PICTURE}},
    Feature.IMAGE_URL: {"fileData": {"mimeType": "image/png", "fileUri": PICTURE_URL}},
}


def _body(wish: Wish) -> Json:
    config: Json = {"maxOutputTokens": MAX_TOKENS}
    body: Json = {"contents": _contents(wish), "generationConfig": config}
    if wish.has_tool:
        declared = {"name": TOOL, "parametersJsonSchema": PARAMETERS}
        body["tools"] = [{"functionDeclarations": [declared]}]
    match wish.feature:
        case Feature.FORCED_TOOL:
            body["toolConfig"] = {"functionCallingConfig": {"mode": "ANY"}}
        case Feature.JSON_SCHEMA:
            config |= {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}
        case Feature.STOP:
            config["stopSequences"] = [STOP]
    return body


def _contents(wish: Wish) -> list[Json]:
    parts: list[Json] = [{"text": wish.text}]
    if picture := _PICTURES.get(wish.feature):
        parts.append(picture)
    question: Json = {"role": "user", "parts": parts}
    if wish.feature is not Feature.TOOL_RESULT:
        return [question]
    call = {"functionCall": {"name": TOOL, "args": TOWN}}
    result = {"functionResponse": {"name": TOOL, "response": {"output": RESULT}}}
    return [question, {"role": "model", "parts": [call]}, {"role": "user", "parts": [result]}]


def _pieces(answers: list[Json]) -> Heard:
    candidates = [candidate for answer in answers for candidate in answer.get("candidates", ())]
    parts = [part for candidate in candidates for part in candidate.get("content", {}).get("parts", ())]
    calls = [(part["functionCall"]["name"], part["functionCall"]["args"]) for part in parts if "functionCall" in part]
    assert candidates[-1]["finishReason"] in ("STOP", "MAX_TOKENS")
    return Heard(text=joined(part.get("text") for part in parts), calls=calls)


def problem(body: Json) -> tuple[str, str]:
    error = body["error"]
    (info,) = error["details"]
    assert set(error) == {"code", "message", "status", "details"}
    return info["reason"], error["message"]


def _array(text: str) -> list[Json]:
    """Whole, even of a stream that broke."""
    events: list[Json] = json.loads(text)
    return events


def _path(verb: str) -> str:
    return f"/v1beta/models/{{model}}:{verb}"


def _door(name: str, streams_at: str) -> HttpDoor:
    is_sse = streams_at.endswith("sse")
    return HttpDoor(
        name=name,
        path=lambda wish: _path(streams_at if wish.streams else "generateContent").format(model=wish.model),
        body=_body,
        whole=lambda answer: _pieces([answer]),
        pieces=_pieces,
        problem=problem,
        frames=sse if is_sse else _array,
        ends=lambda text: '"finishReason"' in text,
    )


GENERATE = _door("gemini generate", "streamGenerateContent?alt=sse")
ARRAY = _door("gemini generate (array)", "streamGenerateContent")
