"""The state machine: a property for any sequence of figures, and the corners by name."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.rules import MOST_GAP, Look, Standing, Step, Terms, outranks, patience_for, quiet_until, step

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def look(
    minutes: float,
    *,
    breached: bool | None,
    hold: int = 5,
    renotify: int | None = None,
    patience: int | None = 60,
    withheld: bool = False,
) -> Look:
    terms = Terms(hold=hold * MINUTE, renotify=_minutes(renotify), patience=_minutes(patience))
    return Look(breached=breached, terms=terms, now=NOW + minutes * MINUTE, withheld=withheld)


def _minutes(number: int | None) -> timedelta | None:
    return None if number is None else number * MINUTE


def play(looks: list[Look], standing: Standing | None = None) -> list[Step]:
    steps = []
    for each in looks:
        steps.append(step(standing, each))
        standing = steps[-1].standing
        if standing is not None and standing.state == "resolved":
            standing = None
    return steps


def notices(steps: list[Step]) -> list[str | None]:
    return [each.notice for each in steps]


@given(
    seen=st.lists(
        st.tuples(st.integers(1, 15), st.sampled_from([True, False, None]), st.booleans()), min_size=1, max_size=120
    ),
    hold=st.integers(0, 12),
    renotify=st.none() | st.integers(1, 20),
    patience=st.none() | st.integers(1, 40),
)
def test_any_sequence_opens_reminds_and_closes_by_its_rule(  # noqa: C901 - one judge of a whole sequence
    seen: list[tuple[int, bool | None, bool]], hold: int, renotify: int | None, patience: int | None
) -> None:
    """Judged by hindsight, over all that was seen, not by what the machine remembers."""
    minute, looks = 0, []
    for gap, breached, withheld in seen:
        minute += gap
        looks.append(
            look(minute, breached=breached, hold=hold, renotify=renotify, patience=patience, withheld=withheld)
        )
    steps = play(looks)

    opened_at: datetime | None = None
    resolved_at: datetime | None = None
    told_at: datetime | None = None
    for number, (each, done) in enumerate(zip(looks, steps, strict=True)):
        is_live = done.standing is not None and done.standing.state == "open"
        has_held = _unbroken(looks[: number + 1], breached=True) >= hold * MINUTE
        was_good = _unbroken(looks[: number + 1], breached=False) >= hold * MINUTE
        was_unknown = patience is not None and _in_doubt(looks[: number + 1]) >= patience * MINUTE
        if opened_at is None:
            # It opens exactly when the limit has been crossed for long enough, and not a moment before.
            assert is_live == (each.breached is True and has_held)
            if is_live:
                opened_at = each.now
                # It never flaps: between an end and the next beginning lies the whole for-duration.
                assert resolved_at is None or opened_at - resolved_at >= hold * MINUTE
        elif not is_live:
            assert done.standing is not None
            assert done.standing.state == "resolved"
            assert was_good or was_unknown
            assert each.now - opened_at >= (hold if was_good else patience or 0) * MINUTE
        else:
            assert each.breached or not (was_good or was_unknown)

        if done.notice == "opened":
            assert told_at is None
            assert not each.withheld
        elif done.notice == "reminder":
            assert told_at is not None
            assert renotify is not None
            assert each.now - told_at >= renotify * MINUTE
            assert not each.withheld
        elif done.notice in ("resolved", "lapsed"):
            assert told_at is not None
            assert was_good if done.notice == "resolved" else was_unknown
        elif is_live and each.breached and not each.withheld:  # silence has its reason
            assert told_at is not None
            assert renotify is None or each.now - told_at < renotify * MINUTE
        if done.notice is not None:
            told_at = each.now
        if done.standing is not None and done.standing.state == "resolved":
            assert (done.notice in ("resolved", "lapsed")) == (told_at is not None)
            opened_at, told_at, resolved_at = None, None, each.now


def _unbroken(looks: list[Look], *, breached: bool) -> timedelta:
    """For how long the figure has been so without a break, as far as anybody looked."""
    last = looks[-1]
    if last.breached != breached:
        return timedelta(-1)
    since = last.now
    for later, earlier in zip(reversed(looks), reversed(looks[:-1]), strict=False):
        if earlier.breached != breached or later.now - earlier.now > MOST_GAP:
            break
        since = earlier.now
    return last.now - since


def _in_doubt(looks: list[Look]) -> timedelta:
    """For how long nobody could tell, without one look that found it so."""
    last, since = looks[-1], None
    if last.breached is not None:
        return timedelta(-1)
    for number in reversed(range(len(looks))):
        if looks[number].breached or looks[min(number + 1, len(looks) - 1)].now - looks[number].now > MOST_GAP:
            break
        since = looks[number].now if looks[number].breached is None else since
    return last.now - (since or last.now)


def test_a_burst_is_told_of_once_and_so_is_its_end() -> None:
    steps = play([look(minute, breached=minute < 20) for minute in range(40)])

    assert [notice for notice in notices(steps) if notice] == ["opened", "resolved"]
    assert steps[5].notice == "opened"
    assert steps[25].notice == "resolved"


def test_what_is_over_before_the_duration_is_never_told() -> None:
    assert not any(notices(play([look(minute, breached=minute % 4 != 0) for minute in range(60)])))


def test_an_hour_without_evaluations_brings_one_reminder_not_sixty() -> None:
    before = [look(minute, breached=True, hold=0, renotify=1) for minute in range(2)]
    after = [look(minute, breached=True, hold=0, renotify=30) for minute in (62, 63, 64)]

    assert notices(play([*before, *after])) == ["opened", "reminder", "reminder", None, None]


def test_nobody_looked_for_an_hour_so_the_duration_starts_anew() -> None:
    steps = play([look(minute, breached=True) for minute in (0, 61, 62, 63, 64, 65, 66)])

    assert notices(steps) == [None, None, None, None, None, None, "opened"]
    opened = play([look(minute, breached=True) for minute in range(6)])[-1].standing
    good_again = play([look(minute, breached=False) for minute in (6, 66, 67, 68, 69, 70, 71)], opened)
    assert notices(good_again) == [None, None, None, None, None, None, "resolved"]


def test_the_same_evaluation_again_changes_nothing() -> None:
    first = step(None, look(0, breached=True, hold=0))

    assert step(first.standing, look(0, breached=True, hold=0)) == Step(first.standing)
    assert step(first.standing, look(-1, breached=False, hold=0)) == Step(first.standing)


def test_withheld_news_is_told_when_that_has_passed() -> None:
    looks = [look(minute, breached=True, hold=0, withheld=minute < 3) for minute in range(5)]

    assert notices(play(looks)) == [None, None, None, "opened", None]


def test_what_was_withheld_until_its_end_is_not_told_at_all() -> None:
    looks = [look(minute, breached=minute < 3, hold=0, withheld=True) for minute in range(5)]

    assert not any(notices(play(looks)))


def test_too_few_calls_make_nothing_good_and_end_it_after_a_while_in_other_words() -> None:
    looks = [look(minute, breached=True if minute == 0 else None, hold=0, patience=60) for minute in range(62)]

    assert notices(play(looks)) == ["opened", *[None] * 60, "lapsed"]


def test_a_good_look_now_and_then_neither_ends_it_nor_keeps_it_open_for_ever() -> None:
    looks = [look(0, breached=True, hold=0), *(look(minute, breached=None) for minute in range(1, 62))]
    looks[10::10] = [look(minute, breached=False) for minute in range(10, 62, 10)]

    assert notices(play(looks)) == ["opened", *[None] * 60, "lapsed"]


def test_what_may_last_unknown_lasts() -> None:
    looks = [look(minute, breached=True if minute == 0 else None, hold=0, patience=None) for minute in range(600)]

    assert [notice for notice in notices(play(looks)) if notice] == ["opened"]


def test_patience_is_an_hour_or_two_windows() -> None:
    assert patience_for(15 * MINUTE) == timedelta(hours=1)
    assert patience_for(timedelta(days=1)) == timedelta(days=2)


@pytest.mark.parametrize("state", ["acknowledged", "silenced"])
def test_handled_incidents_bring_no_reminders(state: str) -> None:
    opened = step(None, look(0, breached=True, hold=0, renotify=1)).standing
    assert opened is not None
    silenced_until = NOW + 60 * MINUTE if state == "silenced" else None
    handled = msgspec.structs.replace(opened, state=state, silenced_until=silenced_until)

    steps = play([look(minute, breached=minute < 8, hold=0, renotify=1) for minute in range(1, 9)], handled)

    assert notices(steps) == [None] * 7 + ["resolved" if state == "acknowledged" else None]


def test_a_silence_ends() -> None:
    opened = step(None, look(0, breached=True, hold=0, renotify=30)).standing
    assert opened is not None
    silenced = msgspec.structs.replace(opened, state="silenced", silenced_until=NOW + 5 * MINUTE)

    steps = play([look(minute, breached=True, hold=0, renotify=4) for minute in range(1, 8)], silenced)

    assert notices(steps) == [None, None, None, None, "reminder", None, None]


@pytest.mark.parametrize(("withheld_until", "told_at"), [(0, 60), (70, 70)])
def test_what_is_still_so_after_a_silence_is_told_once_though_nobody_wants_reminders(
    withheld_until: int, told_at: int
) -> None:
    opened = step(None, look(0, breached=True, hold=0)).standing
    assert opened is not None
    silenced = msgspec.structs.replace(opened, state="silenced", silenced_until=NOW + 60 * MINUTE)
    looks = [look(minute, breached=True, hold=0, withheld=minute < withheld_until) for minute in range(1, 240)]

    steps = play(looks, silenced)

    assert [number + 1 for number, notice in enumerate(notices(steps)) if notice] == [told_at]
    assert steps[-1].standing is not None
    assert steps[-1].standing.silenced_until is None


@pytest.mark.parametrize(
    ("now", "ends"),
    [
        ("2026-03-10T21:59+01:00", None),
        ("2026-03-10T22:00+01:00", "2026-03-11T07:00+01:00"),
        ("2026-03-11T06:59+01:00", "2026-03-11T07:00+01:00"),
        ("2026-03-11T07:00+01:00", None),
        ("2026-03-28T23:00+01:00", "2026-03-29T07:00+02:00"),  # the clocks go forward that night
        ("2026-10-25T02:30+02:00", "2026-10-25T07:00+01:00"),  # and back
    ],
)
def test_quiet_hours_go_by_the_wall_clock_and_over_midnight(now: str, ends: str | None) -> None:
    found = quiet_until(time(22), time(7), now=datetime.fromisoformat(now), zone=ZoneInfo("Europe/Berlin"))

    assert (found.isoformat(timespec="minutes") if found else None) == ends


def test_quiet_hours_within_a_day_end_that_day_and_none_last_all_day() -> None:
    def at_noon(starts: time, ends: time) -> datetime | None:
        return quiet_until(starts, ends, now=NOW, zone=UTC)

    assert at_noon(time(12), time(13)) == NOW + timedelta(hours=1)
    assert (at_noon(time(11), time(12)), at_noon(time(13), time(14)), at_noon(time(9), time(9))) == (None, None, None)


def test_severities_are_ordered() -> None:
    assert outranks("critical", "warning")
    assert outranks("warning", "info")
    assert not outranks("warning", "warning")


def test_a_look_by_a_clock_far_ahead_freezes_nothing() -> None:
    day = 24 * 60
    ahead = step(None, look(day, breached=True, hold=0, renotify=30))
    assert ahead.notice == "opened"

    steps = play([look(minute, breached=True, hold=0, renotify=30) for minute in range(0, 35, 5)], ahead.standing)

    assert notices(steps) == [None] * 6 + ["reminder"]
    assert notices(play([look(36, breached=False, hold=0)], steps[-1].standing)) == ["resolved"]


def test_what_a_clock_far_ahead_began_to_watch_is_told_after_its_own_duration() -> None:
    ahead = step(None, look(24 * 60, breached=True))

    assert notices(play([look(minute, breached=True) for minute in range(7)], ahead.standing)) == [
        *[None] * 5,
        "opened",
        None,
    ]
