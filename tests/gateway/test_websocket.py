"""What a socket lets strangers do: little, and not for long."""

from __future__ import annotations

import asyncio
import json
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from gateway.doors import websocket
from tests.gateway import gateways
from tests.servers import PATIENCE_S

SCOPE: dict[str, Any] = {"type": "websocket", "path": "/ws/complete", "headers": [], "query_string": b""}


def test_who_brings_no_key_is_shown_out_however_much_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "_STRANGER_S", 0.2)
    message = {"type": "websocket.receive", "text": json.dumps({"id": "none", "type": "cancel"})}
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        await asyncio.sleep(0.01)
        return message

    async def send(event: MutableMapping[str, Any]) -> None:
        sent.append(event)

    async def story() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await websocket.serve(gateways.unstarted(tmp_path), SCOPE, receive, send)

    asyncio.run(story())
    assert [event["type"] for event in sent] == ["websocket.accept", "websocket.close"]
    assert sent[-1]["code"] == 1008
