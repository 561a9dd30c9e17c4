"""An answer as it is kept: the provider's own bytes, from which it can be told again in any dialect."""

from __future__ import annotations

import functools
from datetime import datetime
from uuid import UUID

import msgspec

from providers.adapters import ADAPTERS
from usage.rows import RecordRow
from wire.dialect import Dialect, EmbeddingDialect

MAX_BODY_BYTES = 1024 * 1024  # of an answer that is kept; larger ones are not


class Stored(msgspec.Struct, frozen=True, array_like=True):
    """A provider's whole answer and what the books know of it. `body` is a stream's bytes where the call streamed.

    `cost_pico` is what it cost when it was made; None: unknown. `started_at` is of the call that was answered; None
    where an older version has kept it.
    """

    dialect: str
    body: bytes
    provider_id: UUID | None
    provider: str
    deployment_id: UUID | None
    deployment: str
    served_model: str
    finish_reason: str
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost_pico: int | None
    started_at: datetime | None = None


_FACTS = Stored.__struct_fields__[2:]
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Stored).decode


def stored(record: RecordRow, *, dialect: str, body: bytes) -> Stored | None:
    """The answer whose record is `record`, as the provider gave it in `dialect`. None where it is too large."""
    if len(body) > MAX_BODY_BYTES:
        return None
    return Stored(dialect, body, *(getattr(record, name) for name in _FACTS))


def encode(answer: Stored) -> bytes:
    return _encode(answer)


def decode(content: bytes) -> Stored | None:
    """None for what another version has written."""
    try:
        return _decode(content)
    except msgspec.DecodeError:
        return None


def dialect_of(answer: Stored) -> Dialect | EmbeddingDialect:
    """What `answer.body` is written in. Raises KeyError for a dialect that this version does not speak."""
    return _dialects()[answer.dialect]


@functools.cache
def _dialects() -> dict[str, Dialect | EmbeddingDialect]:
    known: dict[str, Dialect | EmbeddingDialect] = {}
    for adapter in ADAPTERS.values():
        known |= {chat.dialect.name: chat.dialect for chat in adapter.chats}
        if adapter.embeddings is not None:
            known[adapter.embeddings.dialect.name] = adapter.embeddings.dialect
    return known


class Tape:
    """A stream's bytes, as far as they can be kept."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._left_bytes = MAX_BODY_BYTES

    def add(self, chunk: bytes) -> None:
        self._left_bytes -= len(chunk)
        if self._left_bytes >= 0:
            self._chunks.append(chunk)
        else:
            self._chunks.clear()

    @property
    def content(self) -> bytes | None:
        """None where they were too many."""
        return b"".join(self._chunks) if self._left_bytes >= 0 else None
