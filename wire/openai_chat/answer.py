"""What OpenAI-compatible hosts answer, read leniently: each adds fields, and several change their types.

Source: openai-python 3.54.0, `types/chat/chat_completion.py` and `chat_completion_chunk.py`. Beyond them:
`reasoning_content` (DeepSeek, Kimi) and `reasoning` (vLLM, OpenRouter, Groq), `content` as a list of parts (Mistral).
"""

from __future__ import annotations

from typing import Any

import msgspec

from wire.counts import utf8_bytes
from wire.halves import Decoder
from wire.neutral import FinishReason

_FINISH: dict[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "insufficient_system_resource": "length",  # DeepSeek: broken off for want of machines
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


def finish_of(reason: str) -> FinishReason:
    """A reason that we do not know is a stop: the answer came whole, and the caller has paid for it."""
    return _FINISH.get(reason, "stop")


class Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: Any = None


class Call(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: Function | None = None


class Said(msgspec.Struct, gc=False):
    """A choice's `message`, or the `delta` of one in a stream."""

    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: list[Call] | None = None


class Choice(msgspec.Struct, gc=False):
    index: int | None = 0
    message: Said | None = None
    delta: Said | None = None
    finish_reason: str | None = None
    logprobs: Any = None


class Answer(msgspec.Struct, gc=False):
    """A whole answer, or a chunk of a stream."""

    id: str | None = None
    model: str | None = None
    created: Any = None
    choices: list[Choice] | None = None
    usage: msgspec.Raw = msgspec.Raw()
    error: Any = None


ANSWER = Decoder[Answer](Answer)


def created_of(read: Answer) -> int:
    return int(read.created) if isinstance(read.created, int | float) else 0


def text_of(said: Said) -> str:
    text = said.content or said.refusal
    if type(text) is str:
        return text
    return _joined(text, "text") if isinstance(text, list) else ""


def thinking_of(said: Said) -> str:
    thinking = said.reasoning_content or said.reasoning
    if type(thinking) is str:
        return thinking
    return _joined(said.content, "thinking") if isinstance(said.content, list) else ""


def output_bytes(said: Said) -> int:
    size = utf8_bytes(text_of(said))
    if said.reasoning_content or said.reasoning or type(said.content) is list:
        size += utf8_bytes(thinking_of(said))
    if said.tool_calls:
        size += sum(utf8_bytes(arguments_of(call)) for call in said.tool_calls)
    return size


def arguments_of(call: Call) -> str:
    """JSON text; some hosts send the object itself."""
    arguments = call.function.arguments if call.function else None
    if arguments is None or isinstance(arguments, str):
        return arguments or ""
    return msgspec.json.encode(arguments).decode()


def _joined(parts: list[Any], kind: str) -> str:
    """Of Mistral's parts, `{"type": "text", "text"}` and `{"type": "thinking", "thinking": [text parts]}`."""
    values = [part.get(kind) for part in parts if isinstance(part, dict)]
    flat = [each for value in values for each in (value if isinstance(value, list) else [value])]
    texts = [each.get("text") if isinstance(each, dict) else each for each in flat]
    return "".join(text for text in texts if isinstance(text, str))
