"""One collector's queue, and the thread that empties it.

A call adds its row to a bounded queue and is done. A collector that is away or slow costs spans, never calls: what
comes while the queue is full is dropped, and the log says so once.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol
from uuid import UUID

import structlog

from core import calling
from core.calling import Calling
from core.egress import Policy
from core.http import UnacceptableAnswerError, open_client
from gateway.tracing.collectors import Collector, Tracing
from gateway.tracing.spans import SpanMaker, request
from providers.specs import DeploymentSpec
from usage.rows import RecordRow

if TYPE_CHECKING:
    import httpx2

QUEUE_LENGTH = 8_192  # rows
BATCH = 512
_EVERY_S = 1.0
_TIMEOUT_S = 10.0
_CONNECT_TIMEOUT_S = 3.0
_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0
_STOP_S = 3.0
_TRY_AGAIN = {429, 502, 503, 504}  # https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes
# Collectors are the operator's own, named in the environment as databases are.
_ANYWHERE = Policy.parse(networks="0.0.0.0/0,::/0", ports="1-65535")

log = structlog.get_logger(__name__)


class Deployments(Protocol):
    def __call__(self) -> Mapping[UUID, DeploymentSpec]:
        """Those of the configuration in force."""


class Exporter:
    """To one collector. `add` is for the event loop; `stop` blocks for `_STOP_S` at most."""

    def __init__(self, collector: Collector, tracing: Tracing, deployments: Deployments) -> None:
        self._collector = collector
        self._tracing = tracing
        self._deployments = deployments
        self._waiting: deque[tuple[RecordRow, Calling | None]] = deque()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._stop_at = 0.0
        self._dropped = 0
        self._is_failing = False
        self._thread = threading.Thread(target=self._run, name=f"traces-{collector.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def add(self, record: RecordRow) -> None:
        """Of a call that works in this task (`core.calling`)."""
        if len(self._waiting) >= QUEUE_LENGTH:
            self._dropped += 1
            if self._dropped == 1:
                log.warning("traces are dropped: the collector does not keep up", collector=self._collector.name)
            return
        self._waiting.append((record, calling.current()))
        if len(self._waiting) == BATCH:
            self._wake.set()

    def stop(self) -> None:
        """Send what waits, if the collector takes it at once."""
        self._stop_at = time.monotonic() + _STOP_S
        self._stopping.set()
        self._wake.set()
        self._thread.join(_STOP_S)

    def _run(self) -> None:
        maker = SpanMaker(sampling=self._tracing.sampling, for_langfuse=self._collector.is_langfuse)
        with open_client(timeout_s=_TIMEOUT_S, connect_timeout_s=_CONNECT_TIMEOUT_S, policy=_ANYWHERE) as client:
            while not self._stopping.is_set():
                self._wake.wait(_EVERY_S)
                self._wake.clear()
                self._send_waiting(client, maker)
            self._send_waiting(client, maker)

    def _send_waiting(self, client: httpx2.Client, maker: SpanMaker) -> None:
        while self._waiting and not self._is_out_of_time():
            try:
                body = self._next_body(maker)
                if body:
                    self._deliver(client, body)
            except Exception:  # a thread that ended would let the queue fill for good; the batch is lost, and told
                log.exception("a batch of traces could not be sent", collector=self._collector.name)

    def _next_body(self, maker: SpanMaker) -> bytes:
        """Empty where none of the batch is sampled."""
        deployments = self._deployments()
        rows = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
        spans = [span for record, caller in rows for span in maker.spans(record, caller, deployments)]
        return request(spans, service=self._tracing.service) if spans else b""

    def _deliver(self, client: httpx2.Client, body: bytes) -> None:
        """Until it is taken, refused for good, or the process stops."""
        pause_s = _FIRST_PAUSE_S
        while (problem := self._post(client, body)) is not None:
            if not self._is_failing:
                self._is_failing = True
                log.warning("traces are not taken", collector=self._collector.name, reason=problem.reason)
            if not problem.is_passing or self._stopping.wait(pause_s * random.uniform(0.5, 1.0)):  # noqa: S311 - no secret
                return
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
        if self._is_failing or self._dropped:
            log.info("traces are taken again", collector=self._collector.name, dropped=self._dropped)
        self._is_failing, self._dropped = False, 0

    def _post(self, client: httpx2.Client, body: bytes) -> _Problem | None:
        import httpx2  # noqa: PLC0415  # `open_client` has imported it

        headers = {name: value.reveal() for name, value in self._collector.headers.items()}
        left_s = self._stop_at - time.monotonic() if self._stopping.is_set() else _TIMEOUT_S
        try:
            status = client.post(
                self._collector.url,
                content=body,
                headers={"Content-Type": "application/x-protobuf", **headers},
                timeout=httpx2.Timeout(max(left_s, 0.1), connect=min(max(left_s, 0.1), _CONNECT_TIMEOUT_S)),
            ).status_code
        except UnacceptableAnswerError as error:  # nobody reads more of it than its status
            status = error.status
        except (httpx2.HTTPError, OSError) as error:
            return _Problem(type(error).__name__, is_passing=True)
        if 200 <= status < 300:
            return None
        return _Problem(f"HTTP {status}", is_passing=status in _TRY_AGAIN)

    def _is_out_of_time(self) -> bool:
        return self._stopping.is_set() and time.monotonic() >= self._stop_at


class _Problem:
    """`reason` names no address: that may hold what is secret."""

    def __init__(self, reason: str, *, is_passing: bool) -> None:
        self.reason = reason
        self.is_passing = is_passing
