"""The proof finds whatever does not balance, and the repair repairs it."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models import F
from django.test import override_settings
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.usage.rows import NOW, hold, record
from usage import books, journal, ledger, partitions, proofs, recompute, tasks
from usage.buckets import midnight
from usage.budgets import BudgetSpec, Window, window_of
from usage.ledger import Note, Reserve, Settle
from usage.models import Budget, BudgetWindow, Day, Hold, KeyDay, Proof, Proving, Purge, Quarter, UserDay
from usage.spending import spec_of

pytestmark = pytest.mark.django_db
TABLES = (Quarter, Day, UserDay, KeyDay)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def budget() -> Window:
    row = Budget.objects.create(name="everything", scope="all", cap_pico=10**12, period="month")
    spec = BudgetSpec(
        id=row.pk, name="everything", scope="all", subject="", cap_pico=10**12, period="month", time_zone="UTC",
        hard=True,
    )  # fmt: skip
    return window_of(spec, NOW)


@pytest.fixture
def busy(budget: Window) -> Window:
    """Three settled calls, one of unknown cost, an adjustment, a refusal, and one call in flight."""
    windows = f'["{budget.id}"]'
    for number in range(3):
        held = hold(windows=windows, end_user=f"u{number}", started_at=NOW + timedelta(minutes=20 * number))
        ledger.apply([Reserve(held, (budget,))])
        ledger.apply([Settle(record(held, latency_ms=12.3456))])
    ledger.apply([Note(record(hold(windows=windows), cost_pico=None))])
    adjusted = record(hold(windows=windows), kind="adjustment", is_final=False, adjusts_id=UUID(int=1), cost_pico=-5)
    ledger.apply([Note(adjusted), Note(record(hold(), status="refused", evidence="none", cost_pico=0))])
    ledger.apply([Reserve(hold(windows=windows), (budget,))])
    return budget


def verify() -> tuple[dict[str, Any], int]:
    out, code = io.StringIO(), 0
    try:
        call_command("verifyledger", json=True, stdout=out)
    except SystemExit as ended:
        code = int(str(ended.code))
    return json.loads(out.getvalue()), code


def test_empty_books_balance() -> None:
    assert verify() == (
        {
            "ok": True,
            "records": 0,
            "costUsd": "0",
            "openHolds": 0,
            "heldUsd": "0",
            "settledUsd": "0",
            "rollupDriftUsd": "0",
            "budgetDriftUsd": "0",
            "journal": 0,
            "journalRefused": 0,
        },
        0,
    )


def test_busy_books_balance(busy: Window) -> None:
    found, code = verify()
    assert (found["ok"], code) == (True, 0)
    assert (found["records"], found["openHolds"]) == (6, 1)
    assert (found["costUsd"], found["settledUsd"], found["heldUsd"]) == (
        "0.00000000007",
        "0.00000000007",
        "0.0000000003",
    )


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    ("figure", "words"),
    [
        ("calls", "3 calls too many"),
        ("cost_pico", "$0.000000000003 too much"),
        ("latency_us", "3 microseconds of latency too many"),
        ("known_cost_rows", "3 rows of known cost too many"),
    ],
)
def test_a_sum_that_is_off_is_found_and_repaired(busy: Window, table: Any, figure: str, words: str) -> None:
    row = table.objects.first()
    table.objects.filter(pk=row.pk).update(**{figure: F(figure) + 3})

    found = books.prove()

    assert not found.is_balanced
    assert found.rollup_drift_pico == (3 if figure == "cost_pico" else 0)
    [told] = found.differences
    assert told.endswith(f": {words}.")
    books.rebuild_rollups()
    assert books.prove().is_balanced


@pytest.mark.parametrize("table", TABLES)
def test_sums_that_are_missing_or_made_up_are_found_and_repaired(busy: Window, table: Any) -> None:
    made_up = table.objects.first()
    made_up.pk, made_up.client, made_up.cost_pico = None, "nobody", 7
    made_up.save()
    table.objects.filter(client="alice").first().delete()

    assert len(books.prove().differences) == 2
    assert verify()[1] == 1
    before = {other: list(other.objects.values()) for other in TABLES if other is not table}
    call_command("rebuildrollups", stdout=io.StringIO())
    assert books.prove().is_balanced
    assert not table.objects.filter(client="nobody").exists()
    for other, rows in before.items():
        assert sum(row["calls"] for row in rows) == sum(row.calls for row in other.objects.all())


def test_a_rebuild_gathers_the_shards_and_changes_no_sum(busy: Window) -> None:
    for row in Day.objects.all():
        Day.objects.filter(pk=row.pk).update(cost_pico=row.cost_pico - 5)
        facts = ("day", "client", "provider", "deployment", "surface", "status", "evidence")
        Day.objects.create(shard=row.shard + 10, cost_pico=5, **{name: getattr(row, name) for name in facts})
    assert books.prove().is_balanced

    books.rebuild_rollups()

    assert books.prove().is_balanced
    assert {row.shard for table in TABLES for row in table.objects.all()} == {0}
    assert set(books.rebuild_rollups().values()) == {0}


def test_a_budget_that_is_off_is_found(busy: Window) -> None:
    BudgetWindow.objects.update(settled_pico=F("settled_pico") + 10, held_pico=F("held_pico") - 1)

    found = books.prove()

    assert found.budget_drift_pico == 11
    [told] = found.differences
    assert "everything" in told
    assert "$0.00000000008 settled" in told
    assert verify() == (found.as_json(), 1)


def test_what_was_spent_before_a_budget_counts_in_its_opening(busy: Window) -> None:
    BudgetWindow.objects.update(settled_pico=F("settled_pico") + 10, opening_pico=F("opening_pico") + 10)
    assert books.prove().is_balanced


def test_a_call_that_is_held_and_recorded_is_found(busy: Window) -> None:
    held = hold()
    ledger.apply([Reserve(held)])
    ledger.apply([Note(record(held))])
    assert Hold.objects.filter(pk=held.id).exists()
    assert books.prove().differences == (f"The call {held.id} is both in flight and recorded.",)


def test_many_differences_are_told_in_part(busy: Window) -> None:
    for number in range(books.SHOWN + 5):
        Day.objects.create(day="2026-01-01", client=f"c{number}", calls=1)
    found = books.prove()
    assert len(found.differences) == books.SHOWN + 1
    assert found.differences[-1] == "… and 5 more of the sums by day."


def test_journals_with_something_in_them_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.journal").write_text("")
    (tmp_path / "b.journal").write_text("entry\n")
    (tmp_path / "c.journal").symlink_to(tmp_path / "removed as its process ended")
    assert books.waiting_journals(tmp_path) == 1
    assert books.waiting_journals(tmp_path / "nowhere") == 0


def test_what_the_database_refused_of_a_journal_is_counted_and_the_books_do_not_balance(
    busy: Window, tmp_path: Path
) -> None:
    held = hold()
    (tmp_path / "journal").mkdir()
    for entry in (Reserve(held), Settle(record(held))):
        journal.set_aside(tmp_path / "journal", entry)

    with override_settings(STATE_DIR=tmp_path):
        found = books.prove()
        told = verify()
        tasks.prove_books()

    assert (found.journals, found.journal_refused) == (0, 2)
    assert found.differences[0].startswith("2 entries of the journal were refused by the database")
    assert (told[0]["ok"], told[0]["journalRefused"], told[1]) == (False, 2, 1)
    proof = Proof.objects.get()
    assert (proof.is_balanced, proof.differences) == (False, list(found.differences))


def test_the_task_keeps_its_proof(busy: Window) -> None:
    started = time.perf_counter()
    tasks.prove_books()
    assert 0 < Proof.objects.get().took_ms < 1000 * (time.perf_counter() - started)
    BudgetWindow.objects.update(held_pico=0)
    tasks.prove_books()  # too soon
    Proof.objects.update(made_at=NOW)
    tasks.prove_books()
    newest, older = Proof.objects.all()
    assert (older.is_balanced, older.figures["records"]) == (True, 6)
    assert (newest.is_balanced, len(newest.differences)) == (False, 1)


def test_a_long_proof_is_followed_by_a_long_rest() -> None:
    assert proofs.due(now=NOW) == "all"
    Proof.objects.create(made_at=NOW, took_ms=60_000, is_balanced=True, figures={})
    assert proofs.due(now=NOW + timedelta(minutes=19)) is None
    assert proofs.due(now=NOW + timedelta(minutes=20)) == "all"


def test_a_proof_that_a_wrong_clock_dated_far_ahead_holds_none_up() -> None:
    Proof.objects.create(made_at=NOW + timedelta(days=400), took_ms=60_000, is_balanced=True, figures={})
    assert proofs.due(now=NOW) == "all"
    found = Proof.objects.create(made_at=NOW, took_ms=60_000, is_balanced=False, figures={})
    assert Proof.objects.first() == found
    assert proofs.due(now=NOW + timedelta(minutes=19)) is None


def test_where_all_takes_long_the_hours_prove_what_is_new_and_a_day_proves_all() -> None:
    Proof.objects.create(made_at=NOW, took_ms=90_000, is_balanced=True, figures={})
    later = NOW + timedelta(minutes=30)
    assert proofs.due(now=later) == "recent"
    Proof.objects.create(made_at=later, since=NOW, took_ms=2_000, is_balanced=True, figures={})
    assert proofs.due(now=later + timedelta(seconds=39)) is None
    assert proofs.due(now=later + timedelta(seconds=40)) == "recent"
    assert proofs.due(now=NOW + timedelta(days=1)) == "all"
    Proof.objects.filter(since=None).update(is_balanced=False)
    assert proofs.due(now=later + timedelta(hours=1)) == "all"


def test_a_proof_of_what_is_new_looks_at_nothing_older() -> None:
    """Two days of a daily budget, a wrong sum on each: only the newer one's is found."""
    budget = Budget.objects.create(name="days", scope="all", cap_pico=10**9, period="day")
    days = [timezone.now(), timezone.now() - timedelta(days=5)]
    for moment in days:
        window = window_of(spec_of(budget), moment)
        held = hold(started_at=moment, windows=f'["{window.id}"]')
        ledger.apply([Reserve(held, (window,))])
        ledger.apply([Settle(record(held))])
    assert proofs.prove_and_keep("recent").is_balanced
    BudgetWindow.objects.update(settled_pico=1)
    Day.objects.update(calls=7)
    proof = proofs.prove_and_keep("recent")
    assert proof.since == midnight(proof.made_at.date() - timedelta(days=1), UTC)
    assert proof.figures["records"] == 1
    assert len(proof.differences) == 2
    assert len(proofs.prove_and_keep().differences) == 4


def test_a_month_that_waits_for_its_purge_is_no_drift() -> None:
    """Retention takes month by month: what it has not reached is in the records yet, and not in an opening."""
    budget = Budget.objects.create(name="ever", scope="all", cap_pico=10**9, period="total")
    window = window_of(spec_of(budget), NOW)
    held = hold(windows=f'["{window.id}"]')
    ledger.apply([Reserve(held, (window,))])
    ledger.apply([Settle(record(held))])
    Purge.objects.create(before=NOW + timedelta(days=30), purged_at=NOW)
    assert not [each for each in books.prove().differences if "budget" in each]


@pytest.mark.django_db(transaction=True)
def test_a_proof_that_is_asked_for_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int]] = []
    tell = proofs._tell

    def look(step: str, percent: int) -> None:
        tell(step, percent)
        proving = Proving.objects.get()
        seen.append((proving.step, proving.done_percent))

    monkeypatch.setattr(proofs, "_tell", look)
    assert proofs.ask(now=timezone.now())
    assert not proofs.ask(now=timezone.now())
    tasks.prove_now()
    assert [percent for _, percent in seen] == [0, 15, 30, 45, 60, 75, 95]
    assert seen[2][0] == "the sums by day"
    assert proofs.asked() is None
    assert Proof.objects.get().is_balanced


def test_one_whose_worker_died_may_be_asked_for_again() -> None:
    assert proofs.ask(now=NOW)
    assert not proofs.ask(now=NOW + timedelta(minutes=59))
    assert proofs.ask(now=NOW + timedelta(minutes=61))


def test_old_proofs_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proofs, "KEPT", 2)
    for _ in range(4):
        proofs.prove_and_keep()
    assert Proof.objects.count() == 2


ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "Africa/Cairo", "Pacific/Apia")


@pytest.mark.parametrize("zone", ZONES)
def test_days_in_sql_are_those_of_the_zone(zone: str) -> None:
    """Around every change of the clocks in four years, also where midnight is skipped."""
    first = datetime(2023, 1, 1, tzinfo=UTC)
    changes = recompute._offset_changes(ZoneInfo(zone), first, first + timedelta(days=4 * 365))
    around = [timedelta(hours=hours, seconds=seconds) for hours in (-24, -1, 0, 1, 24) for seconds in (-1, 0)]
    moments = [at + distance for at, _ in changes for distance in around]
    with override_settings(TIME_ZONE=zone):
        ledger.apply([Note(record(hold(started_at=moment))) for moment in moments])
        assert books.prove().differences == ()


@given(
    st.lists(
        st.builds(
            dict,
            client=st.sampled_from(["alice", "bob", ""]),
            status=st.sampled_from(["ok", "error", "interrupted", "refused", "cancelled", "cached"]),
            evidence=st.sampled_from(["reported", "estimated", "upper_bound", "none"]),
            kind=st.sampled_from(["call", "adjustment"]),
            is_final=st.booleans(),
            prices_unknown=st.booleans(),
            cost_pico=st.none() | st.integers(-(10**15), 10**15),
            latency_ms=st.none() | st.floats(0, 10**7),
            started_at=st.timedeltas(timedelta(0), timedelta(days=2_500)).map(lambda distance: LONG_AGO + distance),
        ),
        max_size=30,
    ),
    st.sampled_from(ZONES),
)
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
def test_what_is_folded_is_what_is_recomputed(rows: list[dict[str, Any]], zone: str) -> None:
    with override_settings(TIME_ZONE=zone):
        clean()
        ledger.apply([Note(record(hold(started_at=row["started_at"]), **row)) for row in rows])
        assert books.prove().differences == ()
        for table in TABLES:
            table.objects.all().delete()
        books.rebuild_rollups()
        assert books.prove().differences == ()


def clean() -> None:
    """Hypothesis runs its examples in one transaction."""
    from usage.immutability import ledger_purge

    with ledger_purge(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM usage_usagerecord")
    for table in TABLES:
        table.objects.all().delete()


@contextmanager
def purging_before(statement: str) -> Iterator[threading.Event]:
    """Another process purges just before the first statement of this beginning. Set once it has tried."""
    purged = threading.Event()

    def purge() -> None:
        partitions.purge(keep_months=1, now=NOW)
        connection.close()

    def execute(do: Any, sql: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001 - Django's
        if sql.startswith(statement) and not purged.is_set():
            purged.set()
            with ThreadPoolExecutor(1) as elsewhere:
                elsewhere.submit(purge).result(20)
        return do(sql, params, many, context)

    with connection.execute_wrapper(execute):
        yield purged


def note_long_ago(budget: Window) -> None:
    """In a month of its own, where there are such."""
    partitions.make_months(now=LONG_AGO)
    held = hold(windows=f'["{budget.id}"]', started_at=LONG_AGO)
    ledger.apply([Reserve(held, (budget,))])
    ledger.apply([Settle(record(held))])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("statement", ["BEGIN", "CREATE TEMPORARY TABLE"])
def test_a_purge_in_the_middle_of_a_rebuild_takes_nothing_from_the_sums(budget: Window, statement: str) -> None:
    note_long_ago(budget)

    with purging_before(statement) as purged:
        books.rebuild_rollups()

    assert purged.is_set()
    assert sum(row.calls for row in Day.objects.all()) == 1
    assert books.prove().is_balanced


@pytest.mark.django_db(transaction=True)
def test_a_proof_is_not_confused_by_a_purge_beside_it(budget: Window) -> None:
    note_long_ago(budget)

    with purging_before("SELECT count(*), sum(cost_pico) FROM usage_usagerecord") as purged:
        found = books.prove()

    assert purged.is_set()
    assert found.is_balanced
