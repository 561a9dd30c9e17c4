"""Django's own middlewares around a view, on the event loop.

Django's handler gives each request a thread and a database connection until it is answered, and most middlewares hop to
that thread twice. What they do there waits for nothing, except where a session has to be saved.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from django.conf import settings
from django.core.handlers.exception import response_for_exception
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.deprecation import MiddlewareMixin
from django.utils.module_loading import import_string

from gateway.database_thread import DatabaseThread
from gateway.http import CallerLeftError

View = Callable[[Any], Awaitable[HttpResponseBase]]


def within_middlewares(view: View, thread: DatabaseThread) -> View:
    """`view` as the settings' middlewares surround it, in their order. `process_view` is left to DRF's views.

    It answers whatever goes wrong, and raises `CallerLeftError` alone.
    """
    handler = _answering(view)
    for path in reversed(settings.MIDDLEWARE):
        middleware = import_string(path)
        is_in_halves = isinstance(middleware, type) and issubclass(middleware, MiddlewareMixin)
        handler = _answering(_around(handler, middleware, thread) if is_in_halves else middleware(handler))
    return handler


def _answering(handler: View) -> View:
    """As Django guards each layer: what breaks within it is an answer to those around it."""

    async def answered(request: HttpRequest) -> HttpResponseBase:
        try:
            return await handler(request)
        except CallerLeftError:
            raise
        except Exception as error:  # noqa: BLE001 - as Django does, which answers 500 and logs it
            return response_for_exception(request, error)

    return answered


def _around(handler: View, kind: type[MiddlewareMixin], thread: DatabaseThread) -> View:
    """A middleware that has a half before the view and a half after it, or one of the two."""
    middleware = kind(_never_asked)
    before: Callable[..., Any] | None = getattr(middleware, "process_request", None)
    after: Callable[..., Any] | None = getattr(middleware, "process_response", None)

    async def surrounded(request: HttpRequest) -> HttpResponseBase:
        refusal: HttpResponseBase | None = before(request) if before else None
        response = refusal or await handler(request)
        if after is not None and _is_session_changed(request):
            response = await thread.run(after, request, response)
        elif after is not None:
            response = after(request, response)
        return response

    return surrounded


def _is_session_changed(request: HttpRequest) -> bool:
    session = getattr(request, "session", None)
    return session is not None and session.modified


def _never_asked(request: HttpRequest) -> HttpResponseBase:
    raise AssertionError(request)
