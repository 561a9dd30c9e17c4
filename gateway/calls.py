"""A call as the pipeline sees it: who asks, what for, by which door, and what the headers ask besides."""

from __future__ import annotations

import time
from asyncio import Future
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Protocol

import msgspec

from gateway.cache import policy
from gateway.catalogue import Caller
from gateway.http import Headers
from gateway.slots import Priority
from providers import loops
from usage.idempotency import Claim
from usage.models.calls import MAX_END_USER_CHARS
from wire.dialect import CallerDialect, EmbeddingCaller, Envelope
from wire.errors import ApiError, Code, invalid

MAX_TAGS = 16
_MAX_TAG_CHARS = 64
_MAX_TIMEOUT_MS = 3_600_000
_MOST_DIGITS = 10  # Python refuses to read thousands of them
_MAX_KEY_CHARS = 255
_LEAST_S = 0.01


class Asking(Protocol):
    """What a call comes with: an HTTP exchange, or what stands for one at another door.

    `told` takes further headers of the answer, whatever that will be. `watch` gives a future that is done when the
    caller has left; None where the door is cancelled instead, which then calls `complete_apart`.
    """

    request_id: str
    told: Headers

    @property
    def path(self) -> str:
        """Where it knocked."""

    @property
    def watch(self) -> Callable[[], Future[Any]] | None: ...

    @property
    def names(self) -> Iterable[bytes]:
        """Of its headers, in lower case."""

    def header(self, name: bytes) -> str:
        """The value of a header given in lower case; '' where it is absent."""


class Wishes(msgspec.Struct, frozen=True):
    """What headers ask for besides the body: nothing, in most calls. `tags` is JSON text."""

    provider: str = ""
    end_user: str = ""
    tags: str = "{}"
    timeout_s: float | None = None
    forwarded: dict[str, str] = {}
    cache: policy.Wish | None = None
    idempotency_key: str = ""
    priority: Priority = Priority.NORMAL


class Call(msgspec.Struct, frozen=True):
    """`started` is a monotonic time in seconds, `started_at` the wall clock's; `tags` is JSON text.

    `path` is where it came in; `told` takes further headers of its answer. `watch` gives a future that is done when the
    caller has left, for doors that can tell. `is_kept`: others will be
    told the same answer. `claim` is the call's to its idempotency key.
    """

    request_id: str
    surface: str
    caller: Caller
    dialect: CallerDialect | EmbeddingCaller
    envelope: Envelope
    provider: str | None
    end_user: str
    tags: str
    timeout_s: float | None
    started: float
    started_at: datetime
    watch: Callable[[], Future[Any]] | None = None
    forwarded: dict[str, str] = {}
    cache: policy.Wish | None = None
    idempotency_key: str = ""
    path: str = ""
    told: Headers = []
    priority: Priority = Priority.NORMAL
    claim: Claim | None = None
    is_kept: bool = False

    @property
    def left_s(self) -> float | None:
        """What is left of the caller's own deadline; None where there is none."""
        return None if self.timeout_s is None else max(self.timeout_s - (time.perf_counter() - self.started), _LEAST_S)

    def within(self, limit_s: float | None) -> Call:
        """The same, with a deadline no later than `limit_s` from its start."""
        if limit_s is None or (self.timeout_s is not None and self.timeout_s <= limit_s):
            return self
        return msgspec.structs.replace(self, timeout_s=max(limit_s, _LEAST_S))


def open_call(
    asking: Asking,
    *,
    surface: str,
    caller: Caller,
    dialect: CallerDialect | EmbeddingCaller,
    envelope: Envelope,
    started: float,
) -> Call:
    """The call of `envelope`, and what headers ask besides. Raises `ApiError` INVALID_REQUEST, naming the header."""
    wishes = _NONE if _WISHES.isdisjoint(asking.names) else _wishes(asking)
    return Call(
        request_id=asking.request_id,
        surface=surface,
        caller=caller,
        dialect=dialect,
        envelope=envelope,
        provider=wishes.provider or envelope.provider,
        end_user=(caller.end_user or envelope.end_user or wishes.end_user)[:MAX_END_USER_CHARS],
        tags=wishes.tags,
        timeout_s=wishes.timeout_s,
        started=started,
        started_at=datetime.now(UTC),
        watch=asking.watch,
        forwarded=wishes.forwarded,
        cache=wishes.cache,
        idempotency_key=wishes.idempotency_key,
        path=asking.path,
        told=asking.told,
        priority=wishes.priority,
    )


_NONE = Wishes()
_LOOP = loops.HEADER.encode()
_WISHES = frozenset({
    *(b"x-provider", b"x-end-user", b"x-tags", b"x-timeout-ms"),
    *(b"anthropic-beta", b"x-cache", b"idempotency-key", b"x-priority", _LOOP),
})  # fmt: skip


def _wishes(asking: Asking) -> Wishes:
    if asking.header(_LOOP) == loops.mark():
        raise ApiError(
            Code.PROVIDER_ERROR,
            "This call comes from the platform itself: the address of a provider is the platform's own. Correct it.",
            status=HTTPStatus.LOOP_DETECTED,  # as of a provider's failure: another one is asked, and its circuit opens
        )
    return Wishes(
        provider=asking.header(b"x-provider"),
        end_user=asking.header(b"x-end-user"),
        tags=_tags(asking.header(b"x-tags")),
        timeout_s=_timeout_s(asking.header(b"x-timeout-ms")),
        forwarded=_forwarded(asking),
        cache=policy.read_header(asking.header(b"x-cache")),
        idempotency_key=_idempotency_key(asking.header(b"idempotency-key")),
        priority=_priority(asking.header(b"x-priority")),
    )


def _forwarded(asking: Asking) -> dict[str, str]:
    """Anthropic's newer features come by this header. Towards other dialects they are refused in the body, by name."""
    beta = asking.header(b"anthropic-beta")
    return {"anthropic-beta": beta} if beta else {}


def _idempotency_key(header: str) -> str:
    if header and not (len(header) <= _MAX_KEY_CHARS and header.isascii() and header.isprintable()):
        raise invalid(
            f"'Idempotency-Key' must be at most {_MAX_KEY_CHARS} printable ASCII characters.", param="Idempotency-Key"
        )
    return header


def _priority(header: str) -> Priority:
    if not header:
        return Priority.NORMAL
    try:
        return Priority[header.upper()]
    except KeyError:
        raise invalid("'X-Priority' must be one of high, normal and low.", param="X-Priority") from None


def _tags(header: str) -> str:
    """`team=search,env=prod` -> JSON object."""
    if not header:
        return "{}"
    pairs = [part.partition("=") for part in header.split(",")]
    tags = {name.strip(): value.strip() for name, _, value in pairs}
    if len(tags) > MAX_TAGS:
        raise invalid(f"'X-Tags' may hold at most {MAX_TAGS} tags, not {len(tags)}.", param="X-Tags")
    is_readable = all(name.strip() and equals for name, equals, _ in pairs)
    if not is_readable or any(len(side) > _MAX_TAG_CHARS for tag in tags.items() for side in tag):
        raise invalid(
            f"'X-Tags' must be name=value pairs of at most {_MAX_TAG_CHARS} characters a side, separated by commas.",
            param="X-Tags",
        )
    if len(tags) < len(pairs):
        raise invalid("'X-Tags' may name each tag once.", param="X-Tags")
    return msgspec.json.encode(tags).decode()


def _timeout_s(header: str) -> float | None:
    if not header:
        return None
    is_whole = header.isascii() and header.isdigit() and len(header) <= _MOST_DIGITS
    if not is_whole or not 0 < int(header) <= _MAX_TIMEOUT_MS:
        raise invalid(
            f"'X-Timeout-Ms' must be a whole number of milliseconds from 1 to {_MAX_TIMEOUT_MS}.", param="X-Timeout-Ms"
        )
    return int(header) / 1000
