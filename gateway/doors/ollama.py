"""Ollama's door: what its clients call when only their host is changed. A key comes as theirs for its cloud does."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import msgspec

from gateway.asgi import Door
from gateway.catalogue import Caller
from gateway.doors.chat import answer_headers, answer_opened
from gateway.doors.embeddings import answer_embeddings, embedded, encoded
from gateway.http import JSON, Exchange
from providers.routing import some_of
from wire import ollama, ollama_embeddings, ollama_generate
from wire.body import ANY, NAME, Fields, open_body
from wire.errors import ApiError, Code, invalid
from wire.ollama.answer import created_at

if TYPE_CHECKING:
    from gateway.asgi import Gateway
    from providers.specs import TargetSpec
    from wire.dialect import CallerDialect
    from wire.ollama.stream_out import Encoder

API_VERSION = "0.33.0"  # the Ollama whose API this is: clients ask for what they may use
_LONG_AGO = "2024-01-01T00:00:00Z"  # the field is required; our models have no release date


async def answer_chat(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """A chat; or, where nothing is asked, what Ollama says of a model that it has loaded or let go of.

    Its command line asks for that before the first question. Nobody is called for it.
    """
    started = time.perf_counter()
    dialect = cast("CallerDialect", door.dialect)
    body = await exchange.body(gateway.max_body_bytes)
    try:
        envelope = dialect.open_chat(body)
    except ApiError:
        fields = open_body(body)
        if not _asks_nothing(fields):
            raise
        await exchange.answer(200, msgspec.json.encode(_loaded(gateway, dialect, caller, fields)))
        return
    await answer_opened(gateway, door, exchange, caller, envelope, started=started)


async def embed_one(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """`POST /api/embeddings`, which clients of some age still call."""
    started = time.perf_counter()
    envelope = ollama_embeddings.open_single(await exchange.body(gateway.max_body_bytes))
    reply = await embedded(gateway, door, exchange, caller, envelope, started=started)
    body = ollama_embeddings.single(encoded(reply, ollama_embeddings, envelope))
    await exchange.answer(200, body, [JSON, *answer_headers(reply)])


async def tell_version(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    del gateway, door, caller
    await exchange.answer(200, msgspec.json.encode({"version": API_VERSION}))


async def list_tags(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """Routes and deployments, by name: those that the caller may use."""
    del door
    names = gateway.pipeline.catalogue.current.seen_by(caller).listed
    await exchange.answer(200, msgspec.json.encode({"models": list(map(_model, names))}))


async def show(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """One of them, also under its full name, `provider/model`. Raises `ApiError` MODEL_NOT_FOUND."""
    del door
    _, targets = _named(gateway, caller, open_body(await exchange.body(gateway.max_body_bytes)))
    shown = {
        "modelfile": "",
        "parameters": "",
        "template": "",
        "details": _DETAILS,
        "model_info": {},
        "capabilities": _capabilities({target.deployment.type for target in targets}),
        "modified_at": _LONG_AGO,
    }
    await exchange.answer(200, msgspec.json.encode(shown))


def _named(gateway: Gateway, caller: Caller, fields: Fields) -> tuple[str, Sequence[TargetSpec]]:
    """The model that a body names. Raises `ApiError` MODEL_NOT_FOUND."""
    name = NAME.read(fields, "model") or NAME.read(fields, "name")
    if name is None:
        raise invalid("'model' must be a non-empty string.", param="model")
    topology = gateway.pipeline.catalogue.current.seen_by(caller)
    targets = topology.targets(name)
    if not targets:
        raise ApiError(Code.MODEL_NOT_FOUND, f"No model '{name}'. There is: {some_of(topology.listed)}.", param="model")
    return name, targets


def _asks_nothing(fields: Fields) -> bool:
    return all(ANY.read(fields, name) in (None, "", []) for name in ("messages", "prompt"))


def _loaded(gateway: Gateway, dialect: CallerDialect, caller: Caller, fields: Fields) -> dict[str, Any]:
    """Ollama's `docs/api.md`, "Load a model" and "Unload a model": one object, also for who streams."""
    name, _ = _named(gateway, caller, fields)
    is_let_go = ANY.read(fields, "keep_alive") in (0, "0", "0s")
    said = cast("Encoder", dialect.encoder(show_usage=False)).said("")
    head = {"model": name, "created_at": created_at(int(time.time()))}
    return {**head, **said, "done": True, "done_reason": "unload" if is_let_go else "load"}


def _capabilities(types: set[str]) -> list[str]:
    chats = ["completion", "tools"] if "chat" in types else []
    return chats + (["embedding"] if "embedding" in types else [])


def _model(name: str) -> dict[str, Any]:
    """Clients know models by their digests."""
    digest = hashlib.sha256(name.encode()).hexdigest()
    return {
        "name": name,
        "model": name,
        "modified_at": _LONG_AGO,
        "size": 0,
        "digest": digest,
        "details": _DETAILS,
    }


_DETAILS: dict[str, Any] = {
    "parent_model": "",
    "format": "",
    "family": "",
    "families": [],
    "parameter_size": "",
    "quantization_level": "",
}

ROUTES = {
    ("POST", "/api/chat"): Door("ollama.chat", ollama, answer_chat),
    ("POST", "/api/generate"): Door("ollama.generate", ollama_generate, answer_chat),
    ("POST", "/api/embed"): Door("ollama.embed", ollama_embeddings, answer_embeddings),
    ("POST", "/api/embeddings"): Door("ollama.embed", ollama_embeddings, embed_one),
    ("POST", "/api/show"): Door("ollama.show", ollama, show),
    ("GET", "/api/tags"): Door("ollama.tags", ollama, list_tags),
    ("GET", "/api/version"): Door("ollama.version", ollama, tell_version),
}
