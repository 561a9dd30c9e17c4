"""Does a provider answer, does it take our keys, and does it offer our models? Asked by its own SDK, at no cost.

A check asks for the list of models, which spends no tokens. It reads no database, so checks may run in threads.
The SDKs are imported when first used: together they cost a second and a half, which no web process should start with.
"""

from __future__ import annotations

import importlib
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from enum import Enum
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import msgspec

from core.vault import Secret, UnreadableSecretError
from providers.kinds import KINDS
from providers.models import Provider

TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 5.0
MAX_KEYS = 5  # of a provider with more keys, the first are tried
_NAMED_MODELS = 5  # so many missing models are named, the rest counted


class Trouble(Enum):
    """Why a check failed; the value is what a person is told."""

    NO_KEY = "No key yet: add one, or calls will be refused."
    UNREADABLE_KEY = "The stored key cannot be read: its encryption key is missing. Enter the key anew."
    KEY_REFUSED = "The provider refused the key. Check that it was copied whole and has not been revoked."
    NOT_ALLOWED = "The provider knows the key but does not let it list models."
    BAD_ADDRESS = "That is not an address: it should look like https://llm.example.com/v1."
    ADDRESS_NOT_FOUND = "The address was not found. Check its spelling."
    NOTHING_LISTENS = "Nothing answers at that address. Check the port, and that the server is running."
    BAD_CERTIFICATE = "The address answers, but its security certificate is not trusted."
    TOO_SLOW = "No answer in time."
    CONNECTION_LOST = "The connection broke before an answer came."
    NO_MODEL_LIST = "The address answers, but has no model list there. Often the address should end in /v1."
    NOT_AN_API = "Something answers at that address, but it is not a model API."
    TOO_MANY_CALLS = "The provider answers, but says that there were too many calls just now."
    PROVIDER_FAILS = "The provider answers with an error of its own."
    REFUSED = "The provider refused to list its models."


_OF_THE_KEY = {Trouble.UNREADABLE_KEY, Trouble.KEY_REFUSED, Trouble.NOT_ALLOWED, Trouble.TOO_MANY_CALLS}


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """All that a check needs to know of a provider. `keys` are labels with their secrets (None: unreadable)."""

    kind: str
    address: str
    organization: str = ""
    keys: tuple[tuple[str, Secret | None], ...] = ()
    models: tuple[str, ...] = ()


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found. `summary` is for people; it never holds a key.

    `warnings` need somebody's attention although calls can succeed: one key of several refused, a model not offered.
    """

    ok: bool
    summary: str
    trouble: Trouble | None = None
    warnings: tuple[str, ...] = ()
    latency_ms: float | None = None
    offered: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return " ".join((self.summary, *self.warnings))


def target_of(provider: Provider) -> Target:
    """Read what a check needs from the database."""
    return Target(
        kind=provider.kind,
        address=provider.address if provider.kind in KINDS else provider.base_url,
        organization=provider.organization,
        keys=tuple(_keys(provider)),
        models=tuple(row.model_at_provider for row in provider.deployments.all() if row.is_active),
    )


def check(target: Target) -> Finding:
    """Ask the provider. Never raises for what a provider may do; takes about TIMEOUT_S at most."""
    if target.kind == "demo":
        return Finding(ok=True, summary="The demo provider always answers.", latency_ms=0.0)
    if not target.keys and KINDS[target.kind].needs_key:
        return _failure(Trouble.NO_KEY)
    answers = list(_answers(target))
    good = next((answer for _, answer in answers if answer.trouble is None), None)
    if good is None:
        last = answers[-1][1]
        return _failure(last.trouble or Trouble.REFUSED, last.status)
    refused = [f"Key “{label}”: {answer.trouble.value}" for label, answer in answers if answer.trouble is not None]
    return Finding(
        ok=True,
        summary=f"Connected in {good.latency_ms:,.0f} ms; {_counted(len(good.offered), 'model')} offered.",
        warnings=(*refused, *_missing(target.models, good.offered)),
        latency_ms=good.latency_ms,
        offered=good.offered,
    )


def _answers(target: Target) -> Iterator[tuple[str, _Answer]]:
    """Key by key, until the trouble is one that every key would meet."""
    for label, secret in target.keys[:MAX_KEYS] or [("", Secret(""))]:
        answer = _ask(target, secret)
        yield label, answer
        if answer.trouble is not None and answer.trouble not in _OF_THE_KEY:
            return


# --- one request --------------------------------------------------------------------------------------------------


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    trouble: Trouble | None = None
    status: int | None = None
    latency_ms: float = 0.0
    offered: tuple[str, ...] = ()


def _ask(target: Target, secret: Secret | None) -> _Answer:
    if secret is None:
        return _Answer(trouble=Trouble.UNREADABLE_KEY)
    if not _is_address(target.address):
        return _Answer(trouble=Trouble.BAD_ADDRESS)
    name, listing = _LISTINGS.get(target.kind, ("openai", _openai_listing))
    sdk = importlib.import_module(name)
    started = time.perf_counter()
    try:
        with sdk.DefaultHttpxClient(follow_redirects=False) as http:
            body = listing(sdk, target, secret, http)
    except sdk.APIError as error:
        return _answer_of(sdk, error)
    offered = _model_names(body)
    if offered is None:
        return _Answer(trouble=Trouble.NOT_AN_API)
    return _Answer(latency_ms=(time.perf_counter() - started) * 1000, offered=offered)


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, a bracket that is not closed
        return False


def _openai_listing(sdk: ModuleType, target: Target, secret: Secret, http: Any) -> bytes:
    client = sdk.OpenAI(
        api_key=secret.reveal() or "none",
        organization=target.organization or None,
        base_url=f"{target.address}/v1" if target.kind == "ollama" else target.address,
        timeout=_timeout(sdk),
        max_retries=0,
        http_client=http,
    )
    keyless = None if secret else {"Authorization": sdk.Omit()}
    body: bytes = client.models.with_raw_response.list(extra_headers=keyless).http_response.content
    return body


def _anthropic_listing(sdk: ModuleType, target: Target, secret: Secret, http: Any) -> bytes:
    client = sdk.Anthropic(
        api_key=secret.reveal(), base_url=target.address, timeout=_timeout(sdk), max_retries=0, http_client=http
    )
    body: bytes = client.models.with_raw_response.list(limit=1000).http_response.content
    return body


_LISTINGS: dict[str, tuple[str, Callable[[ModuleType, Target, Secret, Any], bytes]]] = {
    "anthropic": ("anthropic", _anthropic_listing),
}


def _timeout(sdk: ModuleType) -> Any:
    return sdk.Timeout(TIMEOUT_S, connect=CONNECT_TIMEOUT_S)


def _model_names(body: bytes) -> tuple[str, ...] | None:
    """The ids of `{"data": [{"id": …}]}`; None where the body is not that."""
    try:
        rows = json.loads(body)["data"]
        return tuple(str(row["id"]) for row in rows or [])
    except (ValueError, TypeError, KeyError):
        return None


# --- what it means ------------------------------------------------------------------------------------------------

_STATUSES = {
    401: Trouble.KEY_REFUSED,
    403: Trouble.NOT_ALLOWED,
    404: Trouble.NO_MODEL_LIST,
    405: Trouble.NO_MODEL_LIST,
    408: Trouble.TOO_SLOW,
    429: Trouble.TOO_MANY_CALLS,
}


def _answer_of(sdk: ModuleType, error: Exception) -> _Answer:
    """The SDKs' exception trees have the same shape and names."""
    if isinstance(error, sdk.APIStatusError):
        status: int = error.status_code
        return _Answer(trouble=_of_status(status), status=status)
    if isinstance(error, sdk.APITimeoutError):
        return _Answer(trouble=Trouble.TOO_SLOW)
    return _Answer(trouble=_of_cause(error) if isinstance(error, sdk.APIConnectionError) else Trouble.NOT_AN_API)


def _of_status(status: int) -> Trouble:
    if status in _STATUSES:
        return _STATUSES[status]
    if status < 400:  # a redirect: we follow none, so that a key goes nowhere but to its provider
        return Trouble.NO_MODEL_LIST
    return Trouble.PROVIDER_FAILS if status >= 500 else Trouble.REFUSED


def _of_cause(error: BaseException) -> Trouble:
    for cause in _causes(error):
        if isinstance(cause, socket.gaierror):
            return Trouble.ADDRESS_NOT_FOUND
        if isinstance(cause, ssl.SSLError):
            return Trouble.BAD_CERTIFICATE
        if isinstance(cause, ConnectionRefusedError):
            return Trouble.NOTHING_LISTENS
        if isinstance(cause, TimeoutError):
            return Trouble.TOO_SLOW
    return Trouble.CONNECTION_LOST


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _failure(trouble: Trouble, status: int | None = None) -> Finding:
    note = f" (It answered with status {status}.)" if status else ""
    return Finding(ok=False, summary=trouble.value + note, trouble=trouble)


def _missing(wanted: tuple[str, ...], offered: tuple[str, ...]) -> Iterator[str]:
    """Models that are set up here and not in the provider's list. An Ollama model may leave out its tag `:latest`."""
    known = {*offered, *(name.removesuffix(":latest") for name in offered)}
    missing = [name for name in wanted if name not in known]
    if missing:
        more = f" and {len(missing) - _NAMED_MODELS} more" if len(missing) > _NAMED_MODELS else ""
        yield f"Not offered there: {', '.join(missing[:_NAMED_MODELS])}{more}."


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _keys(provider: Provider) -> Iterator[tuple[str, Secret | None]]:
    for credential in provider.credentials.all():
        if credential.is_active:
            try:
                yield credential.label, credential.reveal()
            except UnreadableSecretError:
                yield credential.label, None
