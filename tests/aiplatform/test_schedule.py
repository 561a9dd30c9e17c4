"""The schedule of jobs, as Celery's beat runs it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

import aiplatform.celery  # noqa: F401 - it fills the app's table of jobs
from aiplatform.schedule import Schedule
from core.jobs import app

SOONEST_S = min(each["schedule"] for each in app.conf.beat_schedule.values() if isinstance(each["schedule"], float))
AN_HOUR = timedelta(hours=1)


@pytest.fixture
def schedule(tmp_path: Path) -> Iterator[Schedule]:
    made = Schedule(app, schedule_filename=str(tmp_path / "schedule"))
    yield made
    made.close()


def set_clock_back(schedule: Schedule) -> None:
    """As far as the schedule can see it: all that it did was an hour later."""
    for entry in schedule.schedule.values():
        entry.last_run_at += AN_HOUR


def test_a_clock_that_is_set_back_holds_no_job_up(schedule: Schedule) -> None:
    assert schedule.tick() <= SOONEST_S

    set_clock_back(schedule)

    assert schedule.tick() <= SOONEST_S


def test_what_ran_before_the_clock_was_set_back_is_no_later_after_a_restart(schedule: Schedule, tmp_path: Path) -> None:
    set_clock_back(schedule)
    schedule.close()

    again = Schedule(app, schedule_filename=str(tmp_path / "schedule"))

    assert again.tick() <= SOONEST_S
    again.close()
