"""Anthropic's doors. Fields besides those named here go on to a provider that speaks Anthropic's dialect."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from aiplatform.documented.openai_shapes import AnthropicModel, AnthropicModelList
from aiplatform.documented.operation import EVENTS, MODEL, Operation

Objects = list[dict[str, Any]]


class AnthropicErrorFacts(msgspec.Struct):
    type: str
    message: str


class AnthropicError(msgspec.Struct):
    type: Literal["error"]
    error: AnthropicErrorFacts
    request_id: str | None = None


class AnthropicMessage(msgspec.Struct):
    """`content` is a text, or blocks (`text`, `image`, `tool_use`, `tool_result` …)."""

    role: Literal["user", "assistant", "system"]
    content: str | Objects


class CountTokensBody(msgspec.Struct):
    model: Annotated[str, Meta(min_length=1)]
    messages: Annotated[list[AnthropicMessage], Meta(min_length=1)]
    system: str | Objects | None = None
    tools: Objects | None = None


class MessagesBody(CountTokensBody, kw_only=True):
    max_tokens: Annotated[int, Meta(ge=0)]
    stream: bool = False
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None
    tool_choice: dict[str, Any] | None = None
    thinking: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None


class AnthropicUsage(msgspec.Struct):
    input_tokens: Annotated[int, Meta(ge=0)]
    output_tokens: Annotated[int, Meta(ge=0)]
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None


class AnthropicAnswer(msgspec.Struct):
    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: Objects
    stop_reason: str | None
    stop_sequence: str | None
    usage: AnthropicUsage


class CountedTokens(msgspec.Struct):
    """An estimate by size: no provider is asked."""

    input_tokens: Annotated[int, Meta(ge=0)]


_HELLO: dict[str, Any] = {"model": "demo", "messages": [{"role": "user", "content": "Hello"}]}


def _operations(start: str) -> tuple[Operation, ...]:
    return (
        Operation(
            method="POST",
            path=f"{start}/v1/messages",
            tag="Anthropic",
            summary="Answer a conversation, whole or as a stream",
            body=MessagesBody,
            answer=AnthropicAnswer,
            error=AnthropicError,
            streams=EVENTS,
            example={**_HELLO, "max_tokens": 100},
        ),
        Operation(
            method="POST",
            path=f"{start}/v1/messages/count_tokens",
            tag="Anthropic",
            summary="Estimate how many tokens a conversation has",
            body=CountTokensBody,
            answer=CountedTokens,
            error=AnthropicError,
            example=_HELLO,
        ),
    )


OPERATIONS = (
    *_operations(""),
    *_operations("/anthropic"),
    Operation(
        method="GET",
        path="/anthropic/v1/models",
        tag="Anthropic",
        summary="List what may be asked for",
        answer=AnthropicModelList,
        error=AnthropicError,
    ),
    Operation(
        method="GET",
        path="/anthropic/v1/models/{model}",
        tag="Anthropic",
        summary="Show one of them",
        answer=AnthropicModel,
        error=AnthropicError,
        parameters=(MODEL,),
    ),
)
