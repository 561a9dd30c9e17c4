"""Mistral, which takes ids of calls in its own form alone: nine letters and digits.

https://mistralai.github.io/mistral-common/usage/tools
"""

from __future__ import annotations

import hashlib
import re

import msgspec

from providers.adapters.conversations import calls_of, with_calls_changed
from providers.adapters.strict import StrictCompletions
from wire.body import Fields

_ID_CHARS = 9
_ID = re.compile(rf"[a-zA-Z0-9]{{{_ID_CHARS}}}")
_decode_id = msgspec.json.Decoder(str | None).decode


class MistralCompletions(StrictCompletions):
    """Ids of other providers are shortened, those of a call and of its result alike."""

    def _fitted(self, body: bytes) -> bytes:
        return with_calls_changed(super()._fitted(body), _with_short_ids)


def _with_short_ids(message: Fields) -> Fields:
    changed = _short(message, "tool_call_id")
    if calls := calls_of(message):
        changed["tool_calls"] = _raw([call | _short(call, "id") for call in calls])
    return changed


def _short(fields: Fields, name: str) -> Fields:
    id_ = _decode_id(fields[name]) if name in fields else None
    if id_ is None or _ID.fullmatch(id_):
        return {}
    return {name: _raw(hashlib.sha256(id_.encode()).hexdigest()[:_ID_CHARS])}


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
