"""Web processes are killed in mid-call, in mid-stream, and between the provider's last byte and the settle."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from pathlib import Path
from uuid import uuid4

from core.ids import uuid7_of
from tests.faults import invariants, load
from tests.faults.conftest import Limit, MortalPostgres, NewInstallation, children
from tests.journeys import operating
from tests.journeys.dialects import OPENAI, events
from tests.product import Product
from tests.servers import PATIENCE_S, wait_until
from tests.upstream import Fault, Upstream

LEASE_S, SWEEP_S, SLACK_S = 15, 10, 15
LIMITS = (Limit(name="alice", cap_pico=10**15), Limit(name="all", scope="all", cap_pico=10**15, hard=False))


def test_1_and_2_a_killed_worker_is_settled_by_the_others(
    new_installation: NewInstallation, upstream: Upstream, rng: random.Random
) -> None:
    """One worker of three, with plain calls and streams on all: no process of ours is told, and service continues."""
    with new_installation(workers=3, limits=LIMITS) as product, ThreadPoolExecutor(12) as callers:
        upstream.always("up-chat", Fault(delay_s=20))
        plain = [callers.submit(_call, product, number) for number in range(6)]
        wait_until(lambda: len(upstream.bill) == 6)
        heard = rng.randrange(1, 6)
        upstream.always("up-chat", Fault(chunk_s=0.8))
        streams = [callers.submit(_listen, product, heard) for _ in range(6)]
        wait_until(lambda: len(upstream.bill) == 12)
        wait_until(lambda: min(line.output_tokens for line in upstream.bill[6:]) >= heard, what=f"{heard} words")
        holds = invariants.read(product).holds
        assert len(holds) == 12

        os.kill(_worker_of(product, rng.choice(holds)), signal.SIGKILL)
        killed_at = time.monotonic()
        upstream.always("up-chat", Fault())

        wait_until(lambda: _call(product, 99) == 200, what="service to continue")
        answered = [call.result() for call in (*plain, *streams)]
        invariants.settled(product, timeout_s=LEASE_S + SWEEP_S + SLACK_S)
        took_s = time.monotonic() - killed_at
        books = invariants.check(product, upstream.bill)

        lost = [row for row in books.records if row["status"] == "interrupted"]
        load.say(f"rows 1 and 2: {len(lost)} of 12 calls lost with a worker, swept after {took_s:.1f} s; {answered}")
        assert took_s < LEASE_S + SWEEP_S + SLACK_S
        assert len(lost) == answered.count(0) > 0
        for row in lost:
            (hold,) = (hold for hold in holds if hold["id"] == row["id"])
            assert (row["evidence"], row["error_code"]) == ("upper_bound", "INTERRUPTED")
            assert row["cost_pico"] == hold["amount_pico"] > 0
        assert len(books.records) == len(upstream.bill)


def test_3_killed_between_the_providers_last_byte_and_the_settle(
    new_installation: NewInstallation, postgres: MortalPostgres, upstream: Upstream
) -> None:
    """Three ends: before anything is written (swept: one charge), after the journal has it (replayed: the truth), and
    after it, but another host sweeps first (the truth follows: its guess is taken back, and what was so is booked).
    """
    with new_installation(workers=1, limits=LIMITS) as product:
        unwritten = _kill_unsettled(product, postgres, upstream, journalled=False)
        product.start()

        journalled = _kill_unsettled(product, postgres, upstream, journalled=True)
        product.start()
        wait_until(lambda: invariants.read(product).of(journalled), what="the journal in the books")
        assert [row["evidence"] for row in invariants.read(product).of(journalled)] == ["reported"]

        overtaken = _kill_unsettled(product, postgres, upstream, journalled=True)
        _age_leases(product)
        with new_installation(workers=1, beside=product):
            wait_until(lambda: operating.open_holds(product) == 0, what="the sweep")
            swept_rows = [invariants.read(product).of(name) for name in (unwritten, overtaken)]
            assert [[(row["status"], row["evidence"]) for row in rows] for rows in swept_rows] == [
                [("interrupted", "upper_bound")],
                [("interrupted", "upper_bound")],
            ]
            product.start()
            invariants.settled(product)
            books = invariants.check(product, upstream.bill)

        rows = books.of(overtaken)
        assert sorted(row["kind"] for row in rows) == ["adjustment", "adjustment", "call"]
        (swept,), (told,) = books.of(unwritten), books.of(journalled)
        billed = [operating.cost_pico(line.input_tokens, line.output_tokens) for line in upstream.bill]
        load.say(
            f"row 3: billed {billed}; booked {swept['cost_pico']} (swept), {told['cost_pico']} (journal), "
            f"{' + '.join(str(row['cost_pico']) for row in rows)} (swept, then journal)"
        )
        assert sum(row["cost_pico"] for row in rows) == billed[2]
        assert swept["cost_pico"] > billed[0]
        assert not _journals(product)


def test_3_a_refused_hold_that_was_committed_after_all_is_no_charge(
    new_installation: NewInstallation, postgres: MortalPostgres, upstream: Upstream
) -> None:
    """A hard budget's caller is refused while PostgreSQL hangs, then the process is killed: nothing was dispatched,
    whatever became of the hold.
    """
    with new_installation(workers=1, limits=LIMITS) as product:
        wait_until(lambda: product.chat("call-0-first", model="up-chat", key=product.keys["alice"]).status == 200)
        postgres.freeze()
        answers = [product.chat("call-1-late", model="up-chat", key=product.keys["alice"]) for _ in range(2)]
        assert [answer.status for answer in answers] == [503, 503]
        product.kill_web()
        postgres.thaw()
        _age_leases(product)
        product.start()
        invariants.settled(product)

        books = invariants.read(product)
        assert [row["status"] for row in books.records if row["error_code"] != "LEDGER_UNAVAILABLE"] == ["ok"]
        assert len(upstream.bill) == 1


def test_1_killed_between_two_attempts(new_installation: NewInstallation, upstream: Upstream) -> None:
    """After a failed attempt's settle, before the next one's hold: as the crash leaves the tables, three hours ago."""
    with new_installation(workers=2, limits=LIMITS) as product:
        upstream.on("up-chat", Fault(status=400))
        refused, cut_off = load.new_name(), load.new_name()
        assert _call(product, 1, refused) == 400
        product.kill_web()
        _leave_cut_off(product, cut_off, like=refused)
        product.manage("rebuildrollups")
        product.start()

        wait_until(lambda: len(invariants.read(product).of(cut_off)) == 2, what="its final row")
        books = invariants.check(product, upstream.bill)
        failed, final = sorted(books.of(cut_off), key=lambda row: bool(row["is_final"]))
        assert (final["status"], final["evidence"], final["cost_pico"]) == ("interrupted", "none", 0)
        assert [final[name] == failed[name] for name in ("client", "key_id", "surface", "started_at")] == [True] * 4
        assert not product.sql("SELECT * FROM usage_idempotencykey")
        assert '"ok": true' in product.manage("verifyledger", "--json")


def _leave_cut_off(product: Product, name: str, *, like: str) -> None:
    """The row of a failed attempt, not its call's last, and the call's claim to an idempotency key."""
    began_at = datetime.now(UTC) - timedelta(hours=3)
    changed = {
        "id": str(uuid7_of(began_at)),
        "request_id": name,
        "is_final": False,
        "started_at": began_at.isoformat(),
        "ended_at": began_at.isoformat(),
    }
    product.sql(
        "INSERT INTO usage_usagerecord SELECT (jsonb_populate_record(r, CAST(%s AS jsonb))).* "
        "FROM usage_usagerecord r WHERE request_id = %s",
        *(json.dumps(changed), like),
    )
    product.sql(
        "INSERT INTO usage_idempotencykey (id, client, key, fingerprint, request_id, hold_id, status, created_at, "
        "expires_at) VALUES (%s, 'alice', 'order-7', 'body', %s, %s, '', %s, %s)",
        *(uuid4(), name, changed["id"], began_at, began_at + timedelta(days=1)),
    )


def _kill_unsettled(product: Product, postgres: MortalPostgres, upstream: Upstream, *, journalled: bool) -> str:
    """A call whose provider finishes while PostgreSQL hangs; its name. `journalled`: the journal has it by then."""
    name = load.new_name()
    dispatched = len(upstream.bill)
    # Soon where nothing may be in the journal: a process that knows that PostgreSQL is away waits for it no more.
    upstream.on("up-chat", Fault(delay_s=2 if journalled else 0.4))
    with ThreadPoolExecutor(1) as callers:
        call = callers.submit(_call, product, 0, name)
        wait_until(lambda: len(upstream.bill) > dispatched)
        postgres.freeze()
        wait_until(lambda: upstream.bill[-1].finished)
        if journalled:
            wait_until(lambda: _journals(product), what="the journal")
        product.kill_web()
        assert bool(_journals(product)) == journalled
        postgres.thaw()
        call.result()
    assert name in {hold["request_id"] for hold in invariants.read(product).holds}
    return name


def _journals(product: Product) -> list[Path]:
    """Those with something in them."""
    return [path for path in (product.state_dir / "journal").glob("*.journal") if path.stat().st_size]


def _age_leases(product: Product) -> None:
    """As if the lease had lapsed by the database's clock: the wait itself is row 1's."""
    product.sql("UPDATE usage_lease SET seen_at = seen_at - INTERVAL '1 minute'")


def _worker_of(product: Product, hold: invariants.Row) -> int:
    """The process that makes this call, by its lease."""
    (lease,) = product.sql("SELECT process FROM usage_lease WHERE id = %s", hold["lease_id"])
    pid = int(lease["process"].rpartition(":")[2])
    assert product.web.process is not None
    assert pid in children(product.web.process.pid)
    return pid


def _call(product: Product, number: int, name: str | None = None) -> int:
    """Its status; 0: the connection broke."""
    name = name or load.new_name()
    body = {"model": "up-chat", "messages": [{"role": "user", "content": name}]}
    key = (product.key, product.keys["alice"])[number % 2]
    try:
        return product.request(
            "POST", OPENAI.path, body=body, key=key, headers={"X-Request-ID": name}, timeout_s=PATIENCE_S
        ).status
    except (OSError, HTTPException):  # before its answer, or in the middle of it
        return 0


def _listen(product: Product, heard: int) -> int:
    """A stream: 200 where it was heard to its end, 0 where it broke."""
    name = load.new_name()
    body = {"model": "up-chat", "messages": [{"role": "user", "content": name}], "stream": True}
    with contextlib.suppress(OSError, HTTPException, ValueError):
        headers = {"X-Request-ID": name}
        with product.opened("POST", OPENAI.path, body=body, key=product.key, headers=headers) as answer:
            first = list(itertools.islice(events(answer), heard))
            rest = list(events(answer))
            return 200 if "[DONE]" in (*first, *rest) else 0
    return 0
