"""A key that is used is one that was used, whichever door it opens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from django.db import connection

from accounts.models import ApiKey, Client
from aiplatform.doors import door_of
from gateway import grpc_server, key_use
from gateway.asgi import Gateway
from gateway.doors import websocket
from gateway.doors.grpc import SERVICE
from tests.gateway import gateways
from tests.servers import PATIENCE_S, free_port, wait_until

pytestmark = pytest.mark.django_db(transaction=True)
Ask = Callable[[Gateway, str], Awaitable[None]]


async def ask_http(gateway: Gateway, key: str) -> None:
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/v1/models", "query_string": b""}
    scope["headers"] = [(b"authorization", b"Bearer " + key.encode())]
    door = door_of(scope)
    assert door is not None
    await gateway.serve(door, scope, asyncio.Queue[Any]().get, _unheard)


async def ask_websocket(gateway: Gateway, key: str) -> None:
    scope = {"type": "websocket", "path": websocket.PATH, "headers": [], "query_string": b""}
    asked = {"id": "1", "type": "complete", "key": key, "model": "nobody-knows-it", "prompt": "Hi"}
    told: asyncio.Queue[Any] = asyncio.Queue()
    told.put_nowait({"type": "websocket.connect"})
    told.put_nowait({"type": "websocket.receive", "text": json.dumps(asked)})
    told.put_nowait({"type": "websocket.disconnect"})
    await websocket.serve(gateway, scope, told.get, _unheard)


async def ask_grpc(gateway: Gateway, key: str) -> None:
    port = free_port()
    server = await grpc_server.start(gateway, host="127.0.0.1", port=port, tls=None, is_shared=False)
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            method: Any = channel.unary_unary(f"/{SERVICE}/GetProviderStatus", bytes, bytes)
            await method(b"", metadata=(("authorization", f"Bearer {key}"),), timeout=PATIENCE_S)
    finally:
        await server.stop(None)


async def _unheard(_: object) -> None:
    pass


@pytest.mark.parametrize("ask", [ask_http, ask_websocket, ask_grpc])
def test_a_keys_use_is_noted_at_every_door(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_use, "_WRITE_EVERY_S", 0.05)
    _, secret = ApiKey.mint(client=Client.objects.create(name="alice"))

    async def story() -> None:
        async with gateways.running(tmp_path) as gateway:
            await ask(gateway, secret)
            await asyncio.to_thread(wait_until, _is_used, what="the use to be noted")

    asyncio.run(story())


def _is_used() -> bool:
    """As another connection sees it."""
    try:
        return ApiKey.objects.filter(last_used_at__isnull=False).exists()
    finally:
        connection.close()
