"""Gemini's doors, under /v1beta and /v1. Field names may also be written with underscores, as Google allows."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from aiplatform.documented.openai_shapes import GeminiModel, GeminiModelList
from aiplatform.documented.operation import EVENTS, MODEL, Operation, Parameter

Objects = list[dict[str, Any]]
Contents = Annotated[Objects, Meta(min_length=1)]


class GeminiErrorFacts(msgspec.Struct):
    code: int
    message: str
    status: str
    details: Objects | UnsetType = UNSET


class GeminiError(msgspec.Struct):
    error: GeminiErrorFacts


class GenerateContentBody(msgspec.Struct, rename="camel"):
    """`contents`: `[{"role": "user", "parts": [{"text": "Hello"}]}]`."""

    contents: Contents
    system_instruction: dict[str, Any] | None = None
    generation_config: dict[str, Any] | None = None
    tools: Objects | None = None
    tool_config: dict[str, Any] | None = None
    safety_settings: Objects | None = None


class GeneratedContent(msgspec.Struct, rename="camel"):
    candidates: Objects
    model_version: str | UnsetType = UNSET
    response_id: str | UnsetType = UNSET
    usage_metadata: dict[str, Any] | UnsetType = UNSET


class GeminiCountBody(msgspec.Struct, rename="camel"):
    """`contents`, or a whole `generateContentRequest`."""

    contents: Contents | UnsetType = UNSET
    generate_content_request: GenerateContentBody | UnsetType = UNSET


class GeminiCounted(msgspec.Struct, rename="camel"):
    """An estimate by size: no provider is asked."""

    total_tokens: Annotated[int, Meta(ge=0)]


class EmbedContentBody(msgspec.Struct, rename="camel"):
    content: dict[str, Any]
    model: str | UnsetType = UNSET
    task_type: str | UnsetType = UNSET
    title: str | UnsetType = UNSET
    output_dimensionality: Annotated[int, Meta(ge=1)] | UnsetType = UNSET


class BatchEmbedContentsBody(msgspec.Struct):
    requests: Annotated[list[EmbedContentBody], Meta(min_length=1)]


class GeminiVector(msgspec.Struct):
    values: list[float]


class EmbeddedContent(msgspec.Struct):
    embedding: GeminiVector


class EmbeddedContents(msgspec.Struct):
    embeddings: list[GeminiVector]


_TAG = "Gemini"
_ALT = Parameter(name="alt", description="`sse`: server-sent events in place of a JSON array.")
_EMBEDDER = msgspec.structs.replace(MODEL, example="demo-embedding")
_SAID = {"parts": [{"text": "Hello"}]}
_HELLO = {"contents": [{"role": "user", **_SAID}]}


def _operations(start: str) -> tuple[Operation, ...]:
    at = f"{start}/models/{{model}}"
    return (
        Operation(
            method="POST",
            path=f"{at}:generateContent",
            tag=_TAG,
            summary="Answer a conversation",
            body=GenerateContentBody,
            answer=GeneratedContent,
            error=GeminiError,
            parameters=(MODEL,),
            example=_HELLO,
        ),
        Operation(
            method="POST",
            path=f"{at}:streamGenerateContent",
            tag=_TAG,
            summary="Answer a conversation as a stream: a JSON array, or events",
            body=GenerateContentBody,
            answer=list[GeneratedContent],
            error=GeminiError,
            streams=EVENTS,
            parameters=(MODEL, _ALT),
            example=_HELLO,
        ),
        Operation(
            method="POST",
            path=f"{at}:countTokens",
            tag=_TAG,
            summary="Estimate how many tokens a conversation has",
            body=GeminiCountBody,
            answer=GeminiCounted,
            error=GeminiError,
            parameters=(MODEL,),
            example=_HELLO,
        ),
        Operation(
            method="POST",
            path=f"{at}:embedContent",
            tag=_TAG,
            summary="Turn a text into a vector",
            body=EmbedContentBody,
            answer=EmbeddedContent,
            error=GeminiError,
            parameters=(_EMBEDDER,),
            example={"content": _SAID},
        ),
        Operation(
            method="POST",
            path=f"{at}:batchEmbedContents",
            tag=_TAG,
            summary="Turn texts into vectors",
            body=BatchEmbedContentsBody,
            answer=EmbeddedContents,
            error=GeminiError,
            parameters=(_EMBEDDER,),
            example={"requests": [{"model": "models/demo-embedding", "content": _SAID}]},
        ),
    )


OPERATIONS = (
    Operation(
        method="GET",
        path="/v1beta/models",
        tag=_TAG,
        summary="List what may be asked for",
        answer=GeminiModelList,
        error=GeminiError,
    ),
    Operation(
        method="GET",
        path="/v1beta/models/{model}",
        tag=_TAG,
        summary="Show one of them",
        answer=GeminiModel,
        error=GeminiError,
        parameters=(MODEL,),
    ),
    *_operations("/v1beta"),
    *_operations("/v1"),
)
