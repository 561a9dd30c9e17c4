"""`GET /v1/models`: what a caller may ask for, in the dialect in which it is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import msgspec

from gateway.catalogue import Caller
from gateway.http import Exchange, Scope
from providers.routing import some_of
from providers.specs import Topology
from wire import anthropic_messages, gemini
from wire.errors import ApiError, Code

if TYPE_CHECKING:
    from gateway.asgi import Door, Gateway

_LONG_AGO = "2024-01-01T00:00:00Z"  # Anthropic's field is required; ours have no release date
_LONG_AGO_UNIX = 1_704_067_200
_CHATS = ("generateContent", "streamGenerateContent", "countTokens")
_EMBEDS = ("embedContent", "batchEmbedContents")


async def list_models(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """Routes and deployments, by name: those that the caller may use."""
    topology = gateway.pipeline.catalogue.current.seen_by(caller)
    names = _names(topology)
    if door.dialect is anthropic_messages:
        body = _anthropic(names)
    elif door.dialect is gemini:
        body = {"models": [_gemini_model(name, topology) for name in names]}
    else:
        body = _openai(names)
    await exchange.answer(200, msgspec.json.encode(body))


async def show_model(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """One of them, also under its full name, `provider/model`. Raises `ApiError` MODEL_NOT_FOUND."""
    name = exchange.scope["path"].partition("/models/")[2]
    topology = gateway.pipeline.catalogue.current.seen_by(caller)
    owner = _owner(topology, name)
    if owner is None:
        raise ApiError(Code.MODEL_NOT_FOUND, f"No model '{name}'. There is: {some_of(topology.listed)}.", param="model")
    if door.dialect is anthropic_messages:
        one = _anthropic_model(name)
    elif door.dialect is gemini:
        one = _gemini_model(name, topology)
    else:
        one = _openai_model(name, owner)
    await exchange.answer(200, msgspec.json.encode(one))


def as_asked(door: Door, scope: Scope) -> Door:
    """Three lists of models are at one path: Google's and Anthropic's clients are known by headers of their own."""
    if door.surface != "openai.models":
        return door
    names = {name for name, _ in scope["headers"]}
    query: bytes = scope["query_string"]
    if b"x-goog-api-key" in names or "key" in parse_qs(query.decode("latin-1")):
        return msgspec.structs.replace(door, surface="gemini.models", dialect=gemini)
    if b"anthropic-version" in names:
        return msgspec.structs.replace(door, surface="anthropic.models", dialect=anthropic_messages)
    return door


def _names(topology: Topology) -> dict[str, str]:
    """Name -> owner."""
    return {name: _owner(topology, name) or "" for name in topology.listed}


def _owner(topology: Topology, name: str) -> str | None:
    """None: nobody may ask for it. Of several providers' models of one name it is the first."""
    if name in topology.route_names:
        return "ai-platform"
    found = topology.by_own_name.get(name, ())
    return next((each.provider.slug for each in found if each.id in topology.by_id), None)


def _openai(names: dict[str, str]) -> dict[str, Any]:
    return {"object": "list", "data": [_openai_model(name, owner) for name, owner in names.items()]}


def _openai_model(name: str, owner: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": _LONG_AGO_UNIX, "owned_by": owner}


def _anthropic(names: dict[str, str]) -> dict[str, Any]:
    listed = list(names)
    return {
        "data": [_anthropic_model(name) for name in listed],
        "has_more": False,
        "first_id": listed[0] if listed else None,
        "last_id": listed[-1] if listed else None,
    }


def _anthropic_model(name: str) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": name, "created_at": _LONG_AGO}


def _gemini_model(name: str, topology: Topology) -> dict[str, Any]:
    """A name of several kinds of model (a route's) can do what each of them can."""
    kinds = {target.deployment.type for target in topology.targets(name) or ()}
    methods = [*(_CHATS if kinds - {"embedding"} else ()), *(_EMBEDS if "embedding" in kinds else ())]
    return {"name": f"models/{name}", "version": "", "displayName": name, "supportedGenerationMethods": methods}
