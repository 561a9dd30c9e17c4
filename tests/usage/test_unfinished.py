"""Calls whose process was killed after one attempt had failed, and before the next was held."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import msgspec
import pytest
from django.db import connection
from django.db.models import Sum

from core.ids import lower_bound, uuid7
from tests.usage.rows import NOW, hold, record, refused_records_of
from usage import books, leases, ledger, unfinished
from usage.budgets import Window, window_of
from usage.idempotency import Claim
from usage.ledger import Note, Reserve, Settle
from usage.models import Budget, Day, IdempotencyKey, UsageRecord
from usage.rows import HoldRow
from usage.spending import spec_of

pytestmark = pytest.mark.django_db
LATER = NOW + unfinished.LONGEST_CALL + timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _fresh_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has just started."""
    monkeypatch.setattr(leases, "_search", unfinished.Search())


@pytest.fixture
def window() -> Window:
    return window_of(spec_of(Budget.objects.create(name="all", scope="all", cap_pico=10**9, period="day")), NOW)


def _restarted_sweep(now: datetime = LATER) -> int:
    """By a process that has just started."""
    leases._search = unfinished.Search()
    return leases.sweep(now=now)


def _failed(claim: Claim | None = None, window: Window | None = None, **given: object) -> HoldRow:
    """An attempt that has failed, and was to be followed by another."""
    facts = {"windows": f'["{window.id}"]'} if window else {}
    held = hold(**facts | given)
    ledger.apply([Reserve(held, (window,) if window else (), claim)])
    ledger.apply([Settle(record(held, status="error", error_code="PROVIDER_ERROR", is_final=False))])
    return held


def _claim() -> Claim:
    return Claim(uuid7(), "alice", "order-7", "body", "req_1", NOW)


def _finals() -> list[UsageRecord]:
    return list(UsageRecord.objects.filter(is_final=True, kind="call"))


def test_it_gets_its_final_row(window: Window) -> None:
    held, second = (
        _failed(
            window=window,
            end_user="eve",
            requested_model="gpt-x",
            surface="gemini",
            attempt=number,
            routing="[]",
            usd_per_unit=Decimal("1.25"),
        )
        for number in (1, 2)
    )
    assert leases.sweep(now=LATER) == 1
    (row,) = _finals()
    assert (row.pk, row.attempt) == (unfinished.final_id(second.id), 2)
    assert row.pk.int >> 80 == held.id.int >> 80
    assert (row.kind, row.status, row.evidence, row.error_code) == ("call", "interrupted", "none", "INTERRUPTED")
    assert row.error_detail == "The process that made this call ended after attempt 2 had failed, before the next."
    assert (row.request_id, row.client_id, row.client) == (held.request_id, held.client_id, "alice")
    assert (row.key_id, row.key_prefix, row.end_user) == (held.key_id, held.key_prefix, "eve")
    assert (row.tags, row.surface, row.requested_model) == ({"team": "search"}, "gemini", "gpt-x")
    assert (row.started_at, row.ended_at, row.latency_ms) == (NOW, NOW, None)
    assert (row.provider_id, row.provider, row.deployment, row.price_id, row.windows) == (None, "", "", None, [])
    assert (row.deployment_id, row.credential, row.routing, row.usd_per_unit) == (None, "", "", None)
    assert (row.cost_pico, row.input_tokens, row.output_tokens) == (0, 0, 0)
    assert (row.input_cost_pico, row.output_cost_pico, row.request_cost_pico) == (0, 0, 0)


def test_the_books_balance(window: Window) -> None:
    _failed(window=window)
    before = Day.objects.aggregate(calls=Sum("calls"), errors=Sum("errors"), cost=Sum("cost_pico"))
    leases.sweep(now=LATER)
    after = Day.objects.aggregate(calls=Sum("calls"), errors=Sum("errors"), cost=Sum("cost_pico"))
    assert (before, after) == ({"calls": 0, "errors": 0, "cost": 25}, {"calls": 1, "errors": 1, "cost": 25})
    found = books.prove()
    assert found.is_balanced, found.differences


def test_it_gets_it_once() -> None:
    _failed()
    finals = [row for _ in range(2) for row in unfinished.Search().look(now=LATER)]
    assert len({row.id for row in finals}) == 1
    ledger.apply([Note(final) for final in finals], replayed=True)  # as of two sweepers
    assert [_restarted_sweep(), _restarted_sweep()] == [0, 0]
    assert len(_finals()) == 1


def test_a_call_may_still_be_waiting_for_its_next_attempt() -> None:
    _failed()
    assert _restarted_sweep(NOW + unfinished.LONGEST_CALL) == 0
    started = NOW - timedelta(hours=3)
    held = hold(started_at=started)
    ledger.apply([Note(record(held, status="error", is_final=False, ended_at=NOW))])
    assert _restarted_sweep(NOW + timedelta(hours=1)) == 0
    assert _restarted_sweep() == 2


def test_a_call_that_is_held_goes_on() -> None:
    alive = uuid7()
    leases.renew(alive, "here")
    _failed()
    second = hold(attempt=2, lease_id=alive, deadline_at=datetime(2100, 1, 1, tzinfo=NOW.tzinfo))
    ledger.apply([Reserve(second)])
    assert _restarted_sweep() == 0
    ledger.apply([Settle(record(second))])
    assert _restarted_sweep() == 0
    assert [row.pk for row in _finals()] == [second.id]


@pytest.mark.parametrize("status", ["ok", "error", "cancelled", "refused"])
def test_a_call_that_has_ended_is_left_alone(status: str) -> None:
    held = _failed()
    ledger.apply([Note(record(hold(attempt=0, started_at=held.started_at), status=status, cost_pico=0))])
    assert leases.sweep(now=LATER) == 0


def test_calls_are_told_apart_though_their_request_ids_are_equal() -> None:
    """A caller chooses its request ids, and may use one again; so may two clients."""
    _failed()
    for other in ({"started_at": NOW + timedelta(seconds=1)}, {"client_id": uuid7(), "client": "bob"}):
        ledger.apply([Note(record(hold(**other)))])
    assert leases.sweep(now=LATER) == 1


def test_a_call_of_no_client_is_one_too() -> None:
    _failed(client_id=None, client="admin")
    assert leases.sweep(now=LATER) == 1
    assert _restarted_sweep() == 0


def test_adjustments_are_no_attempts() -> None:
    row = record(hold())
    ledger.apply([Note(row)])
    change = {"id": uuid7(), "kind": "adjustment", "adjusts_id": row.id, "is_final": False}
    ledger.apply([Note(msgspec.structs.replace(row, **change))])
    assert leases.sweep(now=LATER) == 0


def test_a_failed_attempt_that_was_re_priced_is_the_last_all_the_same() -> None:
    held = _failed()
    change = {"id": UUID(int=held.id.int + 1), "kind": "adjustment", "adjusts_id": held.id, "is_final": False}
    ledger.apply([Note(record(held, **change))])
    assert leases.sweep(now=LATER) == 1
    assert [row.pk for row in _finals()] == [unfinished.final_id(held.id)]


def test_its_idempotency_key_is_free_again() -> None:
    claim, ended = _claim(), msgspec.structs.replace(_claim(), client="bob")
    _failed(claim)
    held = hold(client="bob", client_id=uuid7())
    ledger.apply([Reserve(held, idempotency=ended)])
    ledger.apply([Settle(record(held))])
    leases.sweep(now=LATER)
    assert [key.client for key in IdempotencyKey.objects.all()] == ["bob"]
    assert not ledger.apply([Reserve(hold(), idempotency=_claim())])


def test_a_key_that_another_call_has_taken_since_stays_its_own() -> None:
    _failed(_claim())
    again = msgspec.structs.replace(_claim(), created_at=NOW + timedelta(hours=24))
    other = hold(started_at=NOW + timedelta(hours=24), deadline_at=NOW + timedelta(days=2))
    assert not ledger.apply([Reserve(other, idempotency=again)])
    unfinished.free_keys(unfinished.Search().look(now=LATER), now=LATER)
    assert IdempotencyKey.objects.get().hold_id == other.id


def test_it_goes_page_by_page_then_rests_then_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unfinished, "PAGE", 2)
    for number in range(5):
        _failed(request_id=f"req_{number}", started_at=NOW + timedelta(milliseconds=number // 3))
    assert [leases.sweep(now=LATER) for _ in range(4)] == [3, 2, 0, 0]  # a page takes in all of its milliseconds
    late = _failed(request_id="late")
    assert leases.sweep(now=LATER) == 0
    assert leases._search.is_resting
    monkeypatch.setattr(leases._search, "_rests_until_s", 0.0)
    assert sum(leases.sweep(now=LATER) for _ in range(4)) == 1
    assert unfinished.final_id(late.id) in {row.pk for row in _finals()}


def test_who_began_more_than_two_days_ago_is_looked_for_no_more() -> None:
    _failed()
    assert _restarted_sweep(NOW + unfinished.LOOK_BACK + timedelta(seconds=1)) == 0
    assert _restarted_sweep(NOW + unfinished.LOOK_BACK) == 1


def test_one_that_cannot_be_written_stops_no_other() -> None:
    for number in range(5):
        _failed(request_id=f"req_{number}", client="mallory" if number == 2 else "alice")
    with refused_records_of("mallory"):
        assert leases.sweep(now=LATER) == 4


def test_the_few_are_found_by_their_index() -> None:
    on_postgresql = connection.vendor == "postgresql"
    bounds = [lower_bound(moment) for moment in (NOW, LATER)]
    with connection.cursor() as cursor:
        if on_postgresql:
            cursor.execute("SET LOCAL enable_seqscan = off")  # which is the best for a table of no rows
        cursor.execute(
            f"EXPLAIN {'' if on_postgresql else 'QUERY PLAN'} SELECT id FROM usage_usagerecord "
            "WHERE NOT is_final AND kind = 'call' AND id >= %s AND id < %s ORDER BY id LIMIT 9",
            bounds if on_postgresql else [key.hex for key in bounds],
        )
        plan = str(cursor.fetchall())
    assert "_id_idx" in plan if on_postgresql else "record_unfinished" in plan, plan  # a month's own has its own name


@pytest.mark.django_db(transaction=True)
def test_processes_that_look_at_once_write_it_once() -> None:
    at_once = 4 if connection.vendor == "postgresql" else 1  # SQLite has one writer, and in memory none waits for it
    for number in range(20):
        _failed(request_id=f"req_{number}")

    def look(_: int) -> int:
        try:
            return leases._finish(LATER)
        finally:
            connection.close()

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(look, range(at_once)))
    assert len(_finals()) == 20
