"""The bodies and answers of OpenAI's doors, and the lists of models in the three dialects that have one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from wire.openai_chat.opening import MAX_CHOICES
from wire.openai_embeddings import MAX_INPUTS

Positive = Annotated[int, Meta(ge=1)]
Count = Annotated[int, Meta(ge=0)]
Objects = list[dict[str, Any]]


class OpenAIErrorFacts(msgspec.Struct):
    message: str
    type: str
    param: str | None
    code: str | None


class OpenAIError(msgspec.Struct):
    """`error.code` is one of the platform's closed list."""

    error: OpenAIErrorFacts


class OpenAIMessage(msgspec.Struct):
    """`content` is a text, or parts (`text`, `image_url` …)."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | Objects | None = None
    name: str | UnsetType = UNSET
    tool_calls: Objects | UnsetType = UNSET
    tool_call_id: str | UnsetType = UNSET


class ChatCompletionBody(msgspec.Struct):
    """Without `model`, the route `default` answers."""

    messages: Annotated[list[OpenAIMessage], Meta(min_length=1)]
    model: str | UnsetType = UNSET
    stream: bool = False
    stream_options: dict[str, Any] | UnsetType = UNSET
    max_tokens: Positive | None = None
    max_completion_tokens: Positive | None = None
    n: Annotated[int, Meta(ge=1, le=MAX_CHOICES)] | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    tools: Objects | None = None
    tool_choice: str | dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    reasoning_effort: str | None = None
    user: str | None = None


class OpenAIUsage(msgspec.Struct):
    prompt_tokens: Count
    total_tokens: Count
    completion_tokens: Count | UnsetType = UNSET
    prompt_tokens_details: dict[str, Any] | None = None
    completion_tokens_details: dict[str, Any] | None = None


class ChatCompletionMessage(msgspec.Struct):
    role: Literal["assistant"]
    content: str | None
    tool_calls: Objects | None = None
    refusal: str | None = None


class ChatCompletionChoice(msgspec.Struct):
    index: Count
    message: ChatCompletionMessage
    finish_reason: str | None


class ChatCompletion(msgspec.Struct):
    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatCompletionChoice]
    usage: OpenAIUsage | UnsetType = UNSET


class CompletionBody(msgspec.Struct):
    """OpenAI's older completions: one prompt."""

    prompt: str
    model: str | UnsetType = UNSET
    stream: bool = False
    max_tokens: Positive | None = None
    temperature: float | None = None
    top_p: float | None = None
    n: Annotated[int, Meta(ge=1, le=MAX_CHOICES)] | None = None
    stop: str | list[str] | None = None
    seed: int | None = None
    user: str | None = None


class TextCompletionChoice(msgspec.Struct):
    index: Count
    text: str
    finish_reason: str | None


class TextCompletion(msgspec.Struct):
    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[TextCompletionChoice]
    usage: OpenAIUsage | UnsetType = UNSET


class ResponsesBody(msgspec.Struct):
    """Stateless: `previous_response_id`, `conversation`, `background` and hosted tools are refused by name."""

    input: str | Annotated[Objects, Meta(min_length=1)]
    model: str | UnsetType = UNSET
    instructions: str | None = None
    stream: bool = False
    max_output_tokens: Positive | None = None
    temperature: float | None = None
    top_p: float | None = None
    tools: Objects | None = None
    tool_choice: str | dict[str, Any] | None = None
    text: dict[str, Any] | None = None
    reasoning: dict[str, Any] | None = None
    user: str | None = None


class ModelResponse(msgspec.Struct):
    """`output` holds messages, calls of functions and reasoning."""

    id: str
    object: Literal["response"]
    created_at: int | float
    status: str
    model: str
    output: Objects
    error: dict[str, Any] | None = None
    incomplete_details: dict[str, Any] | None = None
    usage: dict[str, Any] | None = None


class EmbeddingsBody(msgspec.Struct):
    input: str | Annotated[list[Any], Meta(min_length=1, max_length=MAX_INPUTS, description="Texts, or tokens.")]
    model: str | UnsetType = UNSET
    dimensions: Positive | None = None
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = None


class Embedding(msgspec.Struct):
    """Numbers, or base64 of 32-bit floats where that was asked for."""

    object: Literal["embedding"]
    index: Count
    embedding: list[float] | str


class EmbeddingList(msgspec.Struct):
    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: OpenAIUsage | UnsetType = UNSET


class OpenAIModel(msgspec.Struct):
    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class OpenAIModelList(msgspec.Struct):
    """What OpenAI's clients get."""

    object: Literal["list"]
    data: list[OpenAIModel]


class AnthropicModel(msgspec.Struct):
    type: Literal["model"]
    id: str
    display_name: str
    created_at: str


class AnthropicModelList(msgspec.Struct):
    """What is answered where the header `anthropic-version` comes along."""

    data: list[AnthropicModel]
    has_more: bool
    first_id: str | None
    last_id: str | None


class GeminiModel(msgspec.Struct):
    name: str
    version: str
    displayName: str  # noqa: N815  # Google's name
    supportedGenerationMethods: list[str]  # noqa: N815  # as above


class GeminiModelList(msgspec.Struct):
    """What is answered where the key comes as Google's clients send it."""

    models: list[GeminiModel]
