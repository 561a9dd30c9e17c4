"""Google's embeddings API (`POST /v1beta/models/{model}:batchEmbedContents`, and `:embedContent` for a single text).

One `wire.dialect.EmbeddingDialect`, of the batch; a single call is a batch of one, by `open_single` and `single`.
Source: google-genai 3.4.0, `models.py` (`_EmbedContentConfig_to_mldev`) and `types.py` (`EmbedContentResponse`). The
model's name stands in the URL, and again in each request of a batch.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from wire.body import MALFORMED, MOST, Fields, Reader, open_body, refuse_others
from wire.dialect import BadBodyError, Envelope, Result
from wire.errors import invalid, unsupported
from wire.failures import message_of
from wire.failures import message_of as error_message
from wire.gemini.errors import encode_error
from wire.gemini.names import camel, camel_keys
from wire.gemini.usage import decode_usage
from wire.neutral import EmbeddingRequest, EmbeddingResponse

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

name = "gemini_embeddings"

MAX_REQUESTS = 100


class _Part(msgspec.Struct, forbid_unknown_fields=True):
    text: str


class _Content(msgspec.Struct, forbid_unknown_fields=True):
    parts: list[_Part] | _Part
    role: str | None = None


class _Request(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    content: _Content
    model: str | None = None
    task_type: str | None = None
    title: str | None = None
    output_dimensionality: Annotated[int, msgspec.Meta(ge=1, le=MOST)] | None = None


class _Vector(msgspec.Struct, gc=False):
    values: list[float] | None = None


class _Answer(msgspec.Struct, rename="camel", gc=False):
    embeddings: list[_Vector] | None = None
    usage_metadata: msgspec.Raw = msgspec.Raw()


class _RawAnswer(msgspec.Struct, rename="camel", gc=False):
    embeddings: list[msgspec.Raw]
    usage_metadata: msgspec.Raw = msgspec.Raw()


_OBJECTS = Reader[list[Fields]](Annotated[list[Fields], msgspec.Meta(min_length=1, max_length=MAX_REQUESTS)])
_REQUESTS = Reader[list[_Request]](list[_Request])
_ANSWER: msgspec.json.Decoder[_Answer] = msgspec.json.Decoder(_Answer)
_RAW_ANSWER: msgspec.json.Decoder[_RawAnswer] = msgspec.json.Decoder(_RawAnswer)


def open_embeddings(body: bytes) -> Envelope:
    """`model` is left to who knows the URL. The batch is read here: what is none must not come to a hold."""
    fields = camel_keys(open_body(body))
    _OBJECTS.read(fields, "requests")
    return _opened(fields)


def open_single(body: bytes) -> Envelope:
    """The body of `:embedContent`, as that of a batch of one."""
    return _opened({"requests": msgspec.Raw(msgspec.json.encode([open_body(body)]))})


def _opened(fields: Fields) -> Envelope:
    if "requests" not in fields:
        raise invalid("'requests' must be a non-empty array.", param="requests")
    return Envelope(
        fields=fields,
        model="",
        stream=False,
        max_output_tokens=0,
        choices=1,
        input_bytes=len(fields["requests"]),
        end_user=None,
        show_usage=True,
        kind="embedding",
    )


def decode_embeddings(envelope: Envelope) -> EmbeddingRequest:
    """All requests of the batch must ask for the same: other providers know one setting for all texts."""
    refuse_others(envelope.fields, ("requests",), {})
    requests = _REQUESTS.read({"requests": camel(envelope.fields["requests"])}, "requests") or []
    if not requests:
        raise invalid("'requests' must be a non-empty array.", param="requests")
    settings = {(each.task_type, each.title, each.output_dimensionality) for each in requests}
    if len(settings) > 1:
        raise unsupported("requests", "of different settings cannot be translated for the provider of this model.")
    first = requests[0]
    return EmbeddingRequest(
        model=envelope.model,
        texts=tuple(_text(each.content) for each in requests),
        dimensions=first.output_dimensionality,
        task=first.task_type,
        title=first.title,
    )


def _text(content: _Content) -> str:
    parts = content.parts if isinstance(content.parts, list) else [content.parts]
    return "".join(part.text for part in parts)


def rewrite_embeddings(envelope: Envelope, *, model: str) -> bytes:
    named = {"model": msgspec.Raw(msgspec.json.encode(_resource(model)))}
    requests = [request | named for request in _OBJECTS.read(envelope.fields, "requests") or ()]
    return msgspec.json.encode(envelope.fields | {"requests": msgspec.Raw(msgspec.json.encode(requests))})


def encode_embeddings(request: EmbeddingRequest) -> bytes:
    """The end user has no place here; our own books know."""
    if len(request.texts) > MAX_REQUESTS:
        raise unsupported("texts", f"may be at most {MAX_REQUESTS} at once for Gemini.")
    asked = {
        "model": _resource(request.model),
        "taskType": request.task,
        "title": request.title,
        "outputDimensionality": request.dimensions,
    }
    common = {name: value for name, value in asked.items() if value is not None}
    requests = [common | {"content": {"parts": [{"text": text}]}} for text in request.texts]
    return msgspec.json.encode({"requests": requests})


def read_result(body: bytes) -> Result:
    """Google does not say which model it was."""
    return Result(model="", finish=None, usage=decode_usage(_read(body).usage_metadata), output_bytes=0)


def decode_response(body: bytes) -> EmbeddingResponse:
    read = _read(body)
    return EmbeddingResponse(
        model="",
        vectors=tuple(tuple(vector.values or ()) for vector in read.embeddings or ()),
        usage=decode_usage(read.usage_metadata),
    )


def encode_response(response: EmbeddingResponse, fields: Fields) -> bytes:
    del fields
    body: dict[str, Any] = {"embeddings": [{"values": vector} for vector in response.vectors]}
    if response.usage is not None:
        tokens = response.usage.input_tokens
        body["usageMetadata"] = {"promptTokenCount": tokens, "totalTokenCount": tokens}
    return msgspec.json.encode(body)


def single(batch: bytes) -> bytes:
    """The answer of a batch of one, as that of `:embedContent`."""
    read = _RAW_ANSWER.decode(batch)
    usage = {"usageMetadata": read.usage_metadata} if len(read.usage_metadata) else {}
    return msgspec.json.encode({"embedding": read.embeddings[0], **usage})


def _read(body: bytes) -> _Answer:
    try:
        read = _ANSWER.decode(body)
    except MALFORMED as error:
        raise BadBodyError(f"not a list of embeddings: {error}") from None
    if not read.embeddings:
        raise BadBodyError(message_of(body) or "an answer without embeddings")
    return read


def _resource(model: str) -> str:
    return f"models/{model}"
