"""The data plane: a plain ASGI application, mounted ahead of Django (why: docs/performance.md)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec
import structlog

from accounts import tokens
from core import calling
from core.http import open_session
from gateway import runtime
from gateway.admission import Admissions
from gateway.authentication import authenticate, presented
from gateway.cache.items import open_items
from gateway.cache.responses import open_cache
from gateway.catalogue import Caller, Catalogue
from gateway.circuits import Circuits
from gateway.failures import OUR_FAULT, STOPPING, error_headers
from gateway.http import JSON, CallerLeftError, Exchange, Receive, Scope, Send
from gateway.key_use import KeyUse
from gateway.limits.limiter import Limiter
from gateway.pipeline import Pipeline
from gateway.slots import Slots
from gateway.tracing.collectors import Tracing
from providers import circuits
from providers.specs import DeploymentSpec
from usage import leases
from usage.writer import Writer
from wire.dialect import ErrorDialect
from wire.errors import ApiError

if TYPE_CHECKING:
    from gateway.tracing.exporter import Exporter

log = structlog.get_logger(__name__)

Handler = Callable[["Gateway", "Door", Exchange, Caller], Awaitable[None]]


class Door(msgspec.Struct, frozen=True):
    """A path's way in: its name on usage rows, the dialect of its errors, and what it does."""

    surface: str
    dialect: ErrorDialect
    handle: Handler


class Gateway:
    """What every door works with. `start` and `stop` frame its life, once a worker, on its event loop."""

    pipeline: Pipeline

    def __init__(
        self,
        *,
        max_body_bytes: int,
        journal_dir: Path,
        redis_url: str,
        cache_ttl_s: int,
        workers: int,
        most_waiting: int,
        longest_wait_s: float,
        tracing: Tracing | None = None,
    ) -> None:
        self._journal_dir = journal_dir
        self.max_body_bytes = max_body_bytes
        self._redis_url = redis_url
        self._cache_ttl_s = cache_ttl_s
        self._workers = workers
        self._most_waiting = most_waiting
        self._longest_wait_s = longest_wait_s
        self._tracing = tracing
        self._exporters: list[Exporter] = []

    async def start(self) -> None:
        """Raises django.db.Error where the database is away."""
        tokens.verifier()  # where they are in use it takes a moment, which is nobody's yet
        configuration = await Catalogue.open()
        self._writer = Writer(self._journal_dir)
        await self._writer.start()
        self._session = open_session()
        self._refresh = asyncio.create_task(configuration.run())
        self._key_use = KeyUse()
        self._note_use = asyncio.create_task(self._key_use.run())
        self._cache = open_cache(self._redis_url, ttl_s=self._cache_ttl_s)
        self.items = open_items(self._redis_url)
        self._limiter = Limiter(
            redis_url=self._redis_url, workers=self._workers, process_id=self._writer.lease_id, live=leases.live
        )
        await self._limiter.start()
        self._keep_limits = asyncio.create_task(self._limiter.run())
        self.pipeline = Pipeline(
            catalogue=configuration,
            writer=self._writer,
            session=self._session,
            cache=self._cache,
            admissions=Admissions(self._limiter, self._slots()),
        )
        self.circuits = Circuits(self.pipeline.board, configuration, redis_url=self._redis_url)
        self._share_circuits = asyncio.create_task(self.circuits.run())
        circuits.follow(self.circuits.reports)
        self._trace()
        runtime.started(self)

    async def stop(self, *, within_s: float) -> None:
        """Settle what is still open, then let go of everything.

        What callers have left behind may go on for `within_s`. Money comes first: whoever is late is killed.
        """
        runtime.stopped(self)
        circuits.unfollow(self.circuits.reports)
        self._refresh.cancel()
        self._note_use.cancel()
        self._share_circuits.cancel()
        self._keep_limits.cancel()
        await self.pipeline.stop(within_s=within_s)
        await self._writer.stop()
        await self._limiter.stop()
        await self._cache.close()
        await self.items.close()
        await self.circuits.close()
        await self._session.close()
        await asyncio.gather(*(asyncio.to_thread(exporter.stop) for exporter in self._exporters))

    def _trace(self) -> None:
        """Where traces are on, tell each collector's exporter of every durable row."""
        if self._tracing is None:
            return
        from gateway.tracing.exporter import Exporter  # noqa: PLC0415  # what traces need is not for all to import

        def deployments() -> dict[UUID, DeploymentSpec]:
            return self.pipeline.catalogue.current.topology.by_id

        self._exporters = [Exporter(collector, self._tracing, deployments) for collector in self._tracing.collectors]
        for exporter in self._exporters:
            exporter.start()
            self.pipeline.books.hearers.append(exporter.add)

    def _slots(self) -> Slots:
        return Slots(
            most_waiting=self._most_waiting,
            longest_wait_s=self._longest_wait_s,
            share=self._limiter.part_of,
        )

    async def serve(self, door: Door, scope: Scope, receive: Receive, send: Send) -> None:
        """Authenticate, let the door answer, and turn whatever goes wrong into an error of its dialect."""
        exchange = Exchange(scope, receive, send)
        calling.begin(exchange.request_id, exchange.header(b"traceparent"))
        try:
            caller = await self.caller(presented(exchange))
            await door.handle(self, door, exchange, caller)
        except CallerLeftError:
            return
        except ApiError as error:
            await self._fail(exchange, door, error)
        except asyncio.CancelledError:  # by the server alone, when its grace is over; the call settles by itself
            await self._fail(exchange, door, STOPPING)
        except Exception:  # the last resort: whatever broke, the caller gets an answer and the log its cause
            log.exception("a call failed for a reason of ours", request_id=exchange.request_id, surface=door.surface)
            await self._fail(exchange, door, OUR_FAULT)

    async def caller(self, secret: str) -> Caller:
        """Whose key or token it is, which has been used by that: at all doors. Raises `ApiError` UNAUTHENTICATED."""
        caller = await authenticate(self.pipeline.catalogue.current, secret)
        self._key_use.note(caller)
        return caller

    async def _fail(self, exchange: Exchange, door: Door, error: ApiError) -> None:
        self.pipeline.books.tally.add_error(door.surface, error)
        body = door.dialect.encode_error(error, request_id=exchange.request_id, stream=exchange.started)
        if not exchange.started:
            await exchange.answer(error.status, body, [JSON, *error_headers(error)])
            return
        with suppress(CallerLeftError):  # who takes nothing any more does not hear of it either
            await exchange.send(exchange.ended_by(body))
            await exchange.end_stream()
