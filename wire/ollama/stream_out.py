"""Neutral events -> a stream for the caller."""

from __future__ import annotations

from typing import Any

from wire import ndjson
from wire.dialect import BadStreamError
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
from wire.ollama import answer
from wire.ollama.messages_out import encode_call
from wire.ollama.response import ended

_NS_PER_MS = 1_000_000


class Encoder:
    """A line for each event. Ollama's calls are whole, so that each waits until the next one begins, or the end.

    Ollama always tells the usage, and knows one choice alone.
    """

    def __init__(self, *, show_usage: bool) -> None:
        del show_usage
        self._head: dict[str, Any] = {"model": "", "created_at": answer.created_at(0)}
        self._call: ToolCallStarted | None = None
        self._arguments: list[str] = []
        self._finish: FinishReason = "stop"
        self._usage: Usage | None = None
        self._took: dict[str, int] = {}

    def encode(self, event: StreamEvent) -> bytes:
        match event:
            case TextDelta():
                return self._whole_call() + self._text(event)
            case ThinkingDelta():
                return self._whole_call() + (self._line(self.said("", thinking=event.text)) if event.text else b"")
            case ToolCallStarted():
                told = self._whole_call()
                self._call = event
                return told
            case ToolCallDelta():
                return self._call_delta(event)
            case _:
                return self._about(event)

    def close(self) -> bytes:
        told = self._whole_call()
        return told + ndjson.line({**self._head, **self.said(""), **ended(self._finish, self._usage), **self._took})

    def said(self, content: str, **others: Any) -> dict[str, Any]:
        return {"message": {"role": "assistant", "content": content, **others}}

    def _about(self, event: Started | Finished | Metered | Settled) -> bytes:
        match event:
            case Started():
                self._head = {"model": event.model, "created_at": answer.created_at(event.created)}
            case Finished():
                self._finish = event.finish
            case Metered():
                self._usage = event.usage
            case Settled():  # holds the gateway's own estimate where the provider said nothing
                self._usage = self._usage or event.usage
                self._took = {"total_duration": int(event.latency_ms * _NS_PER_MS)}
        return b""

    def _text(self, event: TextDelta) -> bytes:
        logprobs = (event.logprobs or {}).get("content")
        return self._line(self.said(event.text) | ({"logprobs": logprobs} if logprobs else {}))

    def _call_delta(self, event: ToolCallDelta) -> bytes:
        """Providers send one call after the other, and a call that has been told cannot grow any more."""
        if self._call is None or self._call.call != event.call:
            raise BadStreamError("the arguments of several tool calls came mixed")
        self._arguments.append(event.arguments)
        return b""

    def _whole_call(self) -> bytes:
        call, self._call = self._call, None
        if call is None:
            return b""
        arguments, self._arguments = "".join(self._arguments), []
        return self._line(self.said("", tool_calls=[encode_call(ToolCall(call.id, call.name, arguments))]))

    def _line(self, told: dict[str, Any]) -> bytes:
        return ndjson.line({**self._head, **told, "done": False})
