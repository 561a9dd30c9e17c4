"""What the driver is told to do, and what it has found: the two messages between `driver` and `measure`."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """Calls with the same bytes, over so many connections.

    `rate_per_s` 0: each connection calls again as soon as it is answered. `status`: of a good answer. `pause_s`: after
    each piece that it reads, a slow reader waits so long. `leaves_after`: events after which it hangs up (0: never).
    `serving`, `database`: processes whose CPU to read.
    """

    port: int
    request: str
    connections: int
    warm_up_s: float
    window_s: float
    rate_per_s: float = 0.0
    status: int = 200
    pause_s: float = 0.0
    leaves_after: int = 0
    serving: tuple[int, ...] = ()
    database: tuple[int, ...] = ()


class Figures(msgspec.Struct, kw_only=True):
    """`answered`, `left`, `failed` and `events` are of the whole load; the rest is of its window alone.

    `threads` are those of the serving process that had most, as the window closed.
    """

    answered: int = 0
    left: int = 0
    failed: int = 0
    failure: str = ""
    events: int = 0
    window_s: float = 0.0
    window_events: int = 0
    latencies_ms: list[float] = []
    serving_cpu_s: float = 0.0
    database_cpu_s: float = 0.0
    own_cpu_s: float = 0.0
    threads: int = 0


def cpu_s(pids: tuple[int, ...]) -> float:
    """User and system time of processes and all their threads, in seconds, to the nanosecond.

    The same sum as in /proc/PID/stat, without its rounding to 10 ms: the clock of clock_getcpuclockid(3), whose number
    on Linux is the inverted pid and CPUCLOCK_SCHED (include/linux/posix-timers.h). 0 for a process that has gone, as
    a database's helpers do.
    """
    return sum(map(_cpu_s, pids))


def _cpu_s(pid: int) -> float:
    try:
        return time.clock_gettime_ns((~pid << 3) | 2) / 1e9
    except OSError:
        return 0.0


def most_threads(pids: tuple[int, ...]) -> int:
    """Of the process that has most."""
    return max((sum(1 for _ in Path(f"/proc/{pid}/task").iterdir()) for pid in pids), default=0)
