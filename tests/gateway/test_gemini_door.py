"""Streams of Gemini's that our own end cuts off."""

from __future__ import annotations

import asyncio
import json
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from accounts.models import ApiKey, Client
from gateway.doors import gemini
from providers.models import Deployment, Provider
from tests.gateway import gateways
from tests.servers import PATIENCE_S
from wire import sse

pytestmark = pytest.mark.django_db(transaction=True)
PATH = "/v1beta/models/demo:streamGenerateContent"
BODY = json.dumps({"contents": [{"parts": [{"text": "Tell me a story."}]}]}).encode()


class Caller:
    """Asks for a stream. `hears` is set when the first of it has come."""

    def __init__(self, key: str, query: bytes) -> None:
        headers = [(b"x-goog-api-key", key.encode())]
        self.scope = {"type": "http", "method": "POST", "path": PATH, "query_string": query, "headers": headers}
        self.hears = asyncio.Event()
        self.told = b""
        self._has_asked = False

    async def receive(self) -> MutableMapping[str, Any]:
        if self._has_asked:
            await asyncio.Event().wait()
        self._has_asked = True
        return {"type": "http.request", "body": BODY}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        self.told += message.get("body", b"")
        if self.told:
            self.hears.set()


def _cut_off(folder: Path, query: bytes) -> bytes:
    """What the caller is told of a stream whose process stops."""
    provider = Provider.objects.create(name="Demo", slug="demo", kind="demo")
    Deployment.objects.create(provider=provider, name="demo")
    _, key = ApiKey.mint(client=Client.objects.create(name="alice"))

    async def story() -> bytes:
        caller = Caller(key, query)
        async with gateways.running(folder) as gateway:
            door = next(iter(gemini.PREFIXES.values()))
            serving = asyncio.create_task(gateway.serve(door, caller.scope, caller.receive, caller.send))
            async with asyncio.timeout(PATIENCE_S):
                await caller.hears.wait()
                serving.cancel()
                await serving
        return caller.told

    return asyncio.run(story())


def test_an_array_ends_in_its_error(tmp_path: Path) -> None:
    *words, last = json.loads(_cut_off(tmp_path, b""))

    assert words[0]["candidates"]
    assert last["error"]["status"] == "UNAVAILABLE"


def test_so_does_a_stream_of_events(tmp_path: Path) -> None:
    *_, last, _ = _cut_off(tmp_path, b"alt=sse").split(b"\n\n")

    assert json.loads(sse.data_of(last + b"\n\n"))["error"]["status"] == "UNAVAILABLE"
