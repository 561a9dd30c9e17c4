"""What could not be written to the database, kept in a local file until it can be.

One locked file a process, each entry on a line of its own with a checksum, fsynced before its caller is told. Entries
are applied by id, so a replay that was cut short is simply made again. The file of a process that has died is replayed
by the next one to look.
"""

from __future__ import annotations

import fcntl
import os
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import structlog

from usage.ledger import Entry

SUFFIX = ".journal"
REFUSED = "refused"  # what was set aside, a line each
_BATCH = 256
_CHUNK_BYTES = 1 << 20  # read at once: what waits may be larger than this process's memory

log = structlog.get_logger(__name__)

Apply = Callable[[Sequence[Entry]], None]


class Journal:
    """Safe to append to from any thread, also while another one replays it."""

    def __init__(self, path: Path) -> None:
        """Opens or makes the file and locks it. Raises BlockingIOError where a living process has it."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = path
        self._file = _locked(path)
        self._size = os.fstat(self._file).st_size
        self._done = 0  # what has been replayed of it
        self._lock = threading.Lock()

    @property
    def is_empty(self) -> bool:
        return self._size == 0

    @property
    def size_bytes(self) -> int:
        return self._size

    def append(self, entries: Sequence[Entry]) -> list[Entry]:
        """Returns when the entries are on disk, with those that cannot be written down. Raises OSError."""
        lines, unwritable = _encoded(entries)
        with self._lock:
            _append(self._file, lines, self._size)
            self._size += len(lines)
        return unwritable

    def replay(self, apply: Apply) -> int:
        """Apply all entries, in their order, and empty the file; returns how many. What `apply` raises is raised.

        Then the next replay goes on where this one was cut short, or a little before. Entries that come in meanwhile
        are taken too; the file is emptied only when none is left. What another version has written in words that are
        not ours is set aside.
        """
        count = 0
        while content := self._next():
            entries, foreign = _read(content)
            for first in range(0, len(entries), _BATCH):
                apply(entries[first : first + _BATCH])
            for line in foreign:
                log.error("an entry of the journal cannot be read, and was set aside", bytes=len(line))
                _set_aside(self.path.parent, line + b"\n")
            self._done += len(content)
            count += len(entries)
        return count

    def _next(self) -> bytes:
        """The next whole lines, or the torn one that ends the file. None are left: the file is emptied."""
        with self._lock:
            left, length = self._size - self._done, _CHUNK_BYTES
            if left == 0:
                os.ftruncate(self._file, 0)
                os.fdatasync(self._file)
                self._size = self._done = 0
                return b""
            while True:
                content = os.pread(self._file, min(length, left), self._done)
                if end := content.rfind(b"\n") + 1:
                    return content[:end]
                if length >= left:
                    return content
                length *= 2  # a line that is longer

    def close(self) -> None:
        """Give the file up, and remove it where it is empty."""
        if self.is_empty:
            self.path.unlink(missing_ok=True)
        os.close(self._file)


def adopt(folder: Path) -> Iterator[Journal]:
    """The journals that dead processes have left, each locked for us."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        try:
            yield Journal(path)
        except (BlockingIOError, FileNotFoundError):
            continue  # its process lives, or another one has just adopted it


def set_aside(folder: Path, entry: Entry) -> None:
    """Keep an entry that the database refuses, for a person to look at."""
    _set_aside(folder, _line(entry))


def _set_aside(folder: Path, line: bytes) -> None:
    """All processes of the machine have one file for it: one after the other."""
    refused = os.open(folder / REFUSED, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(refused, fcntl.LOCK_EX)
        _append(refused, line, os.fstat(refused).st_size)
    finally:
        os.close(refused)


def _locked(path: Path) -> int:
    """The file of this name, open and locked. Raises BlockingIOError.

    Between our opening and our locking it, an adopter may have replayed, removed and unlocked it: then another is made.
    """
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise
        if _is_file_named(path, file):
            _sync_folder(path.parent)  # else a crash of the machine could take the name, and all that was kept under it
            return file
        os.close(file)


def _is_file_named(path: Path, file: int) -> bool:
    try:
        named = path.stat()
    except FileNotFoundError:
        return False
    opened = os.fstat(file)
    return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _append(file: int, content: bytes, size: int) -> None:
    """`content` is on disk on return, or nothing of it is in the file: its caller is refused. Raises OSError."""
    left, offset = content, size
    try:
        while left:  # a nearly full disk writes a part without an error
            written = os.pwrite(file, left, offset)
            left, offset = left[written:], offset + written
        os.fdatasync(file)
    except OSError:
        os.ftruncate(file, size)
        raise


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


def _encoded(entries: Sequence[Entry]) -> tuple[bytes, list[Entry]]:
    """The lines of the entries, and those that have none: text that is no Unicode cannot be written down."""
    lines, unwritable = [], []
    for entry in entries:
        try:
            lines.append(_line(entry))
        except Exception:  # whatever one entry does, the others are kept
            log.exception("an entry cannot be written to the journal", entry=type(entry).__name__)
            unwritable.append(entry)
    return b"".join(lines), unwritable


def _line(entry: Entry) -> bytes:
    body = _encode(entry)
    return b"%08x %b\n" % (zlib.crc32(body), body)


def _read(content: bytes) -> tuple[list[Entry], list[bytes]]:
    """The entries, and the lines that are whole and are no entries.

    A line that a crash has torn was never acknowledged: it is left out, and said.
    """
    entries, foreign = [], []
    for line in content.splitlines():
        checksum, _, body = line.partition(b" ")
        if checksum != b"%08x" % zlib.crc32(body):
            log.warning("a torn line of the journal is left out", bytes=len(line))
            continue
        try:
            entries.append(_decode(body))
        except msgspec.MsgspecError:
            foreign.append(line)
    return entries, foreign
