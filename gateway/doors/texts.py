"""Texts to embed, as our own doors have read them: the caller's half of an embedding dialect."""

from __future__ import annotations

import msgspec

from gateway.doors import plain_errors
from wire.dialect import Envelope
from wire.errors import ApiError
from wire.neutral import EmbeddingRequest

_TEXTS = "texts"
_decode = msgspec.json.Decoder(tuple[str, ...]).decode


class Texts:
    """`operation` is what errors say was tried."""

    name = "texts"

    def __init__(self, operation: str) -> None:
        self._operation = operation

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

    def encode_error(self, error: ApiError, *, request_id: str, stream: bool = False) -> bytes:
        return plain_errors.encode_error(error, request_id=request_id, operation=self._operation, stream=stream)
