"""All configuration that a call needs, as one immutable snapshot in memory (`gateway/snapshot.py`).

It is read in a thread and swapped whole; a revision number, bumped in the changing transaction, tells when. Only what
has changed is made anew (`gateway/loading/`). When the database is away the last good snapshot serves.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import structlog
from django.db import DatabaseError, InterfaceError, connection

from accounts import revision
from gateway.loading.callers import Callers
from gateway.loading.deployments import Deployments
from gateway.loading.pace import Pace
from gateway.loading.tables import Table
from gateway.snapshot import AllowedModels, Caller, Snapshot
from usage.budgets import Budgets, BudgetSpec
from usage.models import Budget
from usage.periods import Period

__all__ = ["AllowedModels", "Caller", "Catalogue", "Snapshot", "load"]

POLL_S = 0.25
_AWAY = "away"

log = structlog.get_logger(__name__)


class Catalogue:
    """The current snapshot, kept fresh by `run`. Make it with `open`."""

    def __init__(self, first: Snapshot, source: Source, reader: ThreadPoolExecutor) -> None:
        self.current = first
        self._source = source
        self._reader = reader

    @classmethod
    async def open(cls) -> Catalogue:
        """Raises django.db.Error."""
        # One thread, so that it is one connection: the loop's own pool would keep one in each of its threads.
        reader, source = ThreadPoolExecutor(1, "catalogue"), Source()
        first = await asyncio.get_running_loop().run_in_executor(reader, source.load, Pace(is_hurried=True))
        _say_in_force(first)
        return cls(first, source, reader)

    async def run(self) -> None:
        """Until cancelled: look at the revision four times a second, and reload when it has moved.

        What keeps it from being read is logged when it begins and when it is over, not with each look.
        """
        loop = asyncio.get_running_loop()
        trouble = ""
        while True:
            await asyncio.sleep(POLL_S)
            try:
                newer = await loop.run_in_executor(self._reader, self._source.newer_than, self.current.revision)
            except (DatabaseError, InterfaceError) as error:
                if trouble != _AWAY:  # an outage has many messages
                    log.warning("the configuration cannot be read; the last one serves", error=str(error))
                trouble = _AWAY
                continue
            except Exception as error:  # whatever one row's fault is, later changes must still come into force
                if trouble != type(error).__name__:
                    log.exception("the configuration is not understood; the last one serves")
                trouble = type(error).__name__
                continue
            if trouble:
                log.warning("the configuration can be read again")
                trouble = ""
            if newer:
                self.current = newer
                _say_in_force(newer)


class Source:
    """Reads snapshots, each but the first at the cost of what has changed. For one thread."""

    def __init__(self) -> None:
        self._callers = Callers()
        self._deployments = Deployments()
        self._budget_rows = Table(Budget.objects.all(), _OF_BUDGET, _budget)
        self._budgets = Budgets(())
        self._budgets_version = 0

    def load(self, pace: Pace) -> Snapshot:
        """The configuration as it is now. Raises django.db.Error."""
        try:
            # The number first: a change in between is then seen again, never missed.
            number = revision.current()
            self._callers.refresh(pace)
            self._deployments.refresh(pace)
            self._refresh_budgets(pace)
        finally:
            connection.close()
        return Snapshot(
            revision=number,
            callers=self._callers.by_digest,
            topology=self._deployments.topology,
            budgets=self._budgets,
            capacity=self._deployments.capacity,
            keyless=self._callers.keyless,
            narrowed={},
        )

    def newer_than(self, known: int) -> Snapshot | None:
        """None: nothing has changed since revision `known`."""
        try:
            newest = revision.current()
        except (DatabaseError, InterfaceError):
            connection.close()
            raise
        return self.load(Pace()) if newest != known else None

    def _refresh_budgets(self, pace: Pace) -> None:
        self._budget_rows.refresh(pace)
        if self._budget_rows.version != self._budgets_version:
            self._budgets = Budgets(pace.over(self._budget_rows.made.values()))
            self._budgets_version = self._budget_rows.version


def _say_in_force(snapshot: Snapshot) -> None:
    log.info("the configuration is in force", revision=snapshot.revision, process=os.getpid())


def load() -> Snapshot:
    """The whole configuration, read once."""
    return Source().load(Pace(is_hurried=True))


_OF_BUDGET = ("name", "scope", "subject", "cap_pico", "period", "time_zone", "hard", "is_active")


def _budget(row: Any) -> BudgetSpec:
    return BudgetSpec(
        id=row.pk,
        name=row.name,
        scope=row.scope,
        subject=row.subject,
        cap_pico=row.cap_pico,
        period=cast("Period", row.period),
        time_zone=row.time_zone,
        hard=row.hard and row.is_active,  # one that is switched off goes on counting
    )
