"""Celery's schedule, for clocks that are set back."""

from __future__ import annotations

from typing import Any

from celery.beat import PersistentScheduler


class Schedule(PersistentScheduler):
    """Celery's own, but a job that ran later than now waits its time from now, not from then."""

    schedule: dict[str, Any]  # of Celery's entries

    def tick(self, *args: Any, **options: Any) -> float:
        now = self.app.now()
        for entry in self.schedule.values():
            if entry.last_run_at > now:
                entry.last_run_at = now
                self._heap = None  # made anew
        seconds: float = super().tick(*args, **options)
        return seconds
