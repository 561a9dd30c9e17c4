"""Django's middlewares around a view on the event loop: what they refuse, add, and save."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.test import RequestFactory

from accounts import acting
from gateway.database_thread import DatabaseThread
from gateway.http import CallerLeftError
from gateway.middlewares import within_middlewares


def answer(view: Callable[[HttpRequest], Awaitable[HttpResponseBase]], *, host: str = "testserver") -> HttpResponseBase:
    async def story() -> HttpResponseBase:
        thread = DatabaseThread("test")
        try:
            return await within_middlewares(view, thread)(RequestFactory().post("/api/x", HTTP_HOST=host))
        finally:
            await thread.stop()

    return asyncio.run(story())


async def plain(request: HttpRequest) -> HttpResponse:
    return HttpResponse("told")


async def broken(request: HttpRequest) -> HttpResponse:
    raise ValueError("sk-secret")


def test_the_answer_has_their_headers() -> None:
    told = answer(plain)

    assert told.status_code == 200
    assert told["X-Frame-Options"] == "DENY"
    assert told["X-Content-Type-Options"] == "nosniff"
    assert told["Referrer-Policy"] == told["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.filterwarnings("ignore::django.utils.deprecation.RemovedInDjango60Warning")
def test_what_breaks_is_answered_without_a_word_of_why() -> None:
    told = answer(broken)

    assert isinstance(told, HttpResponse)
    assert told.status_code == 500
    assert b"INTERNAL" in told.content
    assert b"sk-secret" not in told.content
    assert told["X-Frame-Options"] == "DENY"


def test_a_host_that_is_not_ours_never_reaches_the_view(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "ALLOWED_HOSTS", ["good.example"])
    asked: list[HttpRequest] = []

    async def view(request: HttpRequest) -> HttpResponse:
        asked.append(request)
        return HttpResponse()

    assert answer(view, host="evil.example").status_code == 400
    assert answer(view, host="good.example").status_code == 200
    assert len(asked) == 1


def test_nobody_is_answered_who_has_left() -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        raise CallerLeftError

    with pytest.raises(CallerLeftError):
        answer(view)


def test_the_view_serves_its_request() -> None:
    serving: list[HttpRequest | None] = []

    async def view(request: HttpRequest) -> HttpResponse:
        serving.append(acting._request.get())
        return HttpResponse()

    answer(view)
    assert [each.path if each else None for each in serving] == ["/api/x"]


@pytest.mark.django_db(transaction=True)
def test_a_session_that_was_changed_is_saved_by_the_thread() -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        request.session["seen"] = "yes"
        return HttpResponse()

    told = answer(view)

    cookie = told.cookies[settings.SESSION_COOKIE_NAME]
    assert Session.objects.get(session_key=cookie.value).get_decoded() == {"seen": "yes"}
    assert not [each for each in threading.enumerate() if each.name == "test"]
