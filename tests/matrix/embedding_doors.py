"""The doors for embeddings."""

from __future__ import annotations

from tests.matrix import gemini_doors, ollama_doors, openai_doors
from tests.matrix.doors import Door, HttpDoor, at, plain_problem
from tests.matrix.wishes import Feature, Heard, Json, Wish

DIMENSIONS = 3  # as many as the scripted provider's vectors have


def _openai_body(wish: Wish) -> Json:
    body: Json = {"model": wish.model, "input": wish.texts}
    return body | ({"dimensions": DIMENSIONS} if wish.feature is Feature.DIMENSIONS else {})


def _gemini_request(wish: Wish, text: str) -> Json:
    request: Json = {"content": {"parts": [{"text": text}]}}
    return request | ({"outputDimensionality": DIMENSIONS} if wish.feature is Feature.DIMENSIONS else {})


def _gemini_batch(wish: Wish) -> Json:
    return {"requests": [{"model": f"models/{wish.model}", **_gemini_request(wish, text)} for text in wish.texts]}


OPENAI = HttpDoor(
    name="openai embeddings",
    path=at("/v1/embeddings"),
    body=_openai_body,
    whole=lambda answer: Heard(vectors=[each["embedding"] for each in answer["data"]]),
    problem=openai_doors.problem,
)
GEMINI = HttpDoor(
    name="gemini embed",
    path=lambda wish: f"/v1beta/models/{wish.model}:embedContent",
    body=lambda wish: _gemini_request(wish, wish.text),
    whole=lambda answer: Heard(vectors=[answer["embedding"]["values"]]),
    problem=gemini_doors.problem,
    lacks={Feature.MANY: "of a single text"},
)
GEMINI_BATCH = HttpDoor(
    name="gemini batch embed",
    path=lambda wish: f"/v1beta/models/{wish.model}:batchEmbedContents",
    body=_gemini_batch,
    whole=lambda answer: Heard(vectors=[each["values"] for each in answer["embeddings"]]),
    problem=gemini_doors.problem,
)
OLLAMA = HttpDoor(
    name="ollama embed",
    path=at("/api/embed"),
    body=_openai_body,
    whole=lambda answer: Heard(vectors=answer["embeddings"]),
    problem=ollama_doors.problem,
)
E = HttpDoor(
    name="spec E embeddings",
    path=at("/v1/llm/generate-embeddings"),
    body=lambda wish: {"model": wish.model, "texts": wish.texts},
    whole=lambda answer: Heard(vectors=answer["embeddings"]),
    problem=plain_problem,
    lacks={Feature.DIMENSIONS: "the specification has none"},
)
DOORS: list[Door] = [OPENAI, GEMINI, GEMINI_BATCH, OLLAMA, E]
