"""What an exchange makes of what comes over the wire."""

from __future__ import annotations

import json
import time
from typing import Any, cast
from uuid import UUID

import pytest

from gateway.calls import Call, open_call
from gateway.catalogue import Caller
from gateway.http import Exchange
from wire import openai_chat

ALICE = Caller(UUID(int=10), "alice", None, "", "call", None)
BODY = b'{"model": "gpt", "messages": [{"role": "user", "content": "Hi"}]}'


def _call(*headers: tuple[bytes, bytes]) -> Call:
    never = cast("Any", None)
    exchange = Exchange({"path": "/", "headers": headers}, never, never)
    envelope = openai_chat.open_chat(BODY)
    return open_call(
        exchange, surface="test", caller=ALICE, dialect=openai_chat, envelope=envelope, started=time.perf_counter()
    )


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_what_headers_say_beyond_ascii_is_read_as_it_was_written(encoding: str) -> None:
    """Budgets on them hold whichever of the two the caller's HTTP client writes."""
    call = _call((b"x-tags", "team=Süd".encode(encoding)), (b"x-end-user", "Jürgen".encode(encoding)))

    assert (json.loads(call.tags), call.end_user) == ({"team": "Süd"}, "Jürgen")
