"""Specification E's calls, under /v1/llm: text and embeddings."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from core.money import usd_text
from gateway.asgi import Door
from gateway.calls import open_call
from gateway.catalogue import Caller
from gateway.doors import model_facts, plain_errors, usage_facts
from gateway.doors.chat import answer_headers
from gateway.doors.specification import (
    Asked,
    Conversation,
    Specification,
    Temperature,
    Tokens,
    Told,
    complete,
    conversation,
)
from gateway.http import JSON, Exchange
from gateway.replies import Reply
from wire.body import open_body
from wire.dialect import Envelope
from wire.errors import ApiError, invalid
from wire.neutral import ChatRequest, EmbeddingRequest, EmbeddingResponse
from wire.openai_embeddings import MAX_INPUTS

if TYPE_CHECKING:
    from gateway.asgi import Gateway


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """What a caller sends."""

    messages: Conversation
    model: str = ""
    temperature: Temperature | None = None
    max_tokens: Tokens | None = None
    user_id: str | None = None


class SpecE(Specification[Body]):
    name = "spec_e"
    operation = "generate"

    def asked(self, body: Body) -> Asked:
        request = ChatRequest(
            model=body.model,
            messages=conversation(prompt=None, messages=body.messages),
            max_output_tokens=body.max_tokens,
            temperature=body.temperature,
            end_user=body.user_id,
        )
        return Asked(request)

    def answer(self, told: Told) -> dict[str, Any]:
        return {
            "response": told.text,
            "model": told.model,
            "provider": told.provider,
            "usage": told.usage,
            "cost": told.cost,
        }


class EmbeddingBody(msgspec.Struct, forbid_unknown_fields=True):
    """What a caller sends for embeddings."""

    texts: Annotated[list[str], msgspec.Meta(min_length=1, max_length=MAX_INPUTS)]
    model: str = ""
    user_id: str | None = None


_TEXTS = "texts"
_decode = msgspec.json.Decoder(EmbeddingBody).decode
_decode_texts = msgspec.json.Decoder(tuple[str, ...]).decode


class SpecEEmbeddings:
    """The caller's half of an embedding dialect."""

    name = "spec_e_embeddings"

    def open_embeddings(self, body: bytes) -> Envelope:
        """Raises `ApiError` INVALID_REQUEST."""
        fields = open_body(body)
        try:
            asked = _decode(body)
        except msgspec.ValidationError as error:
            raise invalid(str(error)) from error
        return Envelope(
            fields=fields,
            model=asked.model,
            stream=False,
            max_output_tokens=0,
            choices=1,
            input_bytes=len(fields[_TEXTS]),
            end_user=asked.user_id,
            show_usage=True,
            kind="embedding",
        )

    def decode_embeddings(self, envelope: Envelope) -> EmbeddingRequest:
        return EmbeddingRequest(model=envelope.model, texts=_decode_texts(envelope.fields[_TEXTS]))

    def encode_error(self, error: ApiError, *, request_id: str, stream: bool = False) -> bytes:
        return plain_errors.encode_error(error, request_id=request_id, operation="generate_embeddings", stream=stream)


async def embed(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """`POST /v1/llm/generate-embeddings`."""
    started = time.perf_counter()
    envelope = _EMBEDDINGS.open_embeddings(await exchange.body(gateway.max_body_bytes))
    call = open_call(
        exchange, surface=door.surface, caller=caller, dialect=_EMBEDDINGS, envelope=envelope, started=started
    )
    reply = await gateway.pipeline.complete(call)
    assert isinstance(reply, Reply), "embeddings do not stream"
    assert isinstance(reply.response, EmbeddingResponse), "no provider speaks this dialect"
    record = reply.record
    body = {
        "embeddings": reply.response.vectors,
        "model": record.served_model or record.deployment,
        "provider": record.provider,
        "usage": {"prompt_tokens": record.input_tokens, "total_tokens": record.input_tokens},
        "cost": None if record.cost_pico is None else msgspec.Raw(usd_text(record.cost_pico).encode()),
    }
    await exchange.answer(200, msgspec.json.encode(body), [JSON, *answer_headers(reply)])


_EMBEDDINGS = SpecEEmbeddings()
_SPEC_E = SpecE(Body)
ROUTES = {
    ("POST", "/v1/llm/generate"): Door("spec_e.generate", _SPEC_E, complete),
    ("GET", "/v1/llm/models"): Door("spec_e.models", _SPEC_E, model_facts.list_facts),
    ("GET", "/v1/llm/usage"): Door("spec_e.usage", _SPEC_E, usage_facts.usage_for_e),
    ("GET", "/v1/llm/embedding-usage"): Door("spec_e.usage", _SPEC_E, usage_facts.embedding_usage_for_e),
    ("POST", "/v1/llm/generate-embeddings"): Door("spec_e.embeddings", _EMBEDDINGS, embed),
}
