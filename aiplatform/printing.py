"""What a process prints, whoever reads it: a pipe whose reader hangs, a terminal that was halted (Ctrl-S), a full disk.

Whoever writes into a full pipe sleeps until it is read, and where that is the event loop, every call sleeps with it.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import select
import stat
import sys
import termios
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

STANDARD_OUTPUT, STANDARD_ERROR = 1, 2
_LAST_PATIENCE_S = 1.0
_MOST_KEPT = 1_000  # lines
_MOST_UNREAD = 32_768  # bytes of a pipe that others may be writing into just now: half of what it takes


class Printer:
    """Prints lines to an open file in their order, without a wait, and raises nothing where it cannot.

    What finds no room is kept for a thread that waits for it. Of too much that is kept, the later lines are dropped.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._changed = threading.Condition()
        self._kept: deque[bytes] = deque()
        self._dropped = 0
        self._gap: Callable[[int], str] = str
        self._writer: threading.Thread | None = None

    def print(self, line: str, *, gap: Callable[[int], str] = "({} lines were dropped)".format) -> None:
        """`gap` words a line that tells how many were dropped at its place."""
        data = _line(line)
        with self._changed:
            if not self._kept and _has_room(self._file, len(data)):
                data = _unwritten(self._file, data)
            if data:
                self._keep(data, gap)

    def is_done(self, patience_s: float) -> bool:
        """Whether nothing is kept any more, after so long at most."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._kept, patience_s)

    def _keep(self, data: bytes, gap: Callable[[int], str]) -> None:
        if len(self._kept) >= _MOST_KEPT:
            self._dropped, self._gap = self._dropped + 1, gap
            return
        self._tell_gap()
        self._kept.append(data)
        self._changed.notify_all()
        if self._writer is None:
            writer = threading.Thread(target=self._write, name="printing", daemon=True)
            with suppress(RuntimeError):  # no thread is to be had just now: the next line tries again
                writer.start()
                self._writer = writer

    def _tell_gap(self) -> None:
        if self._dropped:
            self._kept.append(_line(self._gap(self._dropped)))
            self._dropped = 0

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._kept)
                data = self._kept[0]
            while data:
                data = _unwritten(self._file, data)
                if data:  # another program that has this file open wants to be told when it is full
                    _room(self._file).poll()
            with self._changed:
                self._kept.popleft()
                if not self._kept:
                    self._tell_gap()
                self._changed.notify_all()


def to(file: int) -> Printer:
    """The one printer of this process to an open file."""
    return _printers.get(file) or _printers.setdefault(file, Printer(file))


def say(line: str) -> None:
    """On standard output."""
    to(STANDARD_OUTPUT).print(line)


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


def _line(text: str) -> bytes:
    return f"{text}\n".encode(errors="backslashreplace")


def _room(file: int) -> select.poll:
    room = select.poll()
    room.register(file, select.POLLOUT)
    return room


def _has_room(file: int, size: int) -> bool:
    """Whether so many bytes can be written without a wait, whoever writes into the same pipe in this moment."""
    try:
        if not _room(file).poll(0):
            return False
        if not stat.S_ISFIFO(os.fstat(file).st_mode):
            return True
        unread = int.from_bytes(fcntl.ioctl(file, termios.FIONREAD, bytes(4)), sys.byteorder)
    except OSError:  # it is not open any more: to write says so at once
        return True
    return unread + size <= _MOST_UNREAD


def _unwritten(file: int, data: bytes) -> bytes:
    """What is left of it after one try, past Python's buffers: who ends while one is being written would be aborted."""
    try:
        return data[os.write(file, data) :]
    except BlockingIOError:
        return data
    except OSError:  # nobody is there any more to be told, or no room is left on the disk
        return b""


def _say_the_last() -> None:
    for printer in list(_printers.values()):
        printer.is_done(_LAST_PATIENCE_S)


_printers: dict[int, Printer] = {}
os.register_at_fork(after_in_child=_printers.clear)  # the parent's thread is not there, and its lock may be held
atexit.register(_say_the_last)
