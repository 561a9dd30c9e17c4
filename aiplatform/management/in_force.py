"""When a command has changed the configuration, it ends once the web processes know."""

from __future__ import annotations

import time

from gateway.catalogue import POLL_S


def wait_until_in_force() -> None:
    """So that what a command prints works at once: a web process looks for changes every `POLL_S`, then reads them."""
    time.sleep(4 * POLL_S)
