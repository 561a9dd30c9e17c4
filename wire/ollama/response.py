"""A provider's plain answer: the books' figures out of it, its translation, and ours for a caller."""

from __future__ import annotations

from typing import Any

import msgspec

from wire.body import MALFORMED
from wire.dialect import BadBodyError, Result
from wire.failures import message_of
from wire.logprobs import believed
from wire.neutral import ChatResponse, Choice, FinishReason, Part, Text, Thinking, ToolCall, Usage
from wire.ollama import answer
from wire.ollama.messages_out import encode_call


def read_result(body: bytes) -> Result:
    read, said = _read(body)
    return Result(
        model=read.model or "",
        finish=answer.finish_of(read, calls=bool(said.tool_calls)),
        usage=answer.usage_of(read),
        output_bytes=answer.output_bytes(said),
    )


def decode_response(body: bytes) -> ChatResponse:
    read, said = _read(body)
    id_ = answer.id_of(read)
    calls = [decode_call(call, id_, number) for number, call in enumerate(said.tool_calls or ())]
    parts: list[Part] = [Thinking(said.thinking)] if said.thinking else []
    parts += [Text(said.content)] if said.content else []
    finish = answer.finish_of(read, calls=bool(calls))
    logprobs = believed({"content": read.logprobs}) if read.logprobs else None
    choice = Choice(0, (*parts, *calls), finish, logprobs=logprobs)
    return ChatResponse(id_, read.model or "", (choice,), answer.usage_of(read), answer.created_of(read))


def decode_call(call: answer.Call, answer_id: str, number: int) -> ToolCall:
    if not call.function.name:
        raise BadBodyError("a tool call without a function's name")
    arguments = bytes(call.function.arguments).decode() or "{}"
    return ToolCall(answer.call_id(call, answer_id, number), call.function.name, arguments)


def encode_response(response: ChatResponse) -> bytes:
    """Ollama knows one choice, and its callers cannot ask for more."""
    choice = response.choices[0]
    calls = [encode_call(part) for part in choice.parts if isinstance(part, ToolCall)]
    message: dict[str, Any] = {"role": "assistant", "content": text_of(choice), **thinking_of(choice)}
    if calls:
        message["tool_calls"] = calls
    return msgspec.json.encode(head(response) | {"message": message} | ended(choice.finish, response.usage))


def head(response: ChatResponse) -> dict[str, Any]:
    logprobs = (response.choices[0].logprobs or {}).get("content")
    told = {"model": response.model, "created_at": answer.created_at(response.created)}
    return told | ({"logprobs": logprobs} if logprobs else {})


def text_of(choice: Choice) -> str:
    return "".join(part.text for part in choice.parts if isinstance(part, Text))


def thinking_of(choice: Choice) -> dict[str, str]:
    """Signatures and sealed thinking have no place."""
    thinking = "".join(part.text for part in choice.parts if isinstance(part, Thinking))
    return {"thinking": thinking} if thinking else {}


def ended(finish: FinishReason, usage: Usage | None) -> dict[str, Any]:
    """What the end of an answer tells. A filter has no reason of its own, but reasons are free text."""
    end: dict[str, Any] = {"done": True, "done_reason": "stop" if finish == "tool_calls" else finish}
    if usage is not None:
        end |= {"prompt_eval_count": usage.input_tokens, "eval_count": usage.output_tokens}
        end |= {"prompt_eval_cached_count": usage.cached_input_tokens} if usage.cached_input_tokens else {}
    return end


def _read(body: bytes) -> tuple[answer.Answer, answer.Said]:
    try:
        read = answer.ANSWER.decode(body)
    except MALFORMED as error:
        raise BadBodyError(f"not an answer of Ollama's: {error}") from None
    if read.message is None or read.error is not None:
        raise BadBodyError(message_of(body) or "an answer without a message")
    return read, read.message
