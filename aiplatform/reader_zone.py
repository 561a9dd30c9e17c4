"""Admin pages tell and take times by the clock of whoever reads them: the browser says its time zone in a cookie.

Days of sums, budgets and reports are not the reader's: they say by whose midnights they go.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from zoneinfo import ZoneInfo

from django.http import HttpRequest
from django.utils import timezone
from django.utils.decorators import sync_and_async_middleware

COOKIE = "time_zone"  # static/aiplatform/admin.js sets it
_PAGES = "/admin/"


@sync_and_async_middleware
def middleware(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    if inspect.iscoroutinefunction(get_response):

        async def awaited(request: HttpRequest) -> Any:
            with _clock_of(request):
                return await get_response(request)

        return awaited

    def called(request: HttpRequest) -> Any:
        with _clock_of(request):
            return get_response(request)

    return called


def said(_request: HttpRequest) -> str:
    """Below the platform's name, on every page."""
    return f"Times: {timezone.get_current_timezone_name()}"


def _clock_of(request: HttpRequest) -> AbstractContextManager[Any]:
    name = request.COOKIES.get(COOKIE, "") if request.path.startswith(_PAGES) else ""
    if not name:
        return nullcontext()
    try:
        return timezone.override(ZoneInfo(name))
    except (LookupError, ValueError, OSError):  # no zone's name: whoever writes cookies by hand gets ours
        return nullcontext()
