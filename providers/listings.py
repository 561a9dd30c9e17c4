"""Each kind's own list of models: how its SDK is asked for it, and what the answer says.

The SDKs are imported when first used: together they cost a second and a half, which no web process should start with.
"""

from __future__ import annotations

import importlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import msgspec

from core.vault import Secret

TypeOfModel = Literal["chat", "embedding", "other"]
_MOST_MODELS = 1000  # on one page, which is the only one that is read
# Of the environment: the SDKs would send them to whatever address a provider has, and some hold keys.
_HEADERS_OF_SDKS = ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_CUSTOM_HEADERS", "ANTHROPIC_CUSTOM_HEADERS")


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A model in a provider's list. What the list leaves out is None or empty; `note` is for people."""

    name: str
    type: TypeOfModel = "chat"
    context_window: int | None = None
    max_output_tokens: int | None = None
    capabilities: tuple[str, ...] = ()
    note: str = ""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Whose list is asked for. An empty secret is not sent."""

    address: str
    secret: Secret
    organization: str = ""


class Listing(msgspec.Struct, frozen=True):
    """`sdk` is the module that `ask` gets, already imported; `ask` sends one request through the client that it gets.

    `read` takes the answer's body, and raises `ValueError`, `TypeError`, `KeyError` or `AttributeError` where it is no
    list of models. `names_ours`: what is listed are the names by which calls ask for models.
    """

    sdk: str
    ask: Callable[[Any, Account, Any], object]
    read: Callable[[bytes], tuple[Offer, ...]]
    names_ours: bool = True

    def load(self) -> Any:
        """The SDK, which is to send what an account says, and nothing of this process's own."""
        for name in _HEADERS_OF_SDKS:
            os.environ.pop(name, None)
        return importlib.import_module(self.sdk)


def listing_of(kind: str) -> Listing:
    return _LISTINGS.get(kind, _OPENAI)


# --- OpenAI, and hosts that speak its API -------------------------------------------------------------------------


def _ask_openai(path: str = "", key_header: str = "") -> Callable[[Any, Account, Any], object]:
    """`key_header`: the header of the key, where it is not `Authorization: Bearer`."""

    def ask(sdk: Any, account: Account, http: Any) -> object:
        client = sdk.OpenAI(
            api_key=account.secret.reveal() or "none",
            organization=account.organization or None,
            base_url=account.address + path,
            timeout=http.timeout,
            max_retries=0,
            http_client=http,
        )
        headers = {} if account.secret and not key_header else {"Authorization": sdk.Omit()}
        if key_header:
            headers[key_header] = account.secret.reveal()
        return client.models.with_raw_response.list(extra_headers=headers)

    return ask


def _read_openai(body: bytes) -> tuple[Offer, ...]:
    return tuple(_openai_offer(row) for row in json.loads(body)["data"] or ())


# Beside OpenAI's bare ids: the names that vLLM, Groq, Mistral and OpenRouter use for the same facts.
_CONTEXT = ("context_window", "context_length", "max_context_length", "max_model_len")
_LONGEST_ANSWER = ("max_completion_tokens", "max_output_tokens")
_MEANINGS = {
    "function_calling": "tools",
    "tools": "tools",
    "vision": "vision",
    "image": "vision",
    "structured_outputs": "json_schema",
    "reasoning": "reasoning",
}


def _openai_offer(row: Any) -> Offer:
    name = str(row["id"])
    said = row.get("capabilities")
    able = [key for key, value in said.items() if value] if isinstance(said, dict) else []
    able += row.get("supported_parameters") or []
    able += (row.get("architecture") or {}).get("input_modalities") or []
    return Offer(
        name=name,
        type="embedding" if row.get("type") == "embedding" else type_by_name(name),
        context_window=_first_count(row, _CONTEXT),
        max_output_tokens=_first_count(row, _LONGEST_ANSWER),
        capabilities=_capabilities(able),
        note=f"Ends on {row['shutdown_date']}." if row.get("shutdown_date") else "",
    )


_EMBEDS = re.compile(r"embed|(^|[-/])(bge|e5|gte)-|minilm", re.IGNORECASE)
_DOES_NOT_CHAT = re.compile(
    r"tts|whisper|transcri|dall-e|image|sora|imagen|veo|moderation|guard|realtime|audio|speech|rerank|ocr|davinci|"
    r"babbage|instruct-0914|lyria|aqa",
    re.IGNORECASE,
)


def type_by_name(name: str) -> TypeOfModel:
    """A guess, where a list has names alone."""
    if _EMBEDS.search(name):
        return "embedding"
    return "other" if _DOES_NOT_CHAT.search(name) else "chat"


# --- the others ---------------------------------------------------------------------------------------------------


def _ask_anthropic(sdk: Any, account: Account, http: Any) -> object:
    client = sdk.Anthropic(
        api_key=account.secret.reveal(),
        base_url=account.address,
        timeout=http.timeout,
        max_retries=0,
        http_client=http,
    )
    return client.models.with_raw_response.list(limit=_MOST_MODELS)


_ANTHROPIC_MEANINGS = {"image_input": "vision", "structured_outputs": "json_schema", "thinking": "reasoning"}


def _read_anthropic(body: bytes) -> tuple[Offer, ...]:
    return tuple(_anthropic_offer(row) for row in json.loads(body)["data"] or ())


def _anthropic_offer(row: Any) -> Offer:
    able = {name for name, said in (row.get("capabilities") or {}).items() if (said or {}).get("supported")}
    retires = str(row.get("retires_at") or "")[:10]
    return Offer(
        name=str(row["id"]),
        context_window=_first_count(row, ("max_input_tokens",)),
        max_output_tokens=_first_count(row, ("max_tokens",)),
        capabilities=("tools", *(ours for theirs, ours in _ANTHROPIC_MEANINGS.items() if theirs in able)),
        note=f"Ends on {retires}." if retires else "",
    )


def _ask_google(sdk: Any, account: Account, http: Any) -> object:
    options = {
        "base_url": account.address,
        "api_version": "v1beta",
        "timeout": int(http.timeout.read * 1000),
        "retry_options": {"attempts": 1},
        "httpx_client": http,
    }
    client = sdk.Client(vertexai=False, api_key=account.secret.reveal(), http_options=options)
    return client.models.list(config={"page_size": _MOST_MODELS})


def _read_google(body: bytes) -> tuple[Offer, ...]:
    return tuple(_google_offer(row) for row in json.loads(body)["models"] or ())


def _google_offer(row: Any) -> Offer:
    does = set(row.get("supportedGenerationMethods") or ())
    name = str(row["name"]).removeprefix("models/")
    guess = type_by_name(name) if "generateContent" in does else "other"
    return Offer(
        name=name,
        type="embedding" if "embedContent" in does else guess,
        context_window=_first_count(row, ("inputTokenLimit",)),
        max_output_tokens=_first_count(row, ("outputTokenLimit",)),
        capabilities=("reasoning",) if row.get("thinking") else (),
    )


def _ask_ollama(_sdk: Any, account: Account, http: Any) -> object:
    """It has no SDK here, and needs none: https://docs.ollama.com/api/tags."""
    headers = {"Authorization": f"Bearer {account.secret.reveal()}"} if account.secret else {}
    return http.get(f"{account.address}/api/tags", headers=headers)


def _read_ollama(body: bytes) -> tuple[Offer, ...]:
    return tuple(_ollama_offer(row) for row in json.loads(body)["models"] or ())


def _ollama_offer(row: Any) -> Offer:
    families = (row.get("details") or {}).get("families") or []
    embeds = any("bert" in family for family in families)
    name = str(row["name"])
    return Offer(name=name, type="embedding" if embeds else type_by_name(name))


# --- small things they share --------------------------------------------------------------------------------------


def _first_count(row: Mapping[str, Any], names: Iterable[str]) -> int | None:
    return next((row[name] for name in names if type(row.get(name)) is int and row[name] > 0), None)


def _capabilities(words: Iterable[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_MEANINGS[word] for word in words if word in _MEANINGS))


_OPENAI = Listing("openai", _ask_openai(), _read_openai)
_LISTINGS = {
    "anthropic": Listing("anthropic", _ask_anthropic, _read_anthropic),
    "azure": Listing("openai", _ask_openai("/openai/v1", "api-key"), _read_openai, names_ours=False),
    "google": Listing("google.genai", _ask_google, _read_google),
    "ollama": Listing("httpx2", _ask_ollama, _read_ollama),
}
