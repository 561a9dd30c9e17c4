"""The load: a process that sends fixed bytes over keep-alive connections and takes the answers' times.

It reads one `Load` a line on standard input and writes one `Figures` a line on standard output, both JSON. It also
reads the servers' CPU clocks, because it alone knows when its measured window begins and ends.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections import deque
from typing import cast

import msgspec
import uvloop

_DRAIN_S = 15.0
_OK = b"HTTP/1.1 200"
_LAST_CHUNK = b"0\r\n\r\n"


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """`rate_per_s` 0: each connection calls again as soon as it is answered. `clocks`: processes whose CPU to read."""

    port: int
    request: str
    connections: int
    warm_up_s: float
    window_s: float
    rate_per_s: float = 0.0
    clocks: tuple[int, ...] = ()


class Figures(msgspec.Struct, kw_only=True):
    """`answered`, `failed` and `events` are of the whole load; the rest is of its window alone.

    `answered_events` are the events of whole answers, of streams. `cpu_s` is as `Load.clocks`.
    """

    answered: int = 0
    failed: int = 0
    failure: str = ""
    events: int = 0
    window_s: float = 0.0
    window_events: int = 0
    latencies_ms: list[float] = []
    cpu_s: list[float] = []
    own_cpu_s: float = 0.0


def main() -> None:
    gc.disable()
    for line in sys.stdin:
        figures = uvloop.run(_Run(msgspec.json.decode(line, type=Load)).figures())
        sys.stdout.write(msgspec.json.encode(figures).decode() + "\n")
        sys.stdout.flush()
        gc.collect()


def cpu_s(pid: int) -> float:
    """User and system time of a process and all its threads, in seconds, to the nanosecond.

    The same sum as in /proc/PID/stat, without its rounding to 10 ms: the clock of clock_getcpuclockid(3), whose number
    on Linux is the inverted pid and CPUCLOCK_SCHED (include/linux/posix-timers.h). 0 for a process that has gone, as
    a database's helpers do.
    """
    try:
        return time.clock_gettime_ns((~pid << 3) | 2) / 1e9
    except OSError:
        return 0.0


class _Run:
    """One load from its first call to its last answer."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.request = load.request.encode()
        self.found = Figures(latencies_ms=[], cpu_s=[])
        self.is_open = True  # new calls are made
        self.in_window = False
        self.in_flight = 0
        self.idle: deque[_Connection] = deque()
        self.overdue: deque[float] = deque()

    async def figures(self) -> Figures:
        loop = asyncio.get_running_loop()
        for _ in range(self.load.connections):
            _, connection = await loop.create_connection(lambda: _Connection(self), "127.0.0.1", self.load.port)
            self.idle.append(connection)
        ticking = asyncio.create_task(self._tick()) if self.load.rate_per_s else None
        if not ticking:
            while self.idle:
                self.idle.popleft().call(time.perf_counter())
        await asyncio.sleep(self.load.warm_up_s)
        await self._measure()
        if ticking:
            ticking.cancel()
        await self._drain()
        return self.found

    async def _measure(self) -> None:
        found = self.found
        before, own, started, events = self._clocks(), time.process_time(), time.perf_counter(), found.events
        self.in_window = True
        await asyncio.sleep(self.load.window_s)
        self.in_window = self.is_open = False
        found.cpu_s = [max(after - then, 0.0) for after, then in zip(self._clocks(), before, strict=True)]
        found.own_cpu_s = time.process_time() - own
        found.window_s = time.perf_counter() - started
        found.window_events = found.events - events

    async def _drain(self) -> None:
        deadline = time.perf_counter() + _DRAIN_S
        while self.in_flight and time.perf_counter() < deadline:  # noqa: ASYNC110 - an event would cost each call
            await asyncio.sleep(0.005)
        if self.in_flight:
            self.failed(f"{self.in_flight} calls were not answered within {_DRAIN_S:g} s", count=self.in_flight)
        for connection in self.idle:
            connection.close()

    async def _tick(self) -> None:
        """Calls at a fixed rate. One that finds no connection idle waits, and its time counts from when it was due."""
        due = time.perf_counter()
        while True:
            due += 1 / self.load.rate_per_s
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            if self.idle:
                self.idle.popleft().call(time.perf_counter())
            else:
                self.overdue.append(due)

    def answered(self, connection: _Connection, sent_at: float) -> None:
        now = time.perf_counter()
        self.found.answered += 1
        if self.in_window:
            self.found.latencies_ms.append((now - sent_at) * 1000)
        if self.is_open and not self.load.rate_per_s:
            connection.call(now)
        elif self.is_open and self.overdue:
            connection.call(self.overdue.popleft())
        else:
            self.idle.append(connection)

    def failed(self, what: str, *, count: int = 1) -> None:
        self.found.failed += count
        self.found.failure = self.found.failure or what

    def _clocks(self) -> list[float]:
        return [cpu_s(pid) for pid in self.load.clocks]


class _Connection(asyncio.Protocol):
    """Reads answers by Content-Length, or to the last chunk."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclasses

    def call(self, due: float) -> None:
        self._due = due
        self._busy = True
        self._run.in_flight += 1
        self._head = b""
        self._in_body = False
        self._tail = b""
        self._transport.write(self._run.request)

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        if not self._in_body:
            data = self._read_head(data)
            if not self._in_body:
                return
        if self._left is None:
            self._run.found.events += data.count(b"data: ")
            self._tail = (self._tail + data)[-len(_LAST_CHUNK) :]
            ended = self._tail == _LAST_CHUNK
        else:
            self._left -= len(data)
            ended = self._left <= 0
        if ended:
            self._end(data)

    def _read_head(self, data: bytes) -> bytes:
        """What `data` holds of the body."""
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0:
            return b""
        self._in_body = True
        head, body = self._head[:end].lower(), self._head[end + 4 :]
        at = head.find(b"content-length:")
        self._left: int | None = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else None
        return body

    def _end(self, data: bytes) -> None:
        self._busy = False
        self._run.in_flight -= 1
        if not self._head.startswith(_OK):
            self._run.failed(self._head[:40].decode("latin-1") + data[:300].decode("latin-1"))
        else:
            self._run.answered(self, self._due)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._busy:
            self._busy = False
            self._run.in_flight -= 1
            self._run.failed(f"the connection was lost: {exc}")


if __name__ == "__main__":
    main()
