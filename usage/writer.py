"""Group commit: one thread a process writes whatever waits in one transaction, and tells its callers when it has.

While one batch commits, the next one gathers; where many wait, for a moment longer, since a batch's own cost is then
shared by more. While the database cannot take writes, or hangs, what may go to the journal goes there, and the rest
fails with `LedgerUnavailableError`. The thread also keeps this process's lease, replays journals (its own and those of
the dead) and sweeps, so that the books close without anyone's help. However long a replay takes, the lease is kept
and what waits is written in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import structlog
from django.db import DatabaseError, IntegrityError, InterfaceError, connection

from core.ids import uuid7
from usage import journal, leases, ledger, sql
from usage.journal import Journal
from usage.ledger import Entry, Extend, LedgerUnavailableError, Reserve, Settle, Void

__all__ = ["LedgerUnavailableError", "Writer"]

MAX_BATCH = 256
MAX_WAITING = 20_000
_CROWD = 16  # with so many waiting, more are about to come: a moment's patience makes one batch of two
_GATHER_S = 0.001
STALL_S = 0.75  # a commit that takes longer counts as a database that is away
_LOOK_EVERY_S = 0.1
_RENEW_EVERY_S = 5.0
_SWEEP_EVERY_S = 10.0
_RETRY_EVERY_S = 1.0
_STOP_S = 3.0  # the journal has by then what the database does not take (`STALL_S`); the killers' bound is near

log = structlog.get_logger(__name__)


class _Ticket:
    """An entry that waits. `done` belongs to the event loop.

    `told` says that its caller has been answered already, `tried` that the database may have seen it.
    """

    __slots__ = ("done", "entry", "given_at", "told", "tried")

    def __init__(self, entry: Entry, done: asyncio.Future[None], given_at: float) -> None:
        self.entry = entry
        self.done = done
        self.given_at = given_at
        self.told = False
        self.tried = False


Outcome = tuple[_Ticket, Exception | None]


class Writer:
    """Make it and use it on one event loop: `start`, then `await write(entry)`, then `await stop()`."""

    def __init__(self, folder: Path) -> None:
        self.lease_id: UUID = uuid7()
        # The database's time, and this process's monotonic clock when it was so.
        self._known_time = (datetime.now(UTC), time.monotonic())
        self._steady_since = time.monotonic()  # all renewals were in time since then
        self._renew_at = self._sweep_at = 0.0  # by the monotonic clock
        self._folder = folder
        self._journal = Journal(folder / f"{self.lease_id.hex}{journal.SUFFIX}")
        self._keeper = ThreadPoolExecutor(1, "journal")  # the loop's own threads may all wait for the same database
        self._process = f"{socket.gethostname()}:{os.getpid()}"
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[_Ticket] = deque()
        self._pending: dict[_Ticket, None] = {}  # in the order of their coming
        self._work = threading.Event()
        self._stopping = False
        self._away = False  # the database cannot take writes, or hangs: cleared by the thread
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._watch: asyncio.Task[None] | None = None

    @property
    def now(self) -> datetime:
        """The database's time, whatever this process's clock says."""
        known_at, monotonic_s = self._known_time
        return known_at + timedelta(seconds=time.monotonic() - monotonic_s)

    async def start(self) -> None:
        """Raises django.db.Error where the database is away."""
        try:
            await asyncio.to_thread(self._begin)
        except Exception:  # whatever it is: who starts again makes another writer, and this one's file stays locked
            self._keeper.shutdown()
            self._journal.close()
            raise
        self._thread.start()
        self._watch = asyncio.create_task(self._watch_for_stalls())

    async def stop(self) -> None:
        """Write what waits, then end the thread and give the lease back."""
        self._stopping = True
        self._work.set()
        await asyncio.to_thread(self._thread.join, _STOP_S)
        if not self._thread.is_alive():
            await asyncio.to_thread(self._end)
        if self._watch:
            self._watch.cancel()
        self._keeper.shutdown()
        if not self._thread.is_alive():  # else it may come back from the database and look into its journal
            self._journal.close()

    def write(self, entry: Entry) -> asyncio.Future[None]:
        """Done when `entry` is durable. Fails with a `ledger.Refusal` or `LedgerUnavailableError`."""
        ticket = _Ticket(entry, self._loop.create_future(), self._loop.time())
        if len(self._pending) >= MAX_WAITING and isinstance(entry, Reserve | Extend):  # what has happened is taken
            ticket.done.set_exception(LedgerUnavailableError("Too many calls wait for the ledger."))
            return ticket.done
        self._pending[ticket] = None
        self._waiting.append(ticket)
        if not self._work.is_set():
            self._work.set()
        return ticket.done

    # --- on the event loop --------------------------------------------------------------------------------------

    async def _watch_for_stalls(self) -> None:
        """While the thread hangs in the database, answer those who have waited too long: journal, or refusal.

        What hangs with it may yet be committed. Entries are applied by id, so journalling them too does no harm; a
        hold whose caller was refused is voided if it is committed after all.
        """
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            oldest = next(iter(self._pending), None)
            patience_s = _LOOK_EVERY_S if self._away else STALL_S
            if oldest is None or self._loop.time() - oldest.given_at < patience_s:
                continue
            if not self._away:
                log.error("the ledger does not answer: the journal takes over")
                self._away = True
            late = list(self._pending)
            self._pending.clear()
            for ticket in late:
                ticket.told = True
            self._waiting.clear()  # these are among them, or were told before: the thread has no more to do for them
            await self._answer_without_database(late)

    async def _answer_without_database(self, tickets: list[_Ticket]) -> None:
        kept = [ticket for ticket in tickets if _may_be_journalled(ticket.entry)]
        for ticket in tickets:
            if not _may_be_journalled(ticket.entry):
                _tell(ticket, LedgerUnavailableError("The ledger does not answer."))
        if entries := [ticket.entry for ticket in kept] + _takebacks(tickets):
            errors = await self._loop.run_in_executor(self._keeper, self._keep, entries)
            for ticket, error in zip(kept, errors, strict=False):
                if error is None and isinstance(ticket.entry, Reserve) and ticket.done.cancelled():
                    self.write(Void(ticket.entry.hold.id))  # its caller left before anything was sent
                _tell(ticket, error)

    def _resolve(self, outcomes: Sequence[Outcome]) -> None:
        for ticket, error in outcomes:
            self._pending.pop(ticket, None)
            if error is None and not ticket.told and not ticket.done.done():  # as nearly always
                ticket.done.set_result(None)
                continue
            refused_before = ticket.told and not _may_be_journalled(ticket.entry)
            if error is None and isinstance(ticket.entry, Reserve) and (refused_before or ticket.done.cancelled()):
                self.write(Void(ticket.entry.hold.id))
            if not ticket.told:
                _tell(ticket, error)

    # --- in the thread ------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        try:
            sql.require_durable_commits()
            self._stay_alive()
        finally:
            connection.close()

    def _run(self) -> None:
        while not (self._stopping and not self._waiting):
            self._work.wait(self._rest_s())
            self._work.clear()
            self._keep_house()
            self._replay()
            while self._waiting and time.monotonic() < self._renew_at:  # however busy: the lease must not lapse
                if len(self._waiting) >= _CROWD:
                    time.sleep(_GATHER_S)
                self._write_batch()
            if self._waiting:
                self._work.set()
        connection.close()

    def _rest_s(self) -> float:
        """For how long there is nothing to do unless something comes."""
        rest_s = max(0.0, min(self._renew_at, self._sweep_at) - time.monotonic())
        return min(rest_s, _RETRY_EVERY_S) if self._away else rest_s

    def _end(self) -> None:
        """After the thread: write what the journal keeps, if that can be, and what the last batch's outcome brought.

        That is a hold to be taken back, whose caller has left meanwhile. A database that is away is not asked again:
        whoever stops us waits, and the next to look replays the journal.
        """
        while self._waiting:
            if self._away:
                self._without_database(self._next_batch())
            else:
                self._write_batch()
        if self._away:
            return
        self._replay()
        with contextlib.suppress(DatabaseError, InterfaceError):  # its lease will lapse by itself
            leases.release(self.lease_id)
        connection.close()

    def _write_batch(self) -> None:
        """In order: what the journal holds comes before what has come since."""
        if self._replay():
            self._write(self._next_batch())
        else:
            self._loop.call_soon_threadsafe(self._resolve, self._without_database(self._next_batch()))

    def _next_batch(self) -> list[_Ticket]:
        """Whoever has answered what waits (`_watch_for_stalls`) may empty the queue meanwhile."""
        batch: list[_Ticket] = []
        with contextlib.suppress(IndexError):
            while len(batch) < MAX_BATCH:
                batch.append(self._waiting.popleft())
        return batch

    def _write(self, tickets: list[_Ticket]) -> None:
        """What ends a hold goes behind the journal, where the hold may be; all else is as true before a replay as
        after it.

        A hard budget waits for no journal: no hold that counts in one is ever there, and one in the database counts
        whole until it is settled.
        """
        for ticket in tickets:
            ticket.tried = True
        ends = [] if self._journal.is_empty else [each for each in tickets if isinstance(each.entry, Settle | Void)]
        # A ticket whose caller was answered while it waited is in the journal, or was refused.
        untold = [ticket for ticket in tickets if not ticket.told and ticket not in ends]
        outcomes = self._attempt(untold)
        if ends:
            outcomes += self._without_database(ends)
        self._loop.call_soon_threadsafe(self._resolve, outcomes)

    def _attempt(self, tickets: list[_Ticket]) -> list[Outcome]:
        """Write the tickets; a row that the database refuses is found by halving, and fails alone."""
        if not tickets:
            return []
        try:
            refused = ledger.apply([ticket.entry for ticket in tickets])
        except Exception as error:  # noqa: BLE001 - whatever one row does, the thread lives and the others are written
            if not sql.is_of_a_row(error):
                self._lose(error)
                return self._without_database(tickets)
            if len(tickets) > 1:
                half = len(tickets) // 2
                return self._attempt(tickets[:half]) + self._attempt(tickets[half:])
            return [(tickets[0], self._again(tickets[0], error))]
        self._away = False
        return [(ticket, refused.get(index)) for index, ticket in enumerate(tickets)]

    def _again(self, ticket: _Ticket, error: Exception) -> Exception | None:
        """A key that exists was written by another process meanwhile: on a second look it is known."""
        if isinstance(error, IntegrityError):
            try:
                return ledger.apply([ticket.entry], replayed=True).get(0)
            except (DatabaseError, InterfaceError) as again:
                if not sql.is_of_a_row(again):
                    self._lose(again)
                    return self._without_database([ticket])[0][1]
        log.error("a ledger row was refused", error=str(error), entry=type(ticket.entry).__name__)
        return error

    def _without_database(self, tickets: list[_Ticket]) -> list[Outcome]:
        kept = [ticket for ticket in tickets if not ticket.told and _may_be_journalled(ticket.entry)]
        errors = self._keep([ticket.entry for ticket in kept] + _takebacks(tickets))
        away = LedgerUnavailableError("The ledger cannot be written.")
        refused = [(ticket, away) for ticket in tickets if not _may_be_journalled(ticket.entry)]
        return [*zip(kept, errors, strict=False), *refused]

    def _keep(self, entries: Sequence[Entry]) -> list[LedgerUnavailableError | None]:
        """Journal the entries, and tell of each what went wrong.

        An extension need not be kept where budgets only count: the settle tells the overrun.
        """
        try:
            lasting = [entry for entry in entries if not isinstance(entry, Extend)]
            unwritable = self._journal.append(lasting) if lasting else []
        except OSError as error:
            log.exception("the journal cannot be written either", entries=len(entries))
            return [LedgerUnavailableError(str(error))] * len(entries)
        refused = {id(entry): LedgerUnavailableError("The journal cannot keep this row.") for entry in unwritable}
        return [refused.get(id(entry)) for entry in entries]

    def _replay(self) -> bool:
        """Whether the journal is empty now."""
        if self._journal.is_empty:
            return True
        try:
            count = self._journal.replay(self._replay_batch)
        except (DatabaseError, InterfaceError) as error:
            self._lose(error)
            return False
        except OSError:
            log.exception("the journal cannot be read")
            return False
        log.warning("what the journal had kept is in the database", entries=count)
        return True

    def _lose(self, error: Exception) -> None:
        if not self._away:
            log.error("the ledger cannot be written: the journal takes over", error=str(error))
        self._away = True
        connection.close()

    def _keep_house(self) -> None:
        """Renew the lease; replay what dead processes have left, and settle their calls: each when it is time."""
        try:
            self._stay_alive()
            if time.monotonic() >= self._sweep_at:
                self._sweep_at = time.monotonic() + _RENEW_EVERY_S
                self._adopt()
                self._sweep()
        except (DatabaseError, InterfaceError) as error:
            self._lose(error)
        except Exception:  # the thread lives: without it no call is written any more
            log.exception("the ledger's house could not be kept")

    def _stay_alive(self) -> None:
        if time.monotonic() >= self._renew_at:
            self._renew()

    def _renew(self) -> None:
        """A renewal that comes late, by our clock or the database's, says that others' may too."""
        next_s = _RETRY_EVERY_S
        try:
            seen_at, now_s = leases.renew(self.lease_id, self._process), time.monotonic()
            next_s = _RENEW_EVERY_S
        finally:
            self._renew_at = time.monotonic() + next_s
        known_at, known_s = self._known_time
        if max(seen_at - known_at, timedelta(seconds=now_s - known_s)) > leases.LEASE / 2:
            self._steady_since = now_s
        self._known_time = (seen_at, now_s)

    def _sweep(self) -> None:
        """Whose lease has lapsed is dead, unless nobody could renew: after an outage, or a leap of the clock.

        Then all that live have the time of a lease to do so, and to begin to replay their journals; so they have when
        this process starts, since it doesn't know what was before.
        """
        self._renew()
        if time.monotonic() - self._steady_since < leases.LEASE.total_seconds():
            return
        self._sweep_at = time.monotonic() + _SWEEP_EVERY_S
        if swept := leases.sweep(now=self.now):
            log.warning("settled the calls of processes that ended in mid-call", calls=swept)

    def _replay_batch(self, entries: Sequence[Entry]) -> None:
        """And what else must be done meanwhile: a replay may take minutes."""
        self._stay_alive()
        self._apply_again(entries)
        self._away = False
        if self._waiting:
            self._write(self._next_batch())

    def _apply_again(self, entries: Sequence[Entry]) -> None:
        """Replay. An entry that the database refuses is set aside, so that it cannot block those behind it."""
        try:
            ledger.apply(entries, replayed=True, refusing=False)
        except Exception as error:  # whatever one row does, the others are written
            if not sql.is_of_a_row(error):
                raise
            if len(entries) > 1:
                half = len(entries) // 2
                self._apply_again(entries[:half])
                self._apply_again(entries[half:])
                return
            log.exception("an entry of the journal was refused, and set aside", entry=type(entries[0]).__name__)
            journal.set_aside(self._folder, entries[0])

    def _adopt(self) -> None:
        """Replay what dead processes have left."""
        for left in journal.adopt(self._folder):
            try:
                if entries := left.replay(self._replay_batch):
                    log.warning("replayed a dead process's journal", entries=entries)
            finally:
                left.close()


def _may_be_journalled(entry: Entry) -> bool:
    """A hard budget's room, and whose a key is, are known to the database alone; everything else can wait for it."""
    if isinstance(entry, Reserve):
        return entry.idempotency is None and not any(window.hard for window in entry.windows)
    return not (isinstance(entry, Extend) and entry.hard)


def _takebacks(tickets: Sequence[_Ticket]) -> list[Entry]:
    """What undoes the holds of refused callers, should their lost transaction have been committed after all."""
    return [
        Void(ticket.entry.hold.id, lost=ticket.entry.hold)
        for ticket in tickets
        if ticket.tried and isinstance(ticket.entry, Reserve) and not _may_be_journalled(ticket.entry)
    ]


def _tell(ticket: _Ticket, error: Exception | None) -> None:
    if ticket.done.done():
        return
    if error is None:
        ticket.done.set_result(None)
    else:
        ticket.done.set_exception(error)
