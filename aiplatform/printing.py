"""What a process prints, whoever reads it: a pipe whose reader hangs, a terminal that was halted (Ctrl-S), a full disk.

Whoever writes into a full pipe sleeps until it is read, and where that is the event loop, every call sleeps with it.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import select
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

STANDARD_OUTPUT, STANDARD_ERROR = 1, 2
_PATIENCE_S = 0.1
_LAST_PATIENCE_S = 1.0
_MOST_WAITING = 1_000  # lines


class Printer:
    """Prints lines to an open file in their order, and raises nothing where it cannot.

    A thread writes. Whoever prints waits for it, so that nothing is left unsaid when the process is ended; but for a
    moment at most, not at all while earlier lines are waiting, and an event loop never. Of too many that wait, the
    later ones are dropped.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._changed = threading.Condition()
        self._waiting: deque[str] = deque()
        self._dropped = 0
        self._is_stuck = False
        self._writer: threading.Thread | None = None

    def print(self, line: str, *, gap: Callable[[int], str] = "({} lines were dropped)".format) -> None:
        """`gap` words a line that tells how many were dropped before this one."""
        with self._changed:
            if len(self._waiting) >= _MOST_WAITING:
                self._dropped += 1
                return
            if self._dropped:
                self._waiting.append(gap(self._dropped))
                self._dropped = 0
            self._waiting.append(line)
            with suppress(RuntimeError):  # no thread is to be had just now: the next line tries again
                self._see_to_a_writer()
            self._changed.notify_all()
            if not self._is_stuck and not _on_a_loop():
                self._is_stuck = not self.drained(_PATIENCE_S)

    def drained(self, patience_s: float) -> bool:
        """Whether all is written, after so long at most."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting, patience_s)

    def _see_to_a_writer(self) -> None:
        if self._writer is None:
            writer = threading.Thread(target=self._write, name="printing", daemon=True)
            writer.start()
            self._writer = writer

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                line = self._waiting[0]
            with suppress(OSError):  # nobody is there any more to be told, or no room is left
                _write_whole(self._file, f"{line}\n".encode(errors="backslashreplace"))
            with self._changed:
                self._waiting.popleft()
                if not self._waiting:
                    self._is_stuck = False
                    self._changed.notify_all()


def to(file: int) -> Printer:
    """The one printer of this process to an open file."""
    return _printers.get(file) or _printers.setdefault(file, Printer(file))


def open_what_is_closed() -> None:
    """Standard streams that whoever started us has closed lead nowhere.

    Else the next file or socket that is opened is one of them, and gets what a library or a child prints.
    """
    while (lowest := os.open(os.devnull, os.O_RDWR)) <= STANDARD_ERROR:
        os.set_inheritable(lowest, True)
    os.close(lowest)
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(STANDARD_OUTPUT, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(STANDARD_ERROR, "w", closefd=False)


def _on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _write_whole(file: int, data: bytes) -> None:
    """Past Python's buffers: whoever ends while one of them is being written would be aborted."""
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(file, left) :]
        except BlockingIOError:  # another program that has this file open wants it so
            room = select.poll()
            room.register(file, select.POLLOUT)
            room.poll()


def _say_the_last() -> None:
    for printer in list(_printers.values()):
        printer.drained(_LAST_PATIENCE_S)


_printers: dict[int, Printer] = {}
os.register_at_fork(after_in_child=_printers.clear)  # the parent's thread is not there, and its lock may be held
atexit.register(_say_the_last)
