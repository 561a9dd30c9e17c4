"""What a socket lets strangers do: little, and not for long."""

from __future__ import annotations

import asyncio
import json
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import pytest

from accounts.models import ApiKey, Client
from gateway.doors import websocket
from providers.models import Deployment, Provider
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


@pytest.mark.parametrize("said", [{"text": "x" * 1_001}, {"text": "é" * 501}, {"bytes": b"x" * 1_001}])
def test_who_says_more_in_a_message_than_a_body_may_hold_is_shown_out(tmp_path: Path, said: dict[str, Any]) -> None:
    told = iter([{"type": "websocket.connect"}, {"type": "websocket.receive", **said}])
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return next(told)

    async def send(event: MutableMapping[str, Any]) -> None:
        sent.append(event)

    asyncio.run(websocket.serve(gateways.unstarted(tmp_path), SCOPE, receive, send))
    assert sent[-1] == {
        "type": "websocket.close",
        "code": 1009,
        "reason": "A message is larger than 1,000 bytes.",
    }


class Listener:
    """A caller who asks for the demo's answer, takes events one by one, and cancels at one of them."""

    def __init__(self, key: str, *, cancel_at: str) -> None:
        self._told: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        self._told.put_nowait({"type": "websocket.connect"})
        self._tell(type="complete", key=key, model="demo", prompt="Hi")
        self._cancel_at = cancel_at
        self.events: list[dict[str, Any]] = []
        self.receive = self._told.get

    def _tell(self, **message: str) -> None:
        self._told.put_nowait({"type": "websocket.receive", "text": json.dumps({"id": "1", **message})})

    async def send(self, event: MutableMapping[str, Any]) -> None:
        if event["type"] != "websocket.send":
            return
        said = json.loads(event["text"])
        if said["type"] == self._cancel_at:
            self._cancel_at = ""
            self._tell(type="cancel")
            for _ in range(100):  # turns enough for it to be read while this event is on its way
                await asyncio.sleep(0)
        self.events.append(said)
        if said["type"] == "done":
            self._told.put_nowait({"type": "websocket.disconnect"})


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("cancel_at", "reason"), [("chunk", "cancelled"), ("done", "stop")])
def test_a_call_has_one_last_event_also_where_its_cancel_crosses_another(
    tmp_path: Path, cancel_at: str, reason: str
) -> None:
    provider = Provider.objects.create(name="Demo", slug="demo", kind="demo")
    Deployment.objects.create(provider=provider, name="demo")
    _, key = ApiKey.mint(client=Client.objects.create(name="alice"))
    listener = Listener(key, cancel_at=cancel_at)

    async def story() -> None:
        async with gateways.running(tmp_path) as gateway, asyncio.timeout(PATIENCE_S):
            await websocket.serve(gateway, SCOPE, listener.receive, listener.send)

    asyncio.run(story())
    *chunks, last = listener.events
    assert {event["type"] for event in chunks} == {"chunk"}
    assert (last["type"], last["finish_reason"]) == ("done", reason)
    assert len(chunks) == 1 or reason == "stop"


@pytest.mark.django_db(transaction=True)
def test_only_so_many_calls_are_under_way_on_a_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "MAX_CALLS", 1)
    _, key = ApiKey.mint(client=Client.objects.create(name="alice"))
    told: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
    told.put_nowait({"type": "websocket.connect"})
    for number in "12":
        asked = {"id": number, "type": "complete", "key": key, "model": "nobody-knows-it", "prompt": "Hi"}
        told.put_nowait({"type": "websocket.receive", "text": json.dumps(asked)})
    codes: dict[str, str] = {}

    async def send(event: MutableMapping[str, Any]) -> None:
        if event["type"] == "websocket.send":
            said = json.loads(event["text"])
            codes[said["id"]] = said["error_code"]
            if len(codes) == 2:
                told.put_nowait({"type": "websocket.disconnect"})

    async def story() -> None:
        async with gateways.running(tmp_path) as gateway, asyncio.timeout(PATIENCE_S):
            await websocket.serve(gateway, SCOPE, told.get, send)

    asyncio.run(story())
    assert codes == {"1": "MODEL_NOT_FOUND", "2": "QUEUE_FULL"}
