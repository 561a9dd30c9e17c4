"""Texts to embed, as our own doors have read them: the caller's half of an embedding dialect."""

from __future__ import annotations

import msgspec

from gateway.doors.plain_errors import PlainErrors
from wire.dialect import Envelope
from wire.neutral import EmbeddingRequest

_TEXTS = "texts"
_decode = msgspec.json.Decoder(tuple[str, ...]).decode


class Texts(PlainErrors):
    """`operation` is what errors say was tried."""

    name = "texts"

    def envelope(self, texts: bytes, *, model: str, end_user: str | None) -> Envelope:
        """`texts` is a JSON array."""
        return Envelope(
            fields={_TEXTS: msgspec.Raw(texts)},
            model=model,
            stream=False,
            max_output_tokens=0,
            choices=1,
            input_bytes=len(texts),
            end_user=end_user,
            show_usage=True,
            kind="embedding",
        )

    def decode_embeddings(self, envelope: Envelope) -> EmbeddingRequest:
        return EmbeddingRequest(
            model=envelope.model, texts=_decode(envelope.fields[_TEXTS]), end_user=envelope.end_user
        )
