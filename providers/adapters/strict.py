"""Hosts that speak OpenAI's dialect and refuse a whole call for one field that they do not know."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from providers.adapters.openai import ChatCompletions
from wire.dialect import Envelope
from wire.neutral import ChatRequest, Thinking

_THOUGHTS = "reasoning_content"
_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_messages = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode


class StrictCompletions(ChatCompletions):
    """`without` is left out of every body, `renamed` is said in the host's own words.

    Both are of the body's own level, and lose nothing that changes the answer. What a model thought before is not sent
    back either, in whichever dialect the caller says it: none of these hosts takes `reasoning_content`.
    """

    def __init__(self, *, without: Collection[str] = (), renamed: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._without = without
        self._renamed = renamed or {}

    def rewrite(self, envelope: Envelope, *, model: str, max_output_tokens: int | None) -> bytes:
        unthinking = _without_thoughts(envelope)
        return self._fitted(super().rewrite(unthinking, model=model, max_output_tokens=max_output_tokens))

    def encode(self, request: ChatRequest) -> bytes:
        return self._fitted(super().encode(_without_thinking(request)))

    def _fitted(self, body: bytes) -> bytes:
        return fitted(body, without=self._without, renamed=self._renamed) if self._without or self._renamed else body


def fitted(body: bytes, *, without: Collection[str], renamed: Mapping[str, str]) -> bytes:
    fields = _decode(body)
    return msgspec.json.encode(
        {renamed.get(name, name): value for name, value in fields.items() if name not in without}
    )


def _without_thoughts(envelope: Envelope) -> Envelope:
    """The same where nobody has thought, which costs a look at the bytes. What is no message, the host will refuse."""
    messages = envelope.fields.get("messages")
    if messages is None or _THOUGHTS.encode() not in bytes(messages):
        return envelope
    try:
        said = _decode_messages(messages)
    except msgspec.DecodeError:
        return envelope
    kept = [{name: value for name, value in message.items() if name != _THOUGHTS} for message in said]
    return msgspec.structs.replace(
        envelope, fields=envelope.fields | {"messages": msgspec.Raw(msgspec.json.encode(kept))}
    )


def _without_thinking(request: ChatRequest) -> ChatRequest:
    messages = tuple(
        msgspec.structs.replace(message, parts=tuple(part for part in message.parts if not isinstance(part, Thinking)))
        for message in request.messages
    )
    return msgspec.structs.replace(request, messages=messages)
