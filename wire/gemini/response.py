"""A provider's plain answer: the books' figures out of it, its translation, and ours for a caller."""

from __future__ import annotations

from typing import Any

import msgspec

from wire.body import MALFORMED
from wire.dialect import BadBodyError, Result
from wire.failures import message_of
from wire.gemini import answer
from wire.gemini.logprobs import decode_logprobs, encode_logprobs
from wire.gemini.messages_out import encode_call
from wire.gemini.signatures import encode_signature, sign
from wire.gemini.usage import decode_usage, encode_usage
from wire.neutral import ChatResponse, Choice, Part, Text, Thinking, ToolCall


def read_result(body: bytes) -> Result:
    read, candidates = _read(body)
    first = candidates[0]
    return Result(
        model=read.model_version or "",
        finish=answer.finish_of(first.finish_reason or "", calls=answer.calls_in(first)),
        usage=decode_usage(read.usage_metadata),
        output_bytes=sum(map(answer.output_bytes, candidates)),
    )


def decode_response(body: bytes) -> ChatResponse:
    read, candidates = _read(body)
    return ChatResponse(
        id=read.response_id or "",
        model=read.model_version or "",
        choices=tuple(_decode_candidate(each, at, read.response_id or "") for at, each in enumerate(candidates)),
        usage=decode_usage(read.usage_metadata),
    )


def encode_response(response: ChatResponse) -> bytes:
    body: dict[str, Any] = {
        "candidates": [_encode_candidate(choice) for choice in response.choices],
        "modelVersion": response.model,
        "responseId": response.id,
    }
    if response.usage is not None:
        body["usageMetadata"] = encode_usage(response.usage)
    return msgspec.json.encode(body)


def call_id(said: str | None, answer_id: str, choice: int, call: int) -> str:
    """Gemini may give calls no id. Ours is unique in the conversation, as the answer's own id is."""
    return said or f"call_{answer_id}_{choice}_{call}"


def _read(body: bytes) -> tuple[answer.Answer, list[answer.Candidate]]:
    """A prompt that Google refuses has no candidate: it is read as one that says nothing."""
    try:
        read = answer.ANSWER.decode(body)
    except MALFORMED as error:
        raise BadBodyError(f"not an answer of Gemini's: {error}") from None
    if read.is_blocked:
        return read, [answer.Candidate(finish_reason="SAFETY", index=0)]
    if not read.candidates:
        raise BadBodyError(message_of(body) or "an answer without candidates")
    return read, read.candidates


def _decode_candidate(candidate: answer.Candidate, at: int, answer_id: str) -> Choice:
    index = at if candidate.index is None else candidate.index
    parts: list[Part] = []
    calls = 0
    for part in candidate.parts:
        parts += _decode_part(part)
        if part.thought_signature:
            sign(parts, part.thought_signature)
        if part.function_call is not None:
            parts.append(_decode_call(part.function_call, answer_id, index, calls))
            calls += 1
    return Choice(
        index=index,
        parts=tuple(parts),
        finish=answer.finish_of(candidate.finish_reason or "", calls=calls > 0),
        logprobs=decode_logprobs(candidate.logprobs_result) if len(candidate.logprobs_result) else None,
    )


def _decode_part(part: answer.Part) -> list[Part]:
    answer.require_sayable(part)
    if not part.text:
        return []
    return [Thinking(part.text) if part.thought else Text(part.text)]


def _decode_call(call: answer.Call, answer_id: str, choice: int, number: int) -> ToolCall:
    if not call.name:
        raise BadBodyError("a function call without a name")
    return ToolCall(call_id(call.id, answer_id, choice, number), call.name, bytes(call.args).decode() or "{}")


def _encode_candidate(choice: Choice) -> dict[str, Any]:
    encoded: dict[str, Any] = {
        "content": {"parts": _encode_parts(choice.parts), "role": "model"},
        "finishReason": answer.reason_of(choice.finish),
        "index": choice.index,
    }
    logprobs = encode_logprobs(choice.logprobs)
    return encoded | {"logprobsResult": logprobs} if logprobs else encoded


def _encode_parts(parts: tuple[Part, ...]) -> list[dict[str, Any]]:
    """A signature right before a call stands on the call, as Gemini has it."""
    encoded: list[dict[str, Any]] = []
    signature: str | None = None
    for at, part in enumerate(parts):
        match part:
            case Text():
                encoded.append({"text": part.text})
            case Thinking():
                signature = encode_signature(part.signature, part.redacted)
                is_calls = at + 1 < len(parts) and isinstance(parts[at + 1], ToolCall)
                encoded += _encode_thought(part.text, None if is_calls else signature)
            case ToolCall():
                encoded.append(encode_call(part, signature))
            case _:
                raise BadBodyError(f"a {type(part).__name__}, which no answer of Gemini's holds")
        if not isinstance(part, Thinking):
            signature = None
    return encoded


def _encode_thought(text: str, signature: str | None) -> list[dict[str, Any]]:
    """Without words it is the signature of the text before it."""
    signed = {"thoughtSignature": signature} if signature else {}
    if not text:
        return [{"text": "", **signed}] if signed else []
    return [{"text": text, "thought": True, **signed}]
