"""When each key was last used: gathered in memory, written now and then, and never on a call's path."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import structlog
from django.db import DatabaseError, InterfaceError, connection

from accounts.models import ApiKey
from gateway.catalogue import Caller

_WRITE_EVERY_S = 30.0

log = structlog.get_logger(__name__)


class KeyUse:
    """`note` each call's key; `run` until cancelled."""

    def __init__(self) -> None:
        self._used: set[UUID] = set()

    def note(self, caller: Caller) -> None:
        if caller.key_id is not None:
            self._used.add(caller.key_id)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_WRITE_EVERY_S)
            used, self._used = self._used, set()
            if used:
                await asyncio.to_thread(_write, used, datetime.now(UTC))


def _write(used: set[UUID], now: datetime) -> None:
    try:
        ApiKey.objects.filter(pk__in=used).update(last_used_at=now)
    except (DatabaseError, InterfaceError) as error:
        log.warning("when keys were last used could not be written", error=str(error))
    finally:
        connection.close()
