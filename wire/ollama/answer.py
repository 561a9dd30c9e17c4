"""What Ollama answers, read leniently: whole, or a line of a stream."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import msgspec

from wire.counts import Count, apart, utf8_bytes
from wire.halves import Decoder
from wire.neutral import FinishReason, Usage

_FINISH: dict[str, FinishReason] = {"length": "length", "content_filter": "content_filter"}
_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9]")


class Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: msgspec.Raw = msgspec.Raw()


class Call(msgspec.Struct, gc=False):
    function: Function
    id: str | None = None


class Said(msgspec.Struct, gc=False):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[Call] | None = None


class Answer(msgspec.Struct, gc=False):
    model: str | None = None
    created_at: str | None = None
    message: Said | None = None
    done: bool | None = None
    done_reason: str | None = None
    prompt_eval_count: Count = None
    prompt_eval_cached_count: Count = None
    eval_count: Count = None
    logprobs: list[Any] | None = None
    error: Any = None


ANSWER = Decoder[Answer](Answer)


def finish_of(answer: Answer, *, calls: bool) -> FinishReason:
    """A reason that we do not know is a stop. A call has none of its own."""
    finish = _FINISH.get(answer.done_reason or "", "stop")
    return "tool_calls" if calls and finish == "stop" else finish


def usage_of(answer: Answer) -> Usage | None:
    """None where the prompt's tokens are not told, as by older versions for a prompt that was cached.

    `prompt_eval_count` counts the cached ones too (https://github.com/ollama/ollama/pull/16428).
    """
    if not answer.prompt_eval_count:
        return None
    output_tokens = answer.eval_count or 0
    (cached_tokens,) = apart(answer.prompt_eval_count, answer.prompt_eval_cached_count)
    raw = {
        "prompt_eval_count": answer.prompt_eval_count,
        "prompt_eval_cached_count": answer.prompt_eval_cached_count,
        "eval_count": answer.eval_count,
    }
    return Usage(
        input_tokens=answer.prompt_eval_count,
        cached_input_tokens=cached_tokens,
        output_tokens=output_tokens,
        raw=msgspec.json.encode(raw),
    )


def id_of(answer: Answer) -> str:
    return "ollama-" + _NOT_IN_IDS.sub("", answer.created_at or "")


def call_id(call: Call, answer_id: str, number: int) -> str:
    return call.id or f"call_{answer_id}_{number}"


def created_of(answer: Answer) -> int:
    """Unix time in seconds; 0 where it is not told."""
    try:
        return int(datetime.fromisoformat(answer.created_at or "").timestamp())
    except ValueError:
        return 0


def created_at(created: int) -> str:
    """Some hosts tell milliseconds, or what is no time at all: those are as good as none."""
    try:
        moment = datetime.fromtimestamp(created, UTC)
    except (ValueError, OverflowError, OSError):
        moment = datetime.fromtimestamp(0, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def output_bytes(said: Said) -> int:
    calls = sum(len(call.function.arguments) for call in said.tool_calls or ())
    return utf8_bytes(said.content or "") + utf8_bytes(said.thinking or "") + calls
