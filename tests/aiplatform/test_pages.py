"""Django has so many requests under way at once, and no more: each of them has a thread and a database connection."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.core.asgi import get_asgi_application

from aiplatform import pages
from aiplatform.pages import AT_ONCE, Pages
from gateway.http import Receive, Scope, Send
from tests.servers import PATIENCE_S


class Slow:
    """An application whose answers wait for a word."""

    def __init__(self) -> None:
        self.is_full = asyncio.Event()
        self.go = asyncio.Event()
        self.under_way = 0
        self.most = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        if self.under_way == AT_ONCE:
            self.is_full.set()
        await self.go.wait()
        self.under_way -= 1
        await send({"type": "http.response.start", "status": 200, "headers": []})


async def _ask(application: Pages) -> int:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        await asyncio.Event().wait()

    await application({"type": "http", "path": "/admin/", "headers": []}, receive, send)
    status: int = sent[0]["status"]
    return status


def test_so_many_at_once_the_others_in_turn_and_too_many_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MOST_WAITING", 10)

    async def story() -> tuple[list[int], int]:
        django = Slow()
        application = Pages(django)
        asked = [asyncio.create_task(_ask(application)) for _ in range(AT_ONCE)]
        await django.is_full.wait()
        asked += [asyncio.create_task(_ask(application)) for _ in range(12)]
        await asyncio.sleep(0)
        asked[-3].cancel()  # who waits no more takes no room
        django.go.set()
        found = await asyncio.gather(*asked, return_exceptions=True)
        return [status for status in found if isinstance(status, int)], django.most

    statuses, most = asyncio.run(story())
    assert most == AT_ONCE
    assert sorted(statuses) == [200] * (AT_ONCE + 9) + [503] * 2


@pytest.mark.parametrize(("limit_bytes", "limit_s", "status"), [(5_000, 60.0, 413), (10_000_000, 0.2, 408)])
def test_a_body_that_never_ends_is_refused(
    monkeypatch: pytest.MonkeyPatch, settings: Any, limit_bytes: int, limit_s: float, status: int
) -> None:
    """Strangers may send one to the page on which people sign in."""
    settings.MAX_BODY_BYTES = limit_bytes
    monkeypatch.setattr(pages, "BODY_S", limit_s)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": bytes(1_000), "more_body": True}

    scope = {"type": "http", "method": "POST", "path": "/admin/login/", "headers": []}
    asyncio.run(asyncio.wait_for(Pages(get_asgi_application())(scope, receive, send), PATIENCE_S))

    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[0]["status"] == status
