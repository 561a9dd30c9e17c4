"""Ollama's embeddings (`POST /api/embed`), and the older call for a single text (`POST /api/embeddings`).

One `wire.dialect.EmbeddingDialect`, of the former; the older call is one of a single text, by `open_single` and
`single`. Source: Ollama's `docs/api.md`; ollama-python 0.6.3, `EmbedRequest`, `EmbeddingsRequest`.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from wire.body import FLAG, MALFORMED, NAME, POSITIVE, TEXT, Fields, Reader, open_body, refuse_others
from wire.counts import Count
from wire.dialect import BadBodyError, Envelope, Result
from wire.errors import invalid, unsupported
from wire.failures import message_of
from wire.failures import message_of as error_message
from wire.neutral import EmbeddingRequest, EmbeddingResponse, Usage
from wire.ollama.errors import encode_error
from wire.ollama.options import read_options, refuse_others_than_ours

__all__ = [
    "decode_embeddings",
    "decode_response",
    "encode_embeddings",
    "encode_error",
    "encode_response",
    "error_message",
    "name",
    "open_embeddings",
    "open_single",
    "read_result",
    "rewrite_embeddings",
    "single",
]

name = "ollama_embeddings"

MAX_INPUTS = 2048

# `keep_alive` is about a machine of the caller's own, `options` about how it runs the model.
_KNOWN = frozenset({"model", "input", "dimensions", "truncate", "options", "keep_alive"})
_INPUT = Reader[str | list[str]](
    str | Annotated[list[str], msgspec.Meta(min_length=1, max_length=MAX_INPUTS)],
    f"a text or a list of 1 to {MAX_INPUTS} texts",
)


class _Answer(msgspec.Struct):
    model: str | None = None
    embeddings: list[list[float]] = []
    prompt_eval_count: Count = None


class _RawAnswer(msgspec.Struct):
    embeddings: list[msgspec.Raw]


_ANSWER = msgspec.json.Decoder(_Answer)
_RAW_ANSWER = msgspec.json.Decoder(_RawAnswer)


def open_embeddings(body: bytes) -> Envelope:
    fields = open_body(body)
    if "input" not in fields:
        raise invalid("'input' must be a text or a list of texts.", param="input")
    return _opened(fields)


def open_single(body: bytes) -> Envelope:
    """The body of `/api/embeddings`, as that of `/api/embed`: `prompt` is its `input`."""
    fields = open_body(body)
    if not TEXT.read(fields, "prompt"):
        raise invalid("'prompt' must be a non-empty string.", param="prompt")
    return _opened({"input" if name == "prompt" else name: raw for name, raw in fields.items()})


def _opened(fields: Fields) -> Envelope:
    return Envelope(
        fields=fields,
        model=NAME.read(fields, "model") or "",
        stream=False,
        max_output_tokens=0,
        choices=1,
        input_bytes=len(fields["input"]),
        end_user=None,
        show_usage=True,
        kind="embedding",
    )


def decode_embeddings(envelope: Envelope) -> EmbeddingRequest:
    """Other providers refuse a text that is too long, where Ollama cuts it unless it is told not to."""
    fields = envelope.fields
    refuse_others(fields, _KNOWN, {})
    refuse_others_than_ours(read_options(fields))
    FLAG.read(fields, "truncate")
    return EmbeddingRequest(model=envelope.model, texts=_texts(fields), dimensions=POSITIVE.read(fields, "dimensions"))


def rewrite_embeddings(envelope: Envelope, *, model: str) -> bytes:
    return msgspec.json.encode(envelope.fields | {"model": msgspec.Raw(msgspec.json.encode(model))})


def encode_embeddings(request: EmbeddingRequest) -> bytes:
    """A text that is too long is refused, as by other providers, not cut. The end user's id stays with us."""
    for hint in ("task", "title"):
        if getattr(request, hint) is not None:
            raise unsupported(hint, "cannot be said to the provider of this model.")
    body: dict[str, Any] = {"model": request.model, "input": request.texts, "truncate": False}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    return msgspec.json.encode(body)


def read_result(body: bytes) -> Result:
    read = _read(body)
    return Result(model=read.model or "", finish=None, usage=_usage(read), output_bytes=0)


def decode_response(body: bytes) -> EmbeddingResponse:
    read = _read(body)
    return EmbeddingResponse(model=read.model or "", vectors=tuple(map(tuple, read.embeddings)), usage=_usage(read))


def encode_response(response: EmbeddingResponse, fields: Fields) -> bytes:
    del fields
    body: dict[str, Any] = {"model": response.model, "embeddings": response.vectors}
    if response.usage is not None:
        body["prompt_eval_count"] = response.usage.input_tokens
    return msgspec.json.encode(body)


def single(answer: bytes) -> bytes:
    """The answer of `/api/embed` to one text, as that of `/api/embeddings`."""
    return msgspec.json.encode({"embedding": _RAW_ANSWER.decode(answer).embeddings[0]})


def _texts(fields: Fields) -> tuple[str, ...]:
    said = _INPUT.read(fields, "input")
    return (said,) if isinstance(said, str) else tuple(said or ())


def _read(body: bytes) -> _Answer:
    try:
        read = _ANSWER.decode(body)
    except MALFORMED as error:
        raise BadBodyError(f"not a list of embeddings: {error}") from None
    if not read.embeddings:
        raise BadBodyError(message_of(body) or "an answer without embeddings")
    return read


def _usage(read: _Answer) -> Usage | None:
    """None where it is not told, or told as none."""
    if not read.prompt_eval_count:
        return None
    raw = msgspec.json.encode({"prompt_eval_count": read.prompt_eval_count})
    return Usage(input_tokens=read.prompt_eval_count, raw=raw)
