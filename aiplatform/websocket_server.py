"""Uvicorn's WebSockets, and one thing more: hanging up on a caller who takes nothing, or whose handshake is none, which
uvicorn would wait for as long as the caller likes.

Named to uvicorn by `--ws` (`aiplatform.supervisor`).
"""

from __future__ import annotations

import asyncio
from typing import Any

from django.conf import settings
from uvicorn._types import ASGISendEvent
from uvicorn.config import Config
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from gateway import http

_NO_HANDSHAKE = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class Protocol(WebSocketsSansIOProtocol):
    """One connection."""

    _stalled: asyncio.TimerHandle | None = None
    _closing: asyncio.TimerHandle | None = None

    def __init__(self, config: Config, *others: Any, **named: Any) -> None:
        config.ws_max_size = 2 * settings.MAX_BODY_BYTES  # up to there the door itself says that it is too much
        super().__init__(config, *others, **named)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            refusal = b"".join(self.conn.data_to_send())  # of headers that are too long, or too many
            self.transport.write(refusal or _NO_HANDSHAKE)
            self.transport.close()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stalled = self._hang_up_later()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()

    def keepalive_timeout(self) -> None:
        """At once: uvicorn would say why, and wait until that is taken too, by a caller who does not answer."""
        self.transport.abort()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """What was sent may be taken yet, but not for ever."""
        super().on_task_complete(task)
        if not self.disconnected:
            self._closing = self._hang_up_later()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._stalled, self._closing):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    async def send(self, message: ASGISendEvent) -> None:
        """Raises `ClientDisconnected`, also once the connection is being closed, which the application may not know."""
        if self.close_sent or self.transport.is_closing():
            raise ClientDisconnected
        await super().send(message)

    def _hang_up_later(self) -> asyncio.TimerHandle:
        return self.loop.call_later(http.STALLED_S, self.transport.abort)
