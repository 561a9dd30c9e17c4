"""The load: a process that sends fixed bytes over keep-alive connections and takes the answers' times.

It reads one `Load` a line on standard input and writes one `Figures` a line on standard output, both JSON. It also
reads the servers' CPU clocks, because it alone knows when its measured window begins and ends.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import time
from collections import deque

import msgspec
import uvloop

from benchmarks.caller import Caller
from benchmarks.loads import Figures, Load, cpu_s, most_threads

_DRAIN_S = 20.0
_SLOW_BUFFER_BYTES = 16 * 1024  # of a slow reader's socket: the kernel's usual one would read for it


def main() -> None:
    gc.disable()
    with open(sys.stdout.fileno(), "wb", closefd=False) as out:  # where Python's own is unbuffered, it may write a part
        for line in sys.stdin:
            figures = uvloop.run(Run(msgspec.json.decode(line, type=Load)).figures())
            out.write(msgspec.json.encode(figures) + b"\n")
            out.flush()
            gc.collect()


class Run:
    """One load from its first call to its last answer."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.request = load.request.encode()
        self.found = Figures(latencies_ms=[])
        self.is_open = True  # new calls are made
        self.in_window = False
        self.in_flight = 0
        self.idle: deque[Caller] = deque()
        self.overdue: deque[float] = deque()
        self._dialling: set[asyncio.Task[Caller]] = set()

    async def figures(self) -> Figures:
        for _ in range(self.load.connections):
            self.idle.append(await self._dial())
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

    async def _dial(self) -> Caller:
        peer = socket.socket()
        if self.load.pause_s:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SLOW_BUFFER_BYTES)
        peer.connect(("127.0.0.1", self.load.port))
        peer.setblocking(False)
        _, caller = await asyncio.get_running_loop().create_connection(lambda: Caller(self), sock=peer)
        return caller

    async def _measure(self) -> None:
        found, load = self.found, self.load
        serving, database = cpu_s(load.serving), cpu_s(load.database)
        own, started, events = time.process_time(), time.perf_counter(), found.events
        self.in_window = True
        await asyncio.sleep(load.window_s)
        self.in_window = self.is_open = False
        found.serving_cpu_s = cpu_s(load.serving) - serving
        found.database_cpu_s = max(cpu_s(load.database) - database, 0.0)
        found.own_cpu_s = time.process_time() - own
        found.window_s = time.perf_counter() - started
        found.window_events = found.events - events
        found.threads = most_threads(load.serving)

    async def _drain(self) -> None:
        deadline = time.perf_counter() + _DRAIN_S
        while self.in_flight and time.perf_counter() < deadline:  # noqa: ASYNC110 - an event would cost each call
            await asyncio.sleep(0.005)
        if self.in_flight:
            self.failed(f"{self.in_flight} calls were not answered within {_DRAIN_S:g} s", count=self.in_flight)
        await asyncio.gather(*self._dialling)
        for caller in self.idle:
            caller.close()

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

    def answered(self, caller: Caller, sent_at: float) -> None:
        now = time.perf_counter()
        self.found.answered += 1
        if self.in_window:
            self.found.latencies_ms.append((now - sent_at) * 1000)
        self._next(caller, now)

    def left(self) -> None:
        """A caller has hung up: another takes its place."""
        self.found.left += 1
        task = asyncio.create_task(self._dial())
        self._dialling.add(task)
        task.add_done_callback(self._dialled)

    def _dialled(self, task: asyncio.Task[Caller]) -> None:
        self._dialling.discard(task)
        self._next(task.result(), time.perf_counter())

    def _next(self, caller: Caller, now: float) -> None:
        if self.is_open and not self.load.rate_per_s:
            caller.call(now)
        elif self.is_open and self.overdue:
            caller.call(self.overdue.popleft())
        else:
            self.idle.append(caller)

    def failed(self, what: str, *, count: int = 1) -> None:
        self.found.failed += count
        self.found.failure = self.found.failure or what


if __name__ == "__main__":
    main()
