"""The data plane: a plain ASGI application, mounted ahead of Django (why: docs/performance.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import structlog

from core.http import open_session
from gateway import catalogue, runtime
from gateway.authentication import authenticate
from gateway.catalogue import Caller, Catalogue
from gateway.http import CallerLeftError, Exchange, Receive, Scope, Send
from gateway.key_use import KeyUse
from gateway.pipeline import Pipeline
from usage.writer import Writer
from wire.dialect import CallerDialect, EmbeddingCaller
from wire.errors import ApiError, Code

log = structlog.get_logger(__name__)

Handler = Callable[["Gateway", "Door", Exchange, Caller], Awaitable[None]]


class Door(msgspec.Struct, frozen=True):
    """A path's way in: its name on usage rows, the dialect of its errors, and what it does."""

    surface: str
    dialect: CallerDialect | EmbeddingCaller
    handle: Handler


class Gateway:
    """What every door works with. `start` and `stop` frame its life, once a worker, on its event loop."""

    pipeline: Pipeline

    def __init__(self, *, max_body_bytes: int, journal_dir: Path) -> None:
        self._journal_dir = journal_dir
        self.max_body_bytes = max_body_bytes

    async def start(self) -> None:
        """Raises django.db.Error where the database is away."""
        snapshot = await asyncio.to_thread(catalogue.load)
        self._writer = Writer(self._journal_dir)
        await self._writer.start()
        self._session = open_session()
        configuration = Catalogue(snapshot)
        self._refresh = asyncio.create_task(configuration.run())
        self._key_use = KeyUse()
        self._note_use = asyncio.create_task(self._key_use.run())
        self.pipeline = Pipeline(catalogue=configuration, writer=self._writer, session=self._session)
        runtime.started(self)

    async def stop(self) -> None:
        """Settle what is still open, then let go of everything."""
        runtime.stopped(self)
        self._refresh.cancel()
        self._note_use.cancel()
        await self.pipeline.stop()
        await self._writer.stop()
        await self._session.close()

    async def serve(self, door: Door, scope: Scope, receive: Receive, send: Send) -> None:
        """Authenticate, let the door answer, and turn whatever goes wrong into an error of its dialect."""
        exchange = Exchange(scope, receive, send)
        try:
            caller = authenticate(self.pipeline.catalogue.current, exchange)
            self._key_use.note(caller)
            await door.handle(self, door, exchange, caller)
        except CallerLeftError:
            return
        except ApiError as error:
            await _fail(exchange, door.dialect, error)
        except Exception:  # the last resort: whatever broke, the caller gets an answer and the log its cause
            log.exception("a call failed for a reason of ours", request_id=exchange.request_id, surface=door.surface)
            await _fail(exchange, door.dialect, ApiError(Code.INTERNAL, "Something went wrong on our side."))


async def _fail(exchange: Exchange, dialect: CallerDialect | EmbeddingCaller, error: ApiError) -> None:
    body = dialect.encode_error(error, request_id=exchange.request_id, stream=exchange.started)
    if exchange.started:
        await exchange.send(body)
        await exchange.end_stream()
        return
    headers = [(b"content-type", b"application/json")]
    if not error.retryable:
        headers.append((b"x-should-retry", b"false"))
    if error.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % max(1, round(error.retry_after_s))))
    if error.provider:
        headers.append((b"x-provider", error.provider.encode()))
    await exchange.answer(error.status, body, headers)
