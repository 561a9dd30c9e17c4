"""OpenAI's Embeddings API (`POST /v1/embeddings`), as its compatible hosts speak it too.

One `wire.dialect.EmbeddingDialect`. Source: openai-python 3.54.0, `types/embedding_create_params.py` and
`types/create_embedding_response.py`; its client asks for base64 unless told otherwise (`resources/embeddings.py`):
the numbers as little-endian 32-bit floats.
"""

from __future__ import annotations

import base64
import struct
from typing import Annotated, Any, Literal

import msgspec

from wire.body import MALFORMED, NAME, POSITIVE, TEXT, Fields, Reader, open_body, refuse_others
from wire.dialect import BadBodyError, Envelope, Result
from wire.errors import invalid, unsupported
from wire.failures import message_of
from wire.failures import message_of as error_message
from wire.neutral import EmbeddingRequest, EmbeddingResponse
from wire.openai_chat.errors import encode_error
from wire.openai_chat.usage import decode_usage

__all__ = [
    "decode_embeddings",
    "decode_response",
    "encode_embeddings",
    "encode_error",
    "encode_response",
    "error_message",
    "name",
    "open_embeddings",
    "read_result",
    "rewrite_embeddings",
]

name = "openai_embeddings"

MAX_INPUTS = 2048
_KNOWN = frozenset({"model", "input", "dimensions", "encoding_format", "user", "safety_identifier"})
_TEXTS = Annotated[list[str], msgspec.Meta(min_length=1, max_length=MAX_INPUTS)]
_TOKENS = Annotated[list[int | list[int]], msgspec.Meta(min_length=1)]
_ENCODING = Reader[Literal["float", "base64"]](Literal["float", "base64"] | None, "'float' or 'base64'")
_read_texts = msgspec.json.Decoder(str | _TEXTS).decode
_read_tokens = msgspec.json.Decoder(_TOKENS).decode


class _Vector(msgspec.Struct):
    embedding: list[float] | str
    index: int | None = None


class _Answer(msgspec.Struct):
    data: list[_Vector] = []
    model: str | None = None
    usage: msgspec.Raw = msgspec.Raw()


_ANSWER = msgspec.json.Decoder(_Answer)


def open_embeddings(body: bytes) -> Envelope:
    fields = open_body(body)
    if "input" not in fields:
        raise invalid("'input' must be a text or a list of texts.", param="input")
    return Envelope(
        fields=fields,
        model=NAME.read(fields, "model") or "",
        stream=False,
        max_output_tokens=0,
        choices=1,
        input_bytes=len(fields["input"]),
        end_user=TEXT.read(fields, "user") or TEXT.read(fields, "safety_identifier"),
        show_usage=True,
        kind="embedding",
    )


def decode_embeddings(envelope: Envelope) -> EmbeddingRequest:
    fields = envelope.fields
    refuse_others(fields, _KNOWN, {})
    _ENCODING.read(fields, "encoding_format")
    return EmbeddingRequest(
        model=envelope.model,
        texts=_texts(fields),
        dimensions=POSITIVE.read(fields, "dimensions"),
        end_user=envelope.end_user,
    )


def _texts(fields: Fields) -> tuple[str, ...]:
    try:
        said = _read_texts(fields["input"])
    except MALFORMED as error:
        if _are_tokens(fields):
            raise unsupported(
                "input", "of token numbers cannot be translated for the provider of this model."
            ) from None
        raise invalid(f"'input' must be a text or a list of 1 to {MAX_INPUTS} texts: {error}.", param="input") from None
    return (said,) if isinstance(said, str) else tuple(said)


def _are_tokens(fields: Fields) -> bool:
    try:
        _read_tokens(fields["input"])
    except MALFORMED:
        return False
    return True


def rewrite_embeddings(envelope: Envelope, *, model: str) -> bytes:
    return msgspec.json.encode(envelope.fields | {"model": msgspec.Raw(msgspec.json.encode(model))})


def encode_embeddings(request: EmbeddingRequest) -> bytes:
    """Without `encoding_format`: hosts differ in what they know of it, and all of them answer numbers by default."""
    for hint in ("task", "title"):
        if getattr(request, hint) is not None:
            raise unsupported(hint, "cannot be said to the provider of this model.")
    body: dict[str, Any] = {"model": request.model, "input": request.texts}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    if request.end_user is not None:
        body["user"] = request.end_user
    return msgspec.json.encode(body)


def read_result(body: bytes) -> Result:
    read = _read(body)
    return Result(model=read.model or "", finish=None, usage=decode_usage(read.usage), output_bytes=0)


def decode_response(body: bytes) -> EmbeddingResponse:
    read = _read(body)
    by_index = sorted(enumerate(read.data), key=lambda each: each[0] if each[1].index is None else each[1].index)
    return EmbeddingResponse(
        model=read.model or "",
        vectors=tuple(_numbers(vector.embedding) for _, vector in by_index),
        usage=decode_usage(read.usage),
    )


def _read(body: bytes) -> _Answer:
    try:
        read = _ANSWER.decode(body)
    except MALFORMED as error:
        raise BadBodyError(f"not a list of embeddings: {error}") from None
    if not read.data:
        raise BadBodyError(message_of(body) or "an answer without embeddings")
    return read


def _numbers(embedding: list[float] | str) -> tuple[float, ...]:
    if not isinstance(embedding, str):
        return tuple(embedding)
    try:
        packed = base64.b64decode(embedding, validate=True)
        return struct.unpack(f"<{len(packed) // 4}f", packed)
    except (ValueError, struct.error) as error:
        raise BadBodyError(f"not an embedding: {error}") from None


def encode_response(response: EmbeddingResponse, fields: Fields) -> bytes:
    packed = _ENCODING.read(fields, "encoding_format") == "base64"
    tokens = response.usage.input_tokens if response.usage else 0
    body = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": _packed(vector) if packed else vector}
            for index, vector in enumerate(response.vectors)
        ],
        "model": response.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return msgspec.json.encode(body)


def _packed(vector: tuple[float, ...]) -> str:
    """What no 32 bits can hold is as large as they can."""
    form = f"<{len(vector)}f"
    try:
        packed = struct.pack(form, *vector)
    except OverflowError:
        packed = struct.pack(form, *(min(max(number, -_MOST_FLOAT), _MOST_FLOAT) for number in vector))
    return base64.b64encode(packed).decode()


_MOST_FLOAT = (2 - 2**-23) * 2.0**127  # IEEE 754's largest of 32 bits
