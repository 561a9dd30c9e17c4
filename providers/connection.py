"""Does a provider answer, does it take our keys, and does it offer our models? Asked by its own SDK, at no cost.

A check asks for the list of models, which spends no tokens. It reads no database, so checks may run in threads.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

import msgspec

from core.egress import EgressRefusedError
from core.http import UnacceptableAnswerError, open_client
from core.vault import Secret, UnreadableSecretError
from providers.kinds import KINDS
from providers.listings import Account, Listing, Offer, listing_of
from providers.models import Provider

TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 5.0
MAX_KEYS = 5  # of a provider with more keys, the first are tried
_NAMED_MODELS = 5  # so many missing models are named, the rest counted


class Trouble(Enum):
    """Why a check failed; the value is what a person is told."""

    NO_KEY = "No key yet: add one, or calls will be refused."
    KEY_WANTED = "No key is stored for this provider, and it asks for one."
    UNREADABLE_KEY = "The stored key cannot be read: its encryption key is missing. Enter the key anew."
    KEY_REFUSED = "The provider refused the key. Check that it was copied whole and has not been revoked."
    NOT_ALLOWED = "The provider knows the key but does not let it list models."
    ADDRESS_NOT_ALLOWED = "This platform's settings do not allow calls to that address."
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
    NOT_BEGUN = "Not tested: the others took all the time there was. Test it again."


_WITHOUT_KEY = {Trouble.KEY_REFUSED: Trouble.KEY_WANTED, Trouble.NOT_ALLOWED: Trouble.KEY_WANTED}
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
    offers: tuple[Offer, ...] = ()

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
        trouble = last.trouble or Trouble.REFUSED
        return _failure(trouble if target.keys else _WITHOUT_KEY.get(trouble, trouble), last)
    refused = [f"Key “{label}”: {answer.trouble.value}" for label, answer in answers if answer.trouble is not None]
    missing = _missing(target.models, good.offers) if listing_of(target.kind).names_ours else ()
    return Finding(
        ok=True,
        summary=f"Connected in {good.latency_ms:,.0f} ms; {_counted(len(good.offers), 'model')} offered.",
        warnings=(*refused, *missing),
        latency_ms=good.latency_ms,
        offers=good.offers,
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
    reason: str = ""
    latency_ms: float = 0.0
    offers: tuple[Offer, ...] = ()


_NO_ANSWER = _Answer()


def _ask(target: Target, secret: Secret | None) -> _Answer:
    if secret is None:
        return _Answer(trouble=Trouble.UNREADABLE_KEY)
    if not _is_address(target.address):
        return _Answer(trouble=Trouble.BAD_ADDRESS)
    listing = listing_of(target.kind)
    account = Account(address=target.address, secret=secret, organization=target.organization)
    sdk = listing.load()
    responses: list[Any] = []
    with open_client(timeout_s=TIMEOUT_S, connect_timeout_s=CONNECT_TIMEOUT_S) as http:
        http.event_hooks = {"response": [lambda response: response.read(), responses.append]}
        try:
            listing.ask(sdk, account, http)
        except Exception as error:  # noqa: BLE001 -- an SDK may stumble over a strange answer in any way: we read it too
            if not responses:
                return _of_cause(error)
    return _answer_of(listing, responses[-1])


def _answer_of(listing: Listing, response: Any) -> _Answer:
    """The time is that of the request alone: neither importing the SDK nor setting up TLS is the provider's."""
    if response.status_code != 200:
        return _Answer(trouble=_of_status(response.status_code), status=response.status_code)
    try:
        offers = listing.read(response.content)
        msgspec.json.encode(offers)  # half a character, which JSON can spell, could be neither stored nor shown
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return _Answer(trouble=Trouble.NOT_AN_API)
    return _Answer(latency_ms=response.elapsed.total_seconds() * 1000, offers=offers)


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, a bracket that is not closed
        return False


# --- what it means ------------------------------------------------------------------------------------------------

_STATUSES = {
    401: Trouble.KEY_REFUSED,
    403: Trouble.NOT_ALLOWED,
    404: Trouble.NO_MODEL_LIST,
    405: Trouble.NO_MODEL_LIST,
    408: Trouble.TOO_SLOW,
    429: Trouble.TOO_MANY_CALLS,
}
_CAUSES = (
    (socket.gaierror, Trouble.ADDRESS_NOT_FOUND),
    (ssl.SSLError, Trouble.BAD_CERTIFICATE),
    (ConnectionRefusedError, Trouble.NOTHING_LISTENS),
    (TimeoutError, Trouble.TOO_SLOW),
    (UnacceptableAnswerError, Trouble.NOT_AN_API),
)


def _of_status(status: int) -> Trouble:
    if status in _STATUSES:
        return _STATUSES[status]
    if status < 400:  # a redirect: we follow none, so that a key goes nowhere but to its provider
        return Trouble.NO_MODEL_LIST
    return Trouble.PROVIDER_FAILS if status >= 500 else Trouble.REFUSED


def _of_cause(error: BaseException) -> _Answer:
    for cause in _causes(error):
        if isinstance(cause, EgressRefusedError):
            return _Answer(trouble=Trouble.ADDRESS_NOT_ALLOWED, reason=str(cause))
        trouble = next((trouble for kind, trouble in _CAUSES if isinstance(cause, kind)), None)
        if trouble is not None:
            return _Answer(trouble=trouble)
    return _Answer(trouble=Trouble.CONNECTION_LOST)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _failure(trouble: Trouble, answer: _Answer = _NO_ANSWER) -> Finding:
    note = f" (It answered with status {answer.status}.)" if answer.status else ""
    return Finding(ok=False, summary=(answer.reason or trouble.value) + note, trouble=trouble)


def _missing(wanted: tuple[str, ...], offers: tuple[Offer, ...]) -> Iterator[str]:
    """Models that are set up here and not in the provider's list."""
    missing = not_offered(wanted, offers)
    if missing:
        more = f" and {len(missing) - _NAMED_MODELS} more" if len(missing) > _NAMED_MODELS else ""
        yield f"Not offered there: {', '.join(missing[:_NAMED_MODELS])}{more}."


def not_offered(wanted: Iterable[str], offers: Iterable[Offer]) -> list[str]:
    """Those of `wanted` that are not in the list. An Ollama model may leave out its tag `:latest`."""
    known = {name for offer in offers for name in (offer.name, offer.name.removesuffix(":latest"))}
    return [name for name in wanted if name not in known]


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _keys(provider: Provider) -> Iterator[tuple[str, Secret | None]]:
    for credential in provider.credentials.all():
        if credential.is_active:
            try:
                yield credential.label, credential.reveal()
            except UnreadableSecretError:
                yield credential.label, None
