"""A provider's plain answer: the books' figures out of it, its translation, and ours for a caller."""

from __future__ import annotations

from typing import Any

import msgspec

from wire.anthropic_messages import answer
from wire.anthropic_messages.messages_out import encode_thinking
from wire.anthropic_messages.usage import decode_usage, encode_usage
from wire.arguments import as_object
from wire.body import MALFORMED
from wire.dialect import BadBodyError, Result
from wire.failures import message_of
from wire.neutral import ChatResponse, Choice, Part, Text, Thinking, ToolCall


def read_result(body: bytes) -> Result:
    message, blocks = _read(body)
    return Result(
        model=message.model or "",
        finish=answer.finish_of(message.stop_reason or ""),
        usage=decode_usage(message.usage),
        output_bytes=sum(map(answer.output_bytes, blocks)),
    )


def decode_response(body: bytes) -> ChatResponse:
    message, blocks = _read(body)
    choice = Choice(
        index=0,
        parts=tuple(map(_decode_block, blocks)),
        finish=answer.finish_of(message.stop_reason or ""),
        stop_sequence=message.stop_sequence,
    )
    return ChatResponse(message.id or "", message.model or "", (choice,), decode_usage(message.usage))


def encode_response(response: ChatResponse) -> bytes:
    """Anthropic knows one choice, and its callers cannot ask for more."""
    choice = response.choices[0]
    return msgspec.json.encode(
        {
            "id": response.id,
            "type": "message",
            "role": "assistant",
            "model": response.model,
            "content": [_encode_part(part) for part in choice.parts],
            "stop_reason": answer.stop_reason_of(choice.finish, choice.stop_sequence),
            "stop_sequence": choice.stop_sequence,
            "usage": encode_usage(response.usage),
        }
    )


def bad_block(kind: str) -> BadBodyError:
    return BadBodyError(f"a content block of type '{kind}', which no other dialect has")


def _read(body: bytes) -> tuple[answer.Message, list[answer.Block]]:
    try:
        message = answer.MESSAGE.decode(body)
    except MALFORMED as error:
        raise BadBodyError(f"not a message: {error}") from None
    if message.content is None:
        raise BadBodyError(message_of(body) or "a message without content")
    return message, message.content


def _decode_block(block: answer.Block) -> Part:
    match block.type:
        case "text":
            return Text(block.text or "")
        case "thinking":
            return Thinking(block.thinking or "", signature=block.signature or None)
        case "redacted_thinking":
            return Thinking(redacted=block.data or "")
        case "tool_use":
            return ToolCall(block.id or "", block.name or "", bytes(block.input).decode() or "{}")
        case kind:
            raise bad_block(kind)


def _encode_part(part: Part) -> dict[str, Any]:
    match part:
        case Text():
            return {"type": "text", "text": part.text}
        case Thinking():
            return encode_thinking(part)
        case ToolCall():
            return {"type": "tool_use", "id": part.id, "name": part.name, "input": as_object(part.arguments)}
        case _:
            raise bad_block(type(part).__name__)
