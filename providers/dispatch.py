"""One call to one deployment: encode, send, judge the status. What follows (reading, settling) is the pipeline's."""

from __future__ import annotations

import email.utils
import math
import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

from core.http1 import Session
from providers import loops
from providers.adapters import ADAPTERS, Answer, Request
from providers.adapters.base import Chat
from providers.adapters.http import error_body
from providers.adapters.openai import translator
from providers.errors import BadGenerationError, ProviderFailureError, UnknownModelError, UpstreamError, from_status
from providers.specs import CredentialSpec, DeploymentSpec, ProviderSpec
from wire.body import MALFORMED
from wire.dialect import CallerDialect, Dialect, EmbeddingCaller, EmbeddingDialect, Envelope
from wire.errors import ApiError, unsupported
from wire.naming import in_callers_words
from wire.neutral import ChatRequest

MAX_RETRY_AFTER_S = 86_400.0
_DETAIL_CHARS = 500
# The APIs of OpenAI, of Azure, of Groq (of a model that it has retired), and of Mistral; DeepSeek has but a sentence.
_UNKNOWN_MODEL = ("model_not_found", "DeploymentNotFound", "model_decommissioned", "invalid_model")
# Groq's, where its model made a call of a tool or a JSON that is none: most often the next try makes a good one
# (https://console.groq.com/docs/tool-use, https://console.groq.com/docs/structured-outputs).
_BAD_GENERATION = ("tool_use_failed", "json_validate_failed")
_DEEPSEEKS_UNKNOWN_MODEL = "Model Not Exist"
# What frameworks and Anthropic, Azure, OpenAI and Groq say of an address that they do not have.
_NO_ADDRESS = re.compile(r"(resource )?not found\.?|(invalid|unknown request) url\b.*", re.IGNORECASE | re.DOTALL)


class Sendable(msgspec.Struct, frozen=True):
    """A call as a deployment takes it. `dialect` is what is spoken there, by which its answers are read.

    `body` makes the bytes: most candidates for a call are never asked.
    """

    url: str
    body: Callable[[], bytes]
    dialect: Dialect | EmbeddingDialect


def encode(
    envelope: Envelope,
    caller: CallerDialect | EmbeddingCaller,
    deployment: DeploymentSpec,
    *,
    max_output_tokens: int | None,
) -> Sendable:
    """The call for `deployment`: the caller's own bytes where the dialects match, else a translation.

    `max_output_tokens` is a bound that we impose (None: the caller's stands). Raises `ApiError`.
    """
    if envelope.kind == "embedding":
        return _embeddings(envelope, cast("EmbeddingCaller", caller), deployment)
    return _chat(envelope, cast("CallerDialect", caller), deployment, max_output_tokens)


def _chat(
    envelope: Envelope, caller: CallerDialect, deployment: DeploymentSpec, max_output_tokens: int | None
) -> Sendable:
    chats = ADAPTERS[deployment.provider.kind].chats
    chat = next((chat for chat in chats if chat.dialect is caller), None)
    body: Callable[[], bytes]
    if chat:
        envelope = _with_defaults(envelope, deployment, chat)
        body = partial(chat.rewrite, envelope, model=deployment.model, max_output_tokens=max_output_tokens)
    else:
        request = caller.decode_chat(envelope)
        chat = translator(chats, request, deployment.model)
        try:
            body = _made(chat.encode(_for(deployment, request, max_output_tokens, chat)))
        except ApiError as error:
            raise in_callers_words(error, caller.name) from error
    return Sendable(chat.url(deployment, stream=envelope.stream), body, chat.dialect)


def _embeddings(envelope: Envelope, caller: EmbeddingCaller, deployment: DeploymentSpec) -> Sendable:
    embeddings = ADAPTERS[deployment.provider.kind].embeddings
    if embeddings is None:
        raise unsupported("model", f"'{deployment.name}' is of a provider that has no embeddings.")
    dialect = embeddings.dialect
    body: Callable[[], bytes]
    if dialect is caller:
        body = partial(embeddings.rewrite, envelope, model=deployment.model)
    else:
        request = msgspec.structs.replace(caller.decode_embeddings(envelope), model=deployment.model)
        try:
            body = _made(embeddings.encode(request))
        except ApiError as error:
            raise in_callers_words(error, caller.name) from error
    return Sendable(embeddings.url(deployment), body, dialect)


def _made(body: bytes) -> Callable[[], bytes]:
    """Of a translation, which had to be made to know whether it can be."""
    return lambda: body


def _defaults(deployment: DeploymentSpec, chat: Chat, said: set[str]) -> dict[str, Any]:
    """Those of the model's own that a call may be given which says `said` itself: what the model takes beside that."""
    added: dict[str, Any] = {}
    for name, value in deployment.defaults.items():
        is_open = name in chat.sampling_fields and name not in said
        if is_open and chat.takes(name, model=deployment.model, beside=said | added.keys()):
            added[name] = value
    return added


def _with_defaults(envelope: Envelope, deployment: DeploymentSpec, chat: Chat) -> Envelope:
    if not deployment.defaults:
        return envelope
    names = chat.sampling_fields
    added = _defaults(deployment, chat, {name for name, field in names.items() if field in envelope.fields})
    encoded = {names[name]: msgspec.Raw(msgspec.json.encode(value)) for name, value in added.items()}
    return msgspec.structs.replace(envelope, fields=envelope.fields | encoded)


def _for(deployment: DeploymentSpec, request: ChatRequest, max_output_tokens: int | None, chat: Chat) -> ChatRequest:
    changes: dict[str, Any] = {"model": deployment.model}
    if deployment.defaults:
        said = {name for name in chat.sampling_fields if getattr(request, name) not in (None, ())}
        added = _defaults(deployment, chat, said)
        changes |= {name: tuple(value) if isinstance(value, list) else value for name, value in added.items()}
    bounds = (max_output_tokens, request.max_output_tokens, deployment.max_output_tokens)
    changes["max_output_tokens"] = next((bound for bound in bounds if bound is not None), None)
    return msgspec.structs.replace(request, **changes)


async def send(
    session: Session,
    deployment: DeploymentSpec,
    credential: CredentialSpec | None,
    sendable: Sendable,
    body: bytes,
    *,
    forwarded: dict[str, str],
    ends_at: float,
    sent: Callable[[], None],
) -> Answer:
    """A successful answer whose headers have come. Raises `ProviderFailureError` for everything else but a timeout.

    Of the caller's headers in `forwarded`, those go along that mean something to the provider. `ends_at` and `sent` as
    in `Request`.
    """
    adapter = ADAPTERS[deployment.provider.kind]
    headers = adapter.headers(deployment, credential)
    headers[loops.HEADER] = loops.mark()
    headers.update({name: value for name, value in forwarded.items() if name in adapter.forwarded_headers})
    request = Request(sendable.url, headers, body, ends_at, sent)
    answer = await adapter.send(session, deployment, request)
    if answer.status == 200:
        return answer
    content = await error_body(answer, request)
    message = sendable.dialect.error_message(content)
    provider = deployment.provider
    detail = quotable(message, provider, credential) or f"{provider.slug} answered {answer.status}."
    if answer.status in (400, 404):
        raise _not_to_be_had(answer.status, content, message, deployment.model, detail)
    raise from_status(answer.status, detail, retry_after_s=_retry_after(answer))


def _not_to_be_had(status: int, body: bytes, message: str, model: str, detail: str) -> ProviderFailureError:
    """Whether a 400 or 404 is about the model or what it made, the address, or what the caller asked, such as a file.

    A 404 that repeats the model's name is about the model, as with Anthropic, Google, Ollama and vLLM; one without a
    word of its own about the address, as of a proxy on the way. Model and address are ours.
    """
    words = _words(body)
    if any(word in _UNKNOWN_MODEL for word in words):
        return UnknownModelError(detail, status=status)
    if any(word in _BAD_GENERATION for word in words):
        return BadGenerationError(detail, status=status)
    if status == 400:
        is_unknown = message == _DEEPSEEKS_UNKNOWN_MODEL
        return UnknownModelError(detail, status=400) if is_unknown else from_status(400, detail)
    if re.search(rf"(?<![\w.-]){re.escape(model)}(?![\w-])", message):
        return UnknownModelError(detail, status=404)
    if not message or _NO_ADDRESS.fullmatch(message):
        return UpstreamError(detail, status=404)
    return from_status(404, detail)


def _words(body: bytes) -> list[Any]:
    """An error's `code` and `type`: in `error`, or with Mistral at the top."""
    try:
        decoded = msgspec.json.decode(body)
    except MALFORMED:
        return []
    top = decoded if isinstance(decoded, dict) else {}
    return [each.get(name) for each in (top, top.get("error")) if isinstance(each, dict) for name in ("code", "type")]


def quotable(message: str, provider: ProviderSpec, credential: CredentialSpec | None) -> str:
    """A provider's own words, for callers and usage rows.

    Some repeat the key that they refuse, or where they are asked, which is nobody's business; no row holds a NUL.
    """
    if credential is not None and credential.secret:
        message = message.replace(credential.secret.reveal(), str(credential.secret))
    for address in (provider.address, urlsplit(provider.address).netloc):
        if address:
            message = message.replace(address, provider.slug)
    return message.replace("\0", "")[:_DETAIL_CHARS]


def _retry_after(answer: Answer) -> float | None:
    """Seconds, from a count or an HTTP date (RFC 9110, section 10.2.3); None for what is neither."""
    value = answer.headers.get("retry-after")
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = _seconds_until(value)
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S) if math.isfinite(seconds) else None


def _seconds_until(date: str) -> float:
    """NaN for what is no date."""
    try:
        return email.utils.parsedate_to_datetime(date).timestamp() - time.time()
    except (ValueError, OverflowError):
        return math.nan
