"""One call a client and key: claimed with its hold, marked with its record, repeated from its answer."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from django.db import connection, transaction

from core.ids import uuid7
from tests.usage.rows import NOW, hold, record
from usage import idempotency, leases, ledger
from usage.budgets import window_of
from usage.idempotency import Answer, Claim, Kept, KeyInUseError
from usage.ledger import Entry, Note, Refusal, Reserve, Settle, Void
from usage.models import Budget, Hold, IdempotencyKey
from usage.rows import HoldRow
from usage.spending import spec_of

pytestmark = pytest.mark.django_db


def _claim(**given: Any) -> Claim:
    usual: dict[str, Any] = {
        "id": uuid7(),
        "client": "alice",
        "key": "order-7",
        "fingerprint": "body",
        "request_id": "req_1",
        "created_at": NOW,
    }
    return Claim(**usual | given)


def _reserve(claim: Claim, **given: Any) -> tuple[HoldRow, Refusal | None]:
    held = hold(**given)
    return held, ledger.apply([Reserve(held, idempotency=claim)]).get(0)


def _settle(held: HoldRow, answer: Answer | None = None, **given: Any) -> None:
    ledger.apply([Settle(record(held, **given), answer=answer)])


def _kept(now: datetime = NOW) -> Kept | None:
    """What the table holds of the key, as long as it is in force."""
    row = IdempotencyKey.objects.filter(client="alice", key="order-7", expires_at__gt=now).first()
    if row is None:
        return None
    answer = None if row.answer is None else bytes(row.answer)
    return Kept(row.pk, row.fingerprint, row.request_id, row.hold_id, row.status, answer)


def _is_refused(claim: Claim) -> bool:
    return _reserve(claim)[1] is not None


def test_while_a_call_runs_its_key_is_its_own() -> None:
    held, refused = _reserve(_claim())
    assert refused is None
    _, refused = _reserve(_claim(fingerprint="another body", request_id="req_2"))
    assert isinstance(refused, KeyInUseError)
    kept = refused.kept
    assert (kept.fingerprint, kept.request_id, kept.hold_id, kept.status) == ("body", "req_1", held.id, "")
    assert Hold.objects.count() == 1


def test_keys_are_each_clients_own() -> None:
    assert not _is_refused(_claim())
    assert not _is_refused(_claim(client="bob"))
    assert not _is_refused(_claim(key="order-8"))


def test_of_two_in_one_batch_the_first_has_it() -> None:
    refused = ledger.apply([Reserve(hold(), idempotency=_claim()), Reserve(hold(), idempotency=_claim())])
    assert list(refused) == [1]


def test_calls_with_a_key_and_without_go_in_one_batch() -> None:
    held, _ = _reserve(_claim())
    others: list[Entry] = [Note(record(hold())), Void(uuid7()), Reserve(hold())]
    assert ledger.apply([Settle(record(held)), *others, Reserve(hold(), idempotency=_claim(key="order-8"))]) == {}
    kept = _kept()
    assert kept is not None
    assert kept.status == "ok"
    assert (Hold.objects.count(), IdempotencyKey.objects.count()) == (2, 2)


def test_an_answer_is_kept_with_its_record() -> None:
    claim = _claim()
    held, _ = _reserve(claim)
    _settle(held, Answer(claim.id, b"\x00sealed"))
    kept = _kept()
    assert kept is not None
    assert (kept.status, kept.answer, kept.hold_id) == ("ok", b"\x00sealed", held.id)
    _, refused = _reserve(_claim())
    assert isinstance(refused, KeyInUseError)
    assert refused.kept == kept


def test_a_retry_of_the_same_call_goes_on_with_its_key() -> None:
    claim = _claim()
    first, _ = _reserve(claim)
    _settle(first, status="error", is_final=False)
    kept = _kept()
    assert kept is not None
    assert kept.status == ""  # it is not over: others stay out
    assert _is_refused(_claim())
    second, refused = _reserve(claim)
    assert refused is None
    _settle(second, Answer(claim.id, b"sealed"))
    kept = _kept()
    assert kept is not None
    assert (kept.hold_id, kept.status) == (second.id, "ok")


@pytest.mark.parametrize("status", ["error", "cancelled", "refused"])
def test_a_call_that_failed_may_be_tried_again_with_the_same_body_only(status: str) -> None:
    held, _ = _reserve(_claim())
    _settle(held, status=status)
    assert _is_refused(_claim(fingerprint="another body"))
    assert not _is_refused(_claim())


def test_a_drained_answer_is_worth_more_than_another_try() -> None:
    claim = _claim()
    _settle(_reserve(claim)[0], Answer(claim.id, b"sealed"), status="cancelled")
    assert _is_refused(_claim())


def test_a_call_whose_process_died_names_its_row_and_is_not_made_again() -> None:
    held, _ = _reserve(_claim())
    leases.sweep(now=NOW)
    _, refused = _reserve(_claim())
    assert isinstance(refused, KeyInUseError)
    assert (refused.kept.status, refused.kept.hold_id) == ("interrupted", held.id)


def test_its_truth_may_come_late_and_bring_the_answer() -> None:
    claim = _claim()
    held, _ = _reserve(claim)
    leases.sweep(now=NOW)
    _settle(held, Answer(claim.id, b"sealed"))
    kept = _kept()
    assert kept is not None
    assert (kept.status, kept.answer) == ("ok", b"sealed")


def test_a_call_that_was_never_made_gives_its_key_back() -> None:
    held, _ = _reserve(_claim())
    without_key = hold()
    ledger.apply([Reserve(without_key)])
    ledger.apply([Void(without_key.id), Void(held.id)])
    assert _kept() is None
    window = window_of(spec_of(Budget.objects.create(name="all", scope="all", cap_pico=0, period="day")), NOW)
    refused = ledger.apply([Reserve(hold(windows=f'["{window.id}"]'), (window,), _claim())])
    assert 0 in refused
    assert _kept() is None


def test_it_is_over_after_a_day() -> None:
    later = NOW + idempotency.KEPT
    _settle(_reserve(_claim())[0])
    assert _kept(later) is None
    assert idempotency.expire(now=later - timedelta(seconds=1)) == 0
    assert not _is_refused(_claim(created_at=later))
    assert idempotency.expire(now=later) == 0
    assert idempotency.expire(now=later + idempotency.KEPT) == 1
    assert not IdempotencyKey.objects.exists()


def test_a_call_without_a_key_asks_nothing_of_the_table() -> None:
    """Not even a statement: the table could be missing."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE usage_idempotencykey RENAME TO elsewhere")
    held = hold()
    ledger.apply([Reserve(held)])
    ledger.apply([Settle(record(held)), Void(uuid7())])
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE elsewhere RENAME TO usage_idempotencykey")


@pytest.mark.django_db(transaction=True)
def test_of_twenty_at_once_one_has_the_key() -> None:
    """Through as many connections."""

    def ask(number: int) -> bool:
        try:
            keys = ("a", "b") if number % 2 else ("b", "a")
            refused = ledger.apply([Reserve(hold(), idempotency=_claim(key=key)) for key in keys])
            return len(refused) == 2
        finally:
            connection.close()

    with ThreadPoolExecutor(20) as pool:
        refused = list(pool.map(ask, range(20)))
    assert refused.count(False) == 1
    assert Hold.objects.count() == 2
    assert IdempotencyKey.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_processes_with_the_same_keys_and_budgets_never_wait_for_each_other_in_a_circle() -> None:
    """Each batch claims keys that another's calls have, and ends calls of its own, whose keys others would like."""
    window = window_of(
        spec_of(Budget.objects.create(name="all", scope="all", cap_pico=1, period="day", hard=False)), NOW
    )

    def work(number: int) -> None:
        chance, own = Random(number), list[HoldRow]()
        try:
            for _ in range(30):
                keys = chance.sample("abcdefgh", 4)
                wanted = [(hold(windows=f'["{window.id}"]'), _claim(key=key)) for key in keys]
                ends = [Settle(record(held, status="error")) for held in own]  # such a key may be claimed again
                refused = ledger.apply([*(Reserve(held, (window,), claim) for held, claim in wanted), *ends])
                own = [held for place, (held, _) in enumerate(wanted) if place not in refused]
            ledger.apply([Settle(record(held)) for held in own])
        finally:
            connection.close()

    at_once = 4 if connection.vendor == "postgresql" else 1  # SQLite has one writer, and in memory none waits for it
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(work, range(4)))  # raises what PostgreSQL says of a deadlock
    assert not Hold.objects.exists()


def test_a_call_that_was_refused_after_a_failed_attempt_gives_its_key_back() -> None:
    first, other = _claim(), _claim(request_id="req_2")
    held, _ = _reserve(first)
    _settle(held, status="error", is_final=False)
    assert _is_refused(other)
    idempotency.free(first.id)
    assert not _is_refused(other)


def test_a_call_that_has_its_record_keeps_its_key() -> None:
    first = _claim()
    held, _ = _reserve(first)
    _settle(held, Answer(first.id, b"sealed"))
    idempotency.free(first.id)
    assert _is_refused(_claim(request_id="req_2"))


@pytest.mark.django_db(transaction=True)
@pytest.mark.only_on("postgresql")  # SQLite has one writer
def test_what_is_over_is_forgotten_without_waiting_for_a_call_that_takes_it_over() -> None:
    """Who waited for it, with others in hand that the call wants next, would wait in a circle."""
    first, second = _claim(key="a"), _claim(key="b")
    _reserve(first)
    _reserve(second)
    later = NOW + timedelta(days=2)
    taken, go_on = threading.Event(), threading.Event()

    def take_over() -> None:
        with transaction.atomic():
            _reserve(_claim(key="a", created_at=later))
            taken.set()
            go_on.wait(10)
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(take_over)
        assert taken.wait(10)
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '2s'")
        try:
            assert idempotency.expire(now=later) == 1
        finally:
            go_on.set()
            connection.close()
        call.result(10)
    assert IdempotencyKey.objects.get().key == "a"
