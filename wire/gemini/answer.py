"""What a Gemini provider answers, whole or as an event of a stream, read leniently.

Source: google-genai 3.4.0, `types.py` (`GenerateContentResponse`, `Candidate`, `FinishReason`).
"""

from __future__ import annotations

from typing import Any

import msgspec

from wire.dialect import BadBodyError
from wire.halves import Decoder
from wire.neutral import FinishReason

_FINISH: dict[str, FinishReason] = {
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",  # Google's own bound of one call: its SDK asks for the rest with a token
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "ESCALATION": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
}
_REASONS: dict[FinishReason, str] = {
    "stop": "STOP",
    "tool_calls": "STOP",
    "length": "MAX_TOKENS",
    "content_filter": "SAFETY",
}


def finish_of(reason: str, *, calls: bool) -> FinishReason:
    """A reason that we do not know is a stop: the answer came whole, and the caller has paid for it.

    Gemini says STOP for calls too; other dialects name them.
    """
    finish = _FINISH.get(reason, "stop")
    return "tool_calls" if finish == "stop" and calls else finish


def reason_of(finish: FinishReason) -> str:
    return _REASONS[finish]


class Call(msgspec.Struct, rename="camel", gc=False):
    name: str | None = None
    args: msgspec.Raw = msgspec.Raw()
    id: str | None = None


class Part(msgspec.Struct, rename="camel", gc=False):
    """`inline_data` and those behind it are what other dialects have no place for in an answer."""

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    function_call: Call | None = None
    inline_data: Any = None
    file_data: Any = None
    executable_code: Any = None
    code_execution_result: Any = None
    tool_call: Any = None


class Content(msgspec.Struct, rename="camel", gc=False):
    parts: list[Part] | None = None


class Candidate(msgspec.Struct, rename="camel", gc=False):
    content: Content | None = None
    finish_reason: str | None = None
    index: int | None = None
    logprobs_result: msgspec.Raw = msgspec.Raw()

    @property
    def parts(self) -> list[Part]:
        return (self.content.parts if self.content else None) or []


class Feedback(msgspec.Struct, rename="camel", gc=False):
    block_reason: str | None = None


class Answer(msgspec.Struct, rename="camel", gc=False):
    candidates: list[Candidate] | None = None
    prompt_feedback: Feedback | None = None
    usage_metadata: msgspec.Raw = msgspec.Raw()
    model_version: str | None = None
    response_id: str | None = None
    error: Any = None

    @property
    def is_blocked(self) -> bool:
        """The prompt was refused: there is no candidate, and none will come."""
        return not self.candidates and self.prompt_feedback is not None and bool(self.prompt_feedback.block_reason)


ANSWER = Decoder[Answer](Answer)


def calls_in(candidate: Candidate) -> bool:
    return any(part.function_call is not None for part in candidate.parts)


def output_bytes(candidate: Candidate) -> int:
    size = 0
    for part in candidate.parts:
        text = part.text
        if text:
            size += len(text) if text.isascii() else len(text.encode())
        if part.function_call is not None:
            size += len(part.function_call.args)
    return size


def require_sayable(part: Part) -> None:
    for kind in ("inline_data", "file_data", "executable_code", "code_execution_result", "tool_call"):
        if getattr(part, kind) is not None:
            raise BadBodyError(f"a part with {kind}, which no other dialect has")
