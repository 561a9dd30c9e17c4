"""Calls that go on while something is read, in threads with connections of their own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection

from tests.usage.rows import hold, record
from usage import ledger
from usage.budgets import Window
from usage.ledger import Reserve, Settle


@contextmanager
def traffic(windows: tuple[Window, ...] = (), *, threads: int = 2, **facts: Any) -> Iterator[None]:
    """Calls without a pause until the block is left; whatever one raises is raised then."""
    windows_text = json.dumps([str(window.id) for window in windows])
    stop, errors = threading.Event(), list[Exception]()

    def call() -> None:
        try:
            while not stop.is_set():
                held = hold(windows=windows_text, **facts)
                ledger.apply([Reserve(held, windows)])
                ledger.apply([Settle(record(held))])
        except Exception as error:  # noqa: BLE001 - told to the test
            errors.append(error)
        finally:
            connection.close()

    running = [threading.Thread(target=call) for _ in range(threads)]
    for thread in running:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in running:
            thread.join()
    assert errors == []
