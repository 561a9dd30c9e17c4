"""A provider's plain answer: the books' figures out of it, its translation, and ours for a caller."""

from __future__ import annotations

from typing import Any

import msgspec

from wire.body import MALFORMED
from wire.dialect import BadBodyError, Result
from wire.failures import message_of
from wire.logprobs import believed
from wire.neutral import ChatResponse, Choice, FinishReason, Part, Text, Thinking, ToolCall
from wire.openai_chat import answer
from wire.openai_chat.usage import decode_usage, encode_usage


def read_result(body: bytes) -> Result:
    read, choices = _read(body)
    return Result(
        model=read.model or "",
        finish=answer.finish_of(choices[0].finish_reason or ""),
        usage=decode_usage(read.usage),
        output_bytes=sum(answer.output_bytes(choice.message) for choice in choices if choice.message),
    )


def decode_response(body: bytes) -> ChatResponse:
    read, choices = _read(body)
    return ChatResponse(
        id=read.id or "",
        model=read.model or "",
        choices=tuple(_decode_choice(choice, number, read.id or "") for number, choice in enumerate(choices)),
        usage=decode_usage(read.usage),
        created=answer.created_of(read),
    )


def encode_response(response: ChatResponse) -> bytes:
    body = {
        "id": response.id,
        "object": "chat.completion",
        "created": response.created,
        "model": response.model,
        "choices": [_encode_choice(choice) for choice in response.choices],
    }
    if response.usage is not None:
        body["usage"] = encode_usage(response.usage)
    return msgspec.json.encode(body)


def call_id(said: str | None, answer_id: str, choice: int, call: int) -> str:
    """Some hosts give calls no id. Ours is unique in the conversation, as the answer's own id is."""
    return said or f"call_{answer_id}_{choice}_{call}"


def finish_with(finish: FinishReason, *, calls: bool, refused: bool) -> FinishReason:
    """OpenAI says "stop" for a call that the caller forced, and for a refusal; other dialects name both."""
    if finish != "stop":
        return finish
    return "tool_calls" if calls else "content_filter" if refused else "stop"


def _read(body: bytes) -> tuple[answer.Answer, list[answer.Choice]]:
    try:
        read = answer.ANSWER.decode(body)
    except MALFORMED as error:
        raise BadBodyError(f"not a chat completion: {error}") from None
    if not read.choices:
        raise BadBodyError(message_of(body) or "a chat completion without choices")
    return read, read.choices


def _decode_choice(choice: answer.Choice, number: int, answer_id: str) -> Choice:
    said = choice.message or answer.Said()
    index = number if choice.index is None else choice.index
    calls = [_decode_call(call, answer_id, index, number) for number, call in enumerate(said.tool_calls or ())]
    thinking, text = answer.thinking_of(said), answer.text_of(said)
    parts: list[Part] = [Thinking(thinking)] if thinking else []
    parts += [Text(text)] if text else []
    parts += calls
    finish = answer.finish_of(choice.finish_reason or "")
    return Choice(
        index=index,
        parts=tuple(parts),
        finish=finish_with(finish, calls=bool(calls), refused=bool(said.refusal)),
        logprobs=believed(choice.logprobs),
    )


def _decode_call(call: answer.Call, answer_id: str, choice: int, number: int) -> ToolCall:
    name = call.function.name if call.function else None
    if not name:
        raise BadBodyError("a tool call without a function's name")
    return ToolCall(call_id(call.id, answer_id, choice, number), name, answer.arguments_of(call))


def _encode_choice(choice: Choice) -> dict[str, Any]:
    return {
        "index": choice.index,
        "message": _encode_message(choice.parts),
        "logprobs": choice.logprobs,
        "finish_reason": choice.finish,
    }


def _encode_message(parts: tuple[Part, ...]) -> dict[str, Any]:
    """Thinking goes out as DeepSeek's `reasoning_content`; signatures and sealed thinking have no place."""
    text = "".join(part.text for part in parts if isinstance(part, Text))
    thinking = "".join(part.text for part in parts if isinstance(part, Thinking))
    calls = [_encode_call(part) for part in parts if isinstance(part, ToolCall)]
    message: dict[str, Any] = {"role": "assistant", "content": text or (None if calls else ""), "refusal": None}
    if thinking:
        message["reasoning_content"] = thinking
    if calls:
        message["tool_calls"] = calls
    return message


def _encode_call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments or "{}"}}
