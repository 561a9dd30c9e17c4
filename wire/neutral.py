"""Our own nouns for a chat call, into which and out of which every dialect translates.

Token counts are inclusive: `input_tokens` holds the cached and cache-written ones, `output_tokens` the reasoning
ones (as OpenAI counts; Anthropic's separate counts are added up when they are decoded).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Role = Literal["system", "user", "assistant"]
FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
CacheHint = Literal["5m", "1h"]


class Text(msgspec.Struct, frozen=True):
    text: str
    cache: CacheHint | None = None


class Image(msgspec.Struct, frozen=True):
    """Either `url`, or `data` (base64) with its `media_type`."""

    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    detail: str | None = None
    cache: CacheHint | None = None


class Thinking(msgspec.Struct, frozen=True):
    """A model's visible reasoning; `signature` proves it to its provider; `redacted` is its sealed form."""

    text: str = ""
    signature: str | None = None
    redacted: str | None = None


class ToolCall(msgspec.Struct, frozen=True):
    """`arguments` is JSON text, exactly as the model wrote it."""

    id: str
    name: str
    arguments: str


class ToolResult(msgspec.Struct, frozen=True):
    call_id: str
    parts: tuple[Text | Image, ...]
    is_error: bool = False
    cache: CacheHint | None = None


Part = Text | Image | Thinking | ToolCall | ToolResult


class Message(msgspec.Struct, frozen=True):
    """A tool's result is a part of a user message. System messages stand where the caller put them."""

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None


class Tool(msgspec.Struct, frozen=True):
    """`parameters` is a JSON Schema object."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    cache: CacheHint | None = None


class ToolChoice(msgspec.Struct, frozen=True):
    mode: Literal["auto", "none", "required", "tool"]
    name: str | None = None


class ResponseFormat(msgspec.Struct, frozen=True):
    kind: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class ChatRequest(msgspec.Struct, frozen=True):
    """One chat call. None means that the caller said nothing about it."""

    model: str
    messages: tuple[Message, ...]
    max_output_tokens: int | None = None
    choices: int = 1
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None
    thinking_budget_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    stream: bool = False
    show_usage: bool = True
    end_user: str | None = None


class Usage(msgspec.Struct, frozen=True):
    """Token counts as the provider reported them, made inclusive; `raw` is its own usage object, as JSON.

    Cached, written, audio and image tokens are parts of `input_tokens`, and no token is in two of them (cached audio
    counts as cached); reasoning, audio and image tokens likewise of `output_tokens`.
    """

    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    audio_input_tokens: int = 0
    image_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    audio_output_tokens: int = 0
    image_output_tokens: int = 0
    raw: bytes = b""


class Choice(msgspec.Struct, frozen=True):
    """`stop_sequence` is the caller's stop text that ended it, where the provider tells."""

    index: int
    parts: tuple[Part, ...]
    finish: FinishReason
    stop_sequence: str | None = None
    logprobs: Any = None


class ChatResponse(msgspec.Struct, frozen=True):
    """`usage` is None where the provider reported none."""

    id: str
    model: str
    choices: tuple[Choice, ...]
    usage: Usage | None
    created: int = 0


class EmbeddingRequest(msgspec.Struct, frozen=True):
    """Texts to be turned into vectors. `task` and `title` are hints that some providers take (Gemini)."""

    model: str
    texts: tuple[str, ...]
    dimensions: int | None = None
    task: str | None = None
    title: str | None = None
    end_user: str | None = None


class EmbeddingResponse(msgspec.Struct, frozen=True):
    """A vector for each text, in order. `usage` is None where the provider reported none."""

    model: str
    vectors: tuple[tuple[float, ...], ...]
    usage: Usage | None


class Started(msgspec.Struct, frozen=True):
    """A stream's first event."""

    id: str
    model: str
    created: int = 0


class TextDelta(msgspec.Struct, frozen=True):
    text: str
    choice: int = 0
    logprobs: Any = None


class ThinkingDelta(msgspec.Struct, frozen=True):
    text: str = ""
    signature: str | None = None
    redacted: str | None = None
    choice: int = 0


class ToolCallStarted(msgspec.Struct, frozen=True):
    """`call` numbers the tool calls of one choice, from 0."""

    call: int
    id: str
    name: str
    choice: int = 0


class ToolCallDelta(msgspec.Struct, frozen=True):
    call: int
    arguments: str
    choice: int = 0


class Finished(msgspec.Struct, frozen=True):
    """One choice has ended."""

    finish: FinishReason
    choice: int = 0
    stop_sequence: str | None = None


class Metered(msgspec.Struct, frozen=True):
    """The stream's usage, whole."""

    usage: Usage


class Settled(msgspec.Struct, frozen=True):
    """The last event of every stream: what the gateway itself knows of the call, for the dialects that tell it.

    `cost_usd` is an exact decimal, None where the cost is unknown. `cached`: no provider was asked. `overhead_ms` is
    our own part of the latency.
    """

    request_id: str
    model: str
    provider: str
    cost_usd: str | None
    latency_ms: float
    finish: str
    usage: Usage
    cached: bool = False
    overhead_ms: float | None = None


StreamEvent = Started | TextDelta | ThinkingDelta | ToolCallStarted | ToolCallDelta | Finished | Metered | Settled
