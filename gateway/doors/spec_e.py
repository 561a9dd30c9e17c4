"""Specification E's calls, under /v1/llm: text and embeddings."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from gateway.asgi import Door
from gateway.catalogue import Caller
from gateway.doors import model_facts, usage_facts
from gateway.doors.chat import answer_headers
from gateway.doors.embeddings import embedded
from gateway.doors.plain_errors import PlainErrors
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
from gateway.doors.telling import dollars
from gateway.doors.texts import Texts
from gateway.http import JSON, Exchange
from wire.body import open_body
from wire.dialect import Envelope
from wire.neutral import ChatRequest, EmbeddingResponse
from wire.openai_embeddings import MAX_INPUTS
from wire.refusals import refusal

if TYPE_CHECKING:
    from gateway.asgi import Gateway


class Body(msgspec.Struct, forbid_unknown_fields=True):
    """What a caller sends; null is as if left out."""

    messages: Conversation
    model: str | None = None
    temperature: Temperature | None = None
    max_tokens: Tokens | None = None
    user_id: str | None = None


class SpecE(Specification[Body]):
    name = "spec_e"
    operation = "generate"

    def asked(self, body: Body) -> Asked:
        request = ChatRequest(
            model=body.model or "",
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
    model: str | None = None
    user_id: str | None = None


_decode = msgspec.json.Decoder(EmbeddingBody).decode


async def embed(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """`POST /v1/llm/generate-embeddings`."""
    started = time.perf_counter()
    envelope = _opened(await exchange.body(gateway.max_body_bytes))
    reply = await embedded(gateway, door, exchange, caller, envelope, started=started)
    assert isinstance(reply.response, EmbeddingResponse), "no provider speaks this dialect"
    record = reply.record
    body = {
        "embeddings": reply.response.vectors,
        "model": record.served_model or record.deployment,
        "provider": record.provider,
        "usage": {"prompt_tokens": record.input_tokens, "total_tokens": record.input_tokens},
        "cost": dollars(record.cost_pico),
    }
    await exchange.answer(200, msgspec.json.encode(body), [JSON, *answer_headers(reply)])


def _opened(body: bytes) -> Envelope:
    """Raises `ApiError` INVALID_REQUEST."""
    fields = open_body(body)
    try:
        asked = _decode(body)
    except msgspec.ValidationError as error:
        raise refusal(error, EmbeddingBody) from None
    return _TEXTS.envelope(fields["texts"], model=asked.model or "", end_user=asked.user_id)


_TEXTS = Texts("generate_embeddings")
_LIST, _USAGE, _EMBEDDING_USAGE = map(PlainErrors, ("list_models", "usage", "embedding_usage"))
ROUTES = {
    ("POST", "/v1/llm/generate"): Door("spec_e.generate", SpecE(Body), complete),
    ("GET", "/v1/llm/models"): Door("spec_e.models", _LIST, model_facts.list_facts),
    ("GET", "/v1/llm/usage"): Door("spec_e.usage", _USAGE, usage_facts.usage_for_e),
    ("GET", "/v1/llm/embedding-usage"): Door("spec_e.usage", _EMBEDDING_USAGE, usage_facts.embedding_usage_for_e),
    ("POST", "/v1/llm/generate-embeddings"): Door("spec_e.embeddings", _TEXTS, embed),
}
