"""Who is acting: the administrator or the key whose request the running code serves, or the command that it is.

Nobody, where it is neither.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

from django.http import HttpRequest
from django.utils.decorators import sync_and_async_middleware

_request: ContextVar[HttpRequest | None] = ContextVar("acting", default=None)
_command: ContextVar[str] = ContextVar("commanding", default="")


class Actor(NamedTuple):
    """`kind` is `administrator`, `key` (a token counts as one), `command` or `stranger`."""

    kind: str
    name: str


def current() -> Actor | None:
    """Known once the request has been authenticated."""
    request = _request.get()
    if request is None:
        command = _command.get()
        return Actor("command", f"command: {command}") if command else None
    auth = getattr(request, "auth", None)  # Django REST framework leaves the key or the token here
    if auth is not None:
        return Actor("key", str(auth))
    user = getattr(request, "user", None)
    return Actor("administrator", user.get_username()) if user is not None and user.is_authenticated else None


@contextmanager
def serving(request: HttpRequest) -> Iterator[None]:
    """Within it, what is changed is that request's doing."""
    token = _request.set(request)
    try:
        yield
    finally:
        _request.reset(token)


@contextmanager
def commanding(name: str) -> Iterator[None]:
    """Within it, what is changed is the doing of `manage.py NAME`."""
    token = _command.set(name)
    try:
        yield
    finally:
        _command.reset(token)


@sync_and_async_middleware
def middleware(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    if inspect.iscoroutinefunction(get_response):

        async def awaited(request: HttpRequest) -> Any:
            with serving(request):
                return await get_response(request)

        return awaited

    def called(request: HttpRequest) -> Any:
        with serving(request):
            return get_response(request)

    return called
