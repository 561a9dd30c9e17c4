"""The journal keeps what it said it keeps, through crashes, torn lines and repeated replays."""

from __future__ import annotations

import contextlib
import os
import resource
import threading
import tracemalloc
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.usage.rows import hold, record
from usage import journal
from usage.journal import Journal
from usage.ledger import Entry, Note, Reserve, Settle, Void


def _entries() -> list[Entry]:
    held = hold()
    return [Reserve(held), Settle(record(held)), Void(hold().id), Note(record(hold(), status="refused"))]


def test_what_is_kept_is_replayed_in_its_order_and_once(tmp_path: Path) -> None:
    kept, seen = _entries(), list[Entry]()
    mine = Journal(tmp_path / "a.journal")
    mine.append(kept[:3])
    mine.append(kept[3:])
    assert mine.replay(seen.extend) == 4
    assert seen == kept
    assert mine.is_empty
    assert mine.replay(seen.extend) == 0


def test_a_replay_that_breaks_off_is_made_again_whole(tmp_path: Path) -> None:
    mine = Journal(tmp_path / "a.journal")
    kept = _entries()
    mine.append(kept)

    def fail(_: Sequence[Entry]) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        mine.replay(fail)
    seen: list[Entry] = []
    mine.replay(seen.extend)
    assert seen == kept


def test_a_replay_takes_a_small_part_of_a_large_journal_at_a_time(tmp_path: Path) -> None:
    """One that was larger than the memory of the process would else never be replayed."""
    mine = Journal(tmp_path / "a.journal")
    entry = Settle(record(hold()))
    for _ in range(10):
        mine.append([entry] * 1_000)
    size_bytes = mine.size_bytes
    tracemalloc.start()
    try:
        count = mine.replay(lambda _: None)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 10_000
    assert peak_bytes < size_bytes


def test_parts_end_with_a_line_however_long_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "_CHUNK_BYTES", 1_500)
    kept = [*_entries(), Reserve(hold(request_id="r" * 10_000)), *_entries()]
    mine = Journal(tmp_path / "a.journal")
    mine.append(kept)
    seen: list[Entry] = []
    assert mine.replay(seen.extend) == len(kept)
    assert seen == kept
    assert mine.is_empty


def test_a_replay_that_was_cut_short_goes_on_with_the_part_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_CHUNK_BYTES", 1_500)
    kept = _entries() * 3
    mine = Journal(tmp_path / "a.journal")
    mine.append(kept)
    before: list[Entry] = []

    def fail(entries: Sequence[Entry]) -> None:
        if len(before) + len(entries) > 6:
            raise ConnectionError
        before.extend(entries)

    with pytest.raises(ConnectionError):
        mine.replay(fail)
    after: list[Entry] = []
    mine.replay(after.extend)
    assert before
    assert before + after == kept
    assert mine.is_empty


def test_an_entry_that_cannot_be_written_down_is_named_and_the_others_are_kept(tmp_path: Path) -> None:
    kept = _entries()
    unwritable = Reserve(hold(end_user="\ud800"))
    mine = Journal(tmp_path / "a.journal")
    assert mine.append([*kept[:2], unwritable, *kept[2:]]) == [unwritable]
    seen: list[Entry] = []
    mine.replay(seen.extend)
    assert seen == kept


def test_what_comes_in_during_a_replay_is_replayed_too(tmp_path: Path) -> None:
    mine = Journal(tmp_path / "a.journal")
    first, second = _entries()[:1], _entries()[:1]
    mine.append(first)
    seen: list[Entry] = []

    def apply(entries: Sequence[Entry]) -> None:
        if not seen:
            mine.append(second)
        seen.extend(entries)

    mine.replay(apply)
    assert seen == [*first, *second]


def test_a_dead_processs_journal_is_adopted_and_a_living_ones_is_not(tmp_path: Path) -> None:
    living = Journal(tmp_path / "living.journal")
    living.append(_entries())
    dead = Journal(tmp_path / "dead.journal")
    dead.append(_entries())
    os.close(dead._file)  # what the end of its process does
    adopted = list(journal.adopt(tmp_path))
    assert [each.path.name for each in adopted] == ["dead.journal"]
    seen: list[Entry] = []
    adopted[0].replay(seen.extend)
    adopted[0].close()
    assert len(seen) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["living.journal"]


@pytest.mark.parametrize("lost", [1, 5, 40])
def test_a_torn_last_line_costs_no_other(tmp_path: Path, lost: int) -> None:
    path = tmp_path / "a.journal"
    torn = Journal(path)
    kept = _entries()
    torn.append(kept)
    os.close(torn._file)
    path.write_bytes(path.read_bytes()[:-lost])
    seen: list[Entry] = []
    Journal(path).replay(seen.extend)
    assert seen[:3] == kept[:3]
    assert seen[3:] in ([], kept[3:])


def test_a_line_that_the_disk_has_changed_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    changed = Journal(path)
    kept = _entries()
    changed.append(kept)
    os.close(changed._file)
    path.write_bytes(path.read_bytes().replace(b'"cost_pico":25', b'"cost_pico":24', 1))
    seen: list[Entry] = []
    Journal(path).replay(seen.extend)
    assert seen == [each for each in kept if not isinstance(each, Settle)]
    assert not (tmp_path / "refused").exists()


@contextlib.contextmanager
def _no_file_grows_beyond(size_bytes: int) -> Iterator[None]:
    """As on a disk that is nearly full: a part is written without an error."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_the_disk_has_no_room_for_is_refused_and_nothing_of_it_is_kept(tmp_path: Path) -> None:
    mine = Journal(tmp_path / "a.journal")
    kept = _entries()
    mine.append(kept[:1])
    with _no_file_grows_beyond(mine.size_bytes + 40), pytest.raises(OSError, match="too large"):
        mine.append(kept[1:])
    assert mine.path.stat().st_size == mine.size_bytes
    mine.append(kept[3:])
    seen: list[Entry] = []
    mine.replay(seen.extend)
    assert seen == [kept[0], kept[3]]


def test_what_cannot_be_set_aside_for_want_of_room_stays_in_the_journal(tmp_path: Path) -> None:
    mine = Journal(tmp_path / "a.journal")
    entry = _entries()[1]
    mine.append([entry])

    def refuse(entries: Sequence[Entry]) -> None:
        for each in entries:
            journal.set_aside(tmp_path, each)

    with _no_file_grows_beyond(mine.size_bytes - 1), pytest.raises(OSError, match="too large"):
        mine.replay(refuse)
    assert not mine.is_empty
    assert mine.replay(refuse) == 1
    (tmp_path / "refused").rename(tmp_path / "again.journal")
    seen: list[Entry] = []
    Journal(tmp_path / "again.journal").replay(seen.extend)
    assert seen == [entry]


def test_a_file_that_was_adopted_while_we_opened_it_is_not_written_to(tmp_path: Path) -> None:
    """Between its opening and its locking the adopter has removed it: what is kept there would be nowhere."""
    path = tmp_path / "a.journal"
    opened = os.open(path, os.O_RDWR | os.O_CREAT)
    path.unlink()
    assert not journal._is_file_named(path, opened)
    path.touch()
    assert not journal._is_file_named(path, opened)
    os.close(opened)


def test_openers_and_adopters_in_each_others_way_lose_nothing(tmp_path: Path) -> None:
    """One name, opened and given up without pause by some, while others adopt whatever they find."""
    path = tmp_path / "a.journal"
    seen: list[Entry] = []
    wrote: list[Entry] = []
    over = threading.Event()

    def open_and_keep() -> None:
        kept = 0
        while kept < 40:
            with contextlib.suppress(BlockingIOError):
                mine = Journal(path)
                entry = Void(hold().id)
                mine.append([entry])
                wrote.append(entry)
                kept += 1
                os.close(mine._file)  # as a process that dies

    def adopt_all() -> None:
        while not over.is_set():
            for left in journal.adopt(tmp_path):
                left.replay(seen.extend)
                left.close()

    with ThreadPoolExecutor(4) as pool:
        adopters = [pool.submit(adopt_all) for _ in range(2)]
        for keeper in [pool.submit(open_and_keep) for _ in range(2)]:
            keeper.result()
        over.set()
        for adopter in adopters:
            adopter.result()
    for left in journal.adopt(tmp_path):
        left.replay(seen.extend)
        left.close()
    assert {entry.hold_id for entry in wrote if isinstance(entry, Void)} <= {
        entry.hold_id for entry in seen if isinstance(entry, Void)
    }


def test_what_another_version_has_written_is_set_aside_and_stops_nothing(tmp_path: Path) -> None:
    kept = _entries()
    foreign = b'{"type":"Forgive","hold_id":"00000000-0000-0000-0000-000000000001"}'
    line = b"%08x %b\n" % (zlib.crc32(foreign), foreign)
    (tmp_path / "older.journal").write_bytes(line)
    older = Journal(tmp_path / "older.journal")
    older.append(kept)
    seen: list[Entry] = []

    assert older.replay(seen.extend) == len(kept)

    assert seen == kept
    assert older.is_empty
    assert (tmp_path / "refused").read_bytes() == line


def test_what_was_set_aside_is_replayed_under_a_journals_name(tmp_path: Path) -> None:
    """As docs/operations.md says."""
    kept = _entries()
    for entry in kept:
        journal.set_aside(tmp_path, entry)
    (tmp_path / "refused").rename(tmp_path / "again.journal")
    seen: list[Entry] = []

    for left in journal.adopt(tmp_path):
        left.replay(seen.extend)
        left.close()

    assert seen == kept
    assert not list(tmp_path.iterdir())
