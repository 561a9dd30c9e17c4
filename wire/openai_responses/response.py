"""A provider's plain answer: the books' figures out of it, its translation, and ours for a caller."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import msgspec

from wire.body import MALFORMED
from wire.dialect import BadBodyError, Result
from wire.failures import message_of
from wire.logprobs import believed
from wire.neutral import ChatResponse, Choice, FinishReason, Part, Text, Thinking, ToolCall, Usage
from wire.openai_responses import answer
from wire.openai_responses.reasoning import encrypted_content, thinking_of
from wire.openai_responses.usage import decode_usage, encode_usage

_PREFIXES: dict[type[Part], str] = {Text: "msg", Thinking: "rs", ToolCall: "fc"}


def read_result(body: bytes) -> Result:
    response, items = _read(body)
    return Result(
        model=response.model or "",
        finish=answer.finish_of(response),
        usage=decode_usage(response.usage),
        output_bytes=sum(map(answer.output_bytes, items)),
    )


def decode_response(body: bytes) -> ChatResponse:
    response, items = _read(body)
    choice = Choice(
        index=0,
        parts=tuple(part for item in items for part in _decode_item(item)),
        finish=answer.finish_of(response),
        logprobs=_logprobs(items),
    )
    usage = decode_usage(response.usage)
    return ChatResponse(response.id or "", response.model or "", (choice,), usage, answer.created_of(response))


def encode_response(response: ChatResponse) -> bytes:
    """OpenAI knows one choice here, and its callers cannot ask for more."""
    choice = response.choices[0]
    logprobs = (choice.logprobs or {}).get("content") or []
    body = frame(response.id, response.model, response.created)
    items = [
        encode_item(part, item_id(_PREFIXES[type(part)], body, index), logprobs=logprobs)
        for index, part in enumerate(choice.parts)
    ]
    return msgspec.json.encode(body | ended(choice.finish, items, response.usage))


def frame(answer_id: str, model: str, created: int) -> dict[str, Any]:
    """An answer that has just begun.

    OpenAI repeats the request in it. Of that, clients need the three fields whose usual values stand here.
    Without an `answer_id` of the provider's it gets a new one: clients name its items by it.
    """
    return {
        "id": answer_id or f"resp_{secrets.token_hex(16)}",
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "model": model,
        "output": [],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "store": False,
        "usage": None,
    }


def ended(finish: FinishReason, items: list[dict[str, Any]], usage: Usage | None) -> dict[str, Any]:
    """What the end of an answer changes in its frame."""
    reason = {"length": "max_output_tokens", "content_filter": "content_filter"}.get(finish)
    return {
        "status": "incomplete" if reason else "completed",
        "incomplete_details": {"reason": reason} if reason else None,
        "output": items,
        "usage": None if usage is None else encode_usage(usage),
    }


def item_id(prefix: str, answer: dict[str, Any], index: int) -> str:
    """OpenAI, to whom a client may send the item back, knows its kinds by their prefixes.

    The answer's time is in it for hosts that give all their answers one id.
    """
    return f"{prefix}_{answer['id']}_{answer['created_at']:x}_{index}"


def encode_item(part: Part, id_: str, *, logprobs: list[Any], status: str = "completed") -> dict[str, Any]:
    match part:
        case Text():
            content = [text_part(part.text, logprobs)]
            return {"id": id_, "type": "message", "status": status, "role": "assistant", "content": content}
        case Thinking():
            summary = [{"type": "summary_text", "text": part.text}] if part.text else []
            sealed = encrypted_content(part)
            return {"id": id_, "type": "reasoning", "summary": summary, "encrypted_content": sealed}
        case ToolCall():
            arguments = part.arguments or ("{}" if status == "completed" else "")  # what was cut off is not whole
            call = {"call_id": part.id, "name": part.name, "arguments": arguments}
            return {"id": id_, "type": "function_call", "status": status, **call}
        case _:
            raise answer.bad_item(type(part).__name__)


def text_part(text: str, logprobs: list[Any]) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs}


def _read(body: bytes) -> tuple[answer.Response, list[answer.Item]]:
    try:
        response = answer.RESPONSE.decode(body)
    except MALFORMED as error:
        raise BadBodyError(f"not a response: {error}") from None
    if response.output is None or response.status == "failed":
        raise BadBodyError(message_of(body) or "a response without output")
    return response, response.output


def _decode_item(item: answer.Item) -> Iterator[Part]:
    match item.type:
        case "message":
            yield from (Text(part.text or part.refusal or "") for part in item.content or ())
        case "reasoning":
            thinking = thinking_of(answer.thinking_text(item), item.encrypted_content)
            if thinking is not None:
                yield thinking
        case "function_call":
            yield ToolCall(item.call_id or "", item.name or "", item.arguments or "")
        case kind:
            raise answer.bad_item(kind)


def _logprobs(items: list[answer.Item]) -> dict[str, Any] | None:
    """In the form of Chat Completions, which is the neutral one."""
    told = [each for item in items for part in item.content or () for each in _list(part.logprobs)]
    return believed({"content": told}) if told else None


def _list(said: Any) -> list[Any]:
    return said if isinstance(said, list) else []
