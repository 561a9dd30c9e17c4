"""Neutral events -> a stream for the caller: each event is a whole answer."""

from __future__ import annotations

from typing import Any

import msgspec

from wire import sse
from wire.dialect import BadStreamError
from wire.gemini.answer import reason_of
from wire.gemini.logprobs import encode_logprobs
from wire.gemini.messages_out import encode_call
from wire.gemini.signatures import encode_signature
from wire.gemini.usage import encode_usage
from wire.neutral import (
    Finished,
    FinishReason,
    Metered,
    Settled,
    Started,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStarted,
    Usage,
)

_Parts = list[dict[str, Any]]


class Encoder:
    """The finish reasons and the usage are told together, in the last event: they wait for `close()`.

    Gemini always tells the usage.
    """

    def __init__(self, *, show_usage: bool) -> None:
        del show_usage
        self._head: dict[str, Any] = {}
        self._choices: dict[int, _ChoiceEncoder] = {}
        self._finishes: dict[int, FinishReason] = {}
        self._usage: Usage | None = None

    def encode(self, event: StreamEvent) -> bytes:
        match event:
            case Started():
                self._head = {"modelVersion": event.model, "responseId": event.id}
            case Metered():
                self._usage = event.usage
            case Settled():  # holds the gateway's own estimate where the provider said nothing
                self._usage = self._usage or event.usage
            case Finished():
                self._finishes[event.choice] = event.finish
                return self._chunk(event.choice, self._choice(event.choice).leave())
            case _:
                logprobs = encode_logprobs(event.logprobs) if isinstance(event, TextDelta) else None
                return self._chunk(event.choice, self._choice(event.choice).parts(event), logprobs)
        return b""

    def close(self) -> bytes:
        ends = [
            {"content": {"parts": [{"text": ""}], "role": "model"}, "finishReason": reason_of(finish), "index": index}
            for index, finish in sorted((self._finishes or {0: "stop"}).items())
        ]
        usage = {"usageMetadata": encode_usage(self._usage)} if self._usage else {}
        return _event({"candidates": ends, **usage, **self._head})

    def _choice(self, index: int) -> _ChoiceEncoder:
        return self._choices.setdefault(index, _ChoiceEncoder())

    def _chunk(self, choice: int, parts: _Parts, logprobs: dict[str, Any] | None = None) -> bytes:
        if not parts:
            return b""
        candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": choice}
        if logprobs:
            candidate["logprobsResult"] = logprobs
        return _event({"candidates": [candidate], **self._head})


class _ChoiceEncoder:
    """Calls go out whole, as soon as something else begins; a signature goes out on the call behind it, or alone."""

    def __init__(self) -> None:
        self._calls: dict[int, ToolCall] = {}
        self._signatures: dict[int, str | None] = {}
        self._signature: str | None = None
        self._is_thinking = False

    def parts(self, event: TextDelta | ThinkingDelta | ToolCallStarted | ToolCallDelta) -> _Parts:
        match event:
            case TextDelta():
                said = self.leave()
                self._is_thinking = False
                return [*said, {"text": event.text}]
            case ThinkingDelta():
                return self._thinking(event)
            case ToolCallStarted():
                self._calls[event.call] = ToolCall(event.id, event.name, "")
                self._signatures[event.call], self._signature = self._signature, None
            case ToolCallDelta():
                self._calls[event.call] = self._grown(event)
        return []

    def _grown(self, event: ToolCallDelta) -> ToolCall:
        call = self._calls.get(event.call)
        if call is None:  # it went out, whole, when something else began
            raise BadStreamError("the arguments of a tool call came after something else")
        return ToolCall(call.id, call.name, call.arguments + event.arguments)

    def leave(self) -> _Parts:
        parts = [encode_call(call, self._signatures.get(number)) for number, call in self._calls.items()]
        self._calls.clear()
        if parts:
            self._is_thinking = False
        if self._signature:
            kind = {"thought": True} if self._is_thinking else {}
            parts.append({"text": "", **kind, "thoughtSignature": self._signature})
            self._signature, self._is_thinking = None, False
        return parts

    def _thinking(self, event: ThinkingDelta) -> _Parts:
        parts = self.leave()
        if event.text:
            self._is_thinking = True
            parts.append({"text": event.text, "thought": True})
        self._signature = encode_signature(event.signature, event.redacted)
        return parts


def _event(body: dict[str, Any]) -> bytes:
    return sse.event(msgspec.json.encode(body))
