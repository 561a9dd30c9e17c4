"""DeepSeek, whose models think unless they are told not to (https://api-docs.deepseek.com/guides/thinking_mode)."""

from __future__ import annotations

import msgspec

from providers.adapters.conversations import calls_of, with_calls_changed
from providers.adapters.openai import ChatCompletions
from wire.body import Fields
from wire.dialect import Envelope
from wire.neutral import ChatRequest

_NO_THOUGHT = (b"", b"null", b'""')
_LEAST_THOUGHT = msgspec.Raw(b'" "')  # https://github.com/BerriAI/litellm/pull/28057
_WITHOUT_THINKING = msgspec.Raw(b'{"type":"disabled"}')


class DeepSeekCompletions(ChatCompletions):
    """A message that calls tools must hold a thought, or DeepSeek answers 400: other providers' calls have none."""

    def rewrite(self, envelope: Envelope, *, model: str, max_output_tokens: int | None) -> bytes:
        body = super().rewrite(envelope, model=model, max_output_tokens=max_output_tokens)
        return with_calls_changed(body, _thought)

    def encode(self, request: ChatRequest) -> bytes:
        body = with_calls_changed(super().encode(request), _thought)
        return _unthinking(body) if request.reasoning_effort == "none" else body


def _thought(message: Fields) -> Fields:
    lacking = bytes(message.get("reasoning_content", b"")) in _NO_THOUGHT
    return {"reasoning_content": _LEAST_THOUGHT} if lacking and calls_of(message) else {}


def _unthinking(body: bytes) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(body, type=Fields) | {"thinking": _WITHOUT_THINKING})
