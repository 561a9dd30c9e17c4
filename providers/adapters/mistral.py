"""Mistral, which takes ids of calls in its own form alone, and behind a tool's result no user's message.

Nine letters and digits: https://mistralai.github.io/mistral-common/usage/tools; "Unexpected role 'user' after role
'tool'": https://github.com/BerriAI/litellm/issues/17761.
"""

from __future__ import annotations

import hashlib
import re
from itertools import pairwise

import msgspec

from providers.adapters.base import Embeddings
from providers.adapters.conversations import calls_of, with_calls_changed, with_conversation_changed
from providers.adapters.strict import StrictCompletions, fitted
from wire.body import Fields
from wire.dialect import Envelope
from wire.neutral import EmbeddingRequest

_ID_CHARS = 9
_ID = re.compile(rf"[a-zA-Z0-9]{{{_ID_CHARS}}}")
_decode_id = msgspec.json.Decoder(str | None).decode
_decode_role = msgspec.json.Decoder(str).decode
NO_END_USER = ("user", "safety_identifier")
_NOBODY = msgspec.Raw(b'""')
_BETWEEN: Fields = {"role": msgspec.Raw(b'"assistant"'), "content": msgspec.Raw(b'"Understood."')}


class MistralCompletions(StrictCompletions):
    """Ids of other providers are shortened, those of a call and of its result alike.

    Between a tool's result and what the user adds (Claude Code does nearly always) goes a word of the assistant's.
    """

    def _fitted(self, body: bytes) -> bytes:
        return with_conversation_changed(
            with_calls_changed(super()._fitted(body), _with_short_ids), _with_words_between
        )


class MistralEmbeddings(Embeddings, frozen=True):
    """It knows no end user, and `dimensions` by a name of its own: https://docs.mistral.ai/api/endpoint/embeddings."""

    def rewrite(self, envelope: Envelope, *, model: str) -> bytes:
        return _embeddable(super().rewrite(envelope, model=model))

    def encode(self, request: EmbeddingRequest) -> bytes:
        return _embeddable(super().encode(request))


def _embeddable(body: bytes) -> bytes:
    return fitted(body, without=NO_END_USER, renamed={"dimensions": "output_dimension"})


def _with_short_ids(message: Fields) -> Fields:
    changed = _short(message, "tool_call_id")
    if calls := calls_of(message):
        changed["tool_calls"] = _raw([call | _short(call, "id") for call in calls])
    return changed


def _with_words_between(messages: list[Fields]) -> list[Fields]:
    spaced = messages[:1]
    for before, message in pairwise(messages):
        if (_role(before), _role(message)) == ("tool", "user"):
            spaced.append(_BETWEEN)
        spaced.append(message)
    return spaced


def _role(message: Fields) -> str:
    return _decode_role(message.get("role", _NOBODY))


def _short(fields: Fields, name: str) -> Fields:
    id_ = _decode_id(fields[name]) if name in fields else None
    if id_ is None or _ID.fullmatch(id_):
        return {}
    return {name: _raw(hashlib.sha256(id_.encode()).hexdigest()[:_ID_CHARS])}


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
