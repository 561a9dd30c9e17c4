"""Ollama's doors. Chats stream unless told not to."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from aiplatform.documented.operation import LINES, Operation

Objects = list[dict[str, Any]]
Count = Annotated[int, Meta(ge=0)]


class OllamaError(msgspec.Struct):
    """`code` is one of the platform's closed list."""

    error: str
    code: str


class OllamaMessage(msgspec.Struct):
    role: str
    content: str = ""
    images: list[str] | UnsetType = UNSET
    tool_calls: Objects | UnsetType = UNSET


class OllamaChatBody(msgspec.Struct):
    messages: Annotated[list[OllamaMessage], Meta(min_length=1)]
    model: str | UnsetType = UNSET
    stream: bool = True
    tools: Objects | None = None
    format: str | dict[str, Any] | None = None
    options: dict[str, Any] | None = None
    think: bool | str | None = None


class OllamaChatAnswer(msgspec.Struct):
    model: str
    created_at: str
    message: OllamaMessage
    done: bool
    done_reason: str | UnsetType = UNSET
    prompt_eval_count: Count | UnsetType = UNSET
    eval_count: Count | UnsetType = UNSET


class OllamaGenerateBody(msgspec.Struct):
    prompt: Annotated[str, Meta(min_length=1)]
    model: str | UnsetType = UNSET
    system: str | None = None
    images: list[str] | None = None
    stream: bool = True
    format: str | dict[str, Any] | None = None
    options: dict[str, Any] | None = None


class OllamaGenerateAnswer(msgspec.Struct):
    model: str
    created_at: str
    response: str
    done: bool
    done_reason: str | UnsetType = UNSET
    prompt_eval_count: Count | UnsetType = UNSET
    eval_count: Count | UnsetType = UNSET


class OllamaEmbedBody(msgspec.Struct):
    input: str | Annotated[list[str], Meta(min_length=1)]
    model: str | UnsetType = UNSET
    dimensions: Annotated[int, Meta(ge=1)] | None = None


class OllamaEmbedAnswer(msgspec.Struct):
    model: str
    embeddings: list[list[float]]
    prompt_eval_count: Count | UnsetType = UNSET


class OllamaEmbeddingsBody(msgspec.Struct):
    prompt: Annotated[str, Meta(min_length=1)]
    model: str | UnsetType = UNSET


class OllamaEmbeddingsAnswer(msgspec.Struct):
    embedding: list[float]


class OllamaShowBody(msgspec.Struct):
    model: Annotated[str, Meta(min_length=1)]


class OllamaShown(msgspec.Struct):
    details: dict[str, Any]
    model_info: dict[str, Any]
    capabilities: list[str]
    modified_at: str


class OllamaModel(msgspec.Struct):
    name: str
    model: str
    modified_at: str
    size: Count
    digest: str
    details: dict[str, Any]


class OllamaModelList(msgspec.Struct):
    models: list[OllamaModel]


class OllamaVersion(msgspec.Struct):
    version: str


_TAG = "Ollama"
OPERATIONS = (
    Operation(
        method="POST",
        path="/api/chat",
        tag=_TAG,
        summary="Answer a conversation, as a stream or whole",
        body=OllamaChatBody,
        answer=OllamaChatAnswer,
        error=OllamaError,
        streams=LINES,
        example={"model": "demo", "messages": [{"role": "user", "content": "Hello"}], "stream": False},
    ),
    Operation(
        method="POST",
        path="/api/generate",
        tag=_TAG,
        summary="Answer a prompt, as a stream or whole",
        body=OllamaGenerateBody,
        answer=OllamaGenerateAnswer,
        error=OllamaError,
        streams=LINES,
        example={"model": "demo", "prompt": "Hello", "stream": False},
    ),
    Operation(
        method="POST",
        path="/api/embed",
        tag=_TAG,
        summary="Turn texts into vectors",
        body=OllamaEmbedBody,
        answer=OllamaEmbedAnswer,
        error=OllamaError,
        example={"model": "demo-embedding", "input": ["Hello"]},
    ),
    Operation(
        method="POST",
        path="/api/embeddings",
        tag=_TAG,
        summary="Turn one text into a vector, as older clients ask for it",
        body=OllamaEmbeddingsBody,
        answer=OllamaEmbeddingsAnswer,
        error=OllamaError,
        example={"model": "demo-embedding", "prompt": "Hello"},
    ),
    Operation(
        method="POST",
        path="/api/show",
        tag=_TAG,
        summary="Show a model",
        body=OllamaShowBody,
        answer=OllamaShown,
        error=OllamaError,
        example={"model": "demo"},
    ),
    Operation(
        method="GET",
        path="/api/tags",
        tag=_TAG,
        summary="List what may be asked for",
        answer=OllamaModelList,
        error=OllamaError,
    ),
    Operation(
        method="GET",
        path="/api/version",
        tag=_TAG,
        summary="Which Ollama's API this is",
        answer=OllamaVersion,
        error=OllamaError,
    ),
)
