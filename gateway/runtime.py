"""Where code that Django calls finds this process's gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wire.errors import ApiError, Code

if TYPE_CHECKING:
    from gateway.asgi import Gateway

_running: list[Gateway] = []


def started(gateway: Gateway) -> None:
    _running.append(gateway)


def stopped(gateway: Gateway) -> None:
    _running.remove(gateway)


def gateway() -> Gateway:
    """Raises `ApiError` INTERNAL in a process that serves no calls (a shell, a worker)."""
    if not _running:
        raise ApiError(Code.INTERNAL, "This process serves no calls.")
    return _running[-1]
