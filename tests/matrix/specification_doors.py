"""The doors of specifications A to E over HTTP."""

from __future__ import annotations

from tests.matrix.doors import TEXTS_ALONE, HttpDoor, at, joined, plain_problem
from tests.matrix.wishes import MAX_TOKENS, STOP, Feature, Heard, Json, Wish

_NO_STOP = {Feature.STOP: "the specification has none"}
_NO_STREAM = {Feature.STREAM: "the specification has none"}


def _messages(wish: Wish) -> list[Json]:
    return [{"role": "user", "content": wish.text}]


def _c_body(wish: Wish) -> Json:
    body: Json = {"model_id": wish.model, "prompt": wish.text, "max_tokens": MAX_TOKENS, "stream": wish.streams}
    return body | ({"stop": [STOP]} if wish.feature is Feature.STOP else {})


A = HttpDoor(
    name="spec A",
    path=at("/generate"),
    body=lambda wish: {"model": wish.model, "prompt": wish.text, "max_tokens": MAX_TOKENS},
    whole=lambda answer: Heard(text=answer["text"]),
    problem=plain_problem,
    lacks=TEXTS_ALONE | _NO_STREAM | _NO_STOP,
)
B = HttpDoor(
    name="spec B",
    path=at("/api/v1/completion"),
    body=lambda wish: {
        "model": wish.model,
        "messages": _messages(wish),
        "max_tokens": MAX_TOKENS,
        "stream": wish.streams,
    },
    whole=lambda answer: Heard(text=answer["content"]),
    pieces=lambda events: Heard(text=joined(event.get("content") for event in events)),
    problem=plain_problem,
    ends=lambda text: '"cost_estimate"' in text,
    lacks=TEXTS_ALONE | _NO_STOP,
)
C = HttpDoor(
    name="spec C",
    path=at("/v1/complete"),
    body=_c_body,
    whole=lambda answer: Heard(text=answer["content"]),
    pieces=lambda events: Heard(text=joined(event.get("delta") for event in events)),
    problem=plain_problem,
    ends=lambda text: '"final"' in text,
    lacks=TEXTS_ALONE,
)
D = HttpDoor(
    name="spec D",
    path=at("/api/ai-providers/complete"),
    body=lambda wish: {
        "model": wish.model,
        "prompt": wish.text,
        "maxTokens": MAX_TOKENS,
        "stream": wish.streams,
    },
    whole=lambda answer: Heard(text=answer["content"]),
    pieces=lambda events: Heard(text=joined(event.get("content") for event in events)),
    problem=plain_problem,
    ends=lambda text: '"finishReason"' in text,
    lacks=TEXTS_ALONE | _NO_STOP,
)
E = HttpDoor(
    name="spec E",
    path=at("/v1/llm/generate"),
    body=lambda wish: {"model": wish.model, "messages": _messages(wish), "max_tokens": MAX_TOKENS},
    whole=lambda answer: Heard(text=answer["response"]),
    problem=plain_problem,
    lacks=TEXTS_ALONE | _NO_STREAM | _NO_STOP,
)
