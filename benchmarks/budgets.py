"""What the ledger can write, and what one budget that everybody counts in costs it (part of `make bench-scale`).

    .venv/bin/python benchmarks/budgets.py    half a minute, on a PostgreSQL of its own that waits for the disk

So many processes each keep 64 calls under way: a hold, and at once its record, both awaited, without HTTP or a
provider. First their calls count in no budget, then all in one hard budget, whose row every batch must lock.
"""

# ruff: noqa: PLC0415 - Django is loaded once the database that it is to use is there

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parent.parent))

from benchmarks.measure import ROOT, BenchmarkError
from benchmarks.product import postgres
from tests.environment import CLEARED

PROCESSES = (1, 2, 4)
CALLS_AT_ONCE, WARM_UP_S, WINDOW_S = 64, 1.0, 3.0
_CAP_PICO = 9 * 10**18


def main() -> int:
    if len(sys.argv) > 1:
        return _work(sys.argv[1])
    with postgres() as server, tempfile.TemporaryDirectory() as state:
        os.environ |= CLEARED | {"DATABASE_URL": server.url(), "STATE_DIR": state}
        os.environ["DJANGO_SETTINGS_MODULE"] = "aiplatform.settings"
        budget = _prepare()
        print(f"{'':<34}" + "".join(f"{f'{number} processes':>16}" for number in PROCESSES))
        for name, its in (("no budget", ""), ("all in one hard budget", budget)):
            found = [_calls_a_second(number, its) for number in PROCESSES]
            print(f"{f'calls a second, {name}':<34}" + "".join(f"{rate:>16,.0f}" for rate in found), flush=True)
    return 0


def _prepare() -> str:
    """The id of a budget."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from usage.models import Budget

    call_command("migrate", verbosity=0)
    budget = Budget.objects.create(name="everybody's", scope=Budget.Scope.ALL, cap_pico=_CAP_PICO)
    connection.close()
    return str(budget.pk)


def _calls_a_second(processes: int, budget: str) -> float:
    command = [sys.executable, __file__, budget or "none"]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    found = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise BenchmarkError("a process has failed: see above")
    return sum(float(json.loads(line)) for line in found)


# --- in a process of its own --------------------------------------------------------------------------------------


def _work(budget: str) -> int:
    import django

    django.setup()
    print(json.dumps(asyncio.run(_write("" if budget == "none" else budget))))
    return 0


async def _write(budget: str) -> float:
    """Calls a second."""
    from core.ids import uuid7
    from tests.usage.rows import hold, record
    from usage.ledger import Reserve, Settle
    from usage.writer import Writer

    windows = await asyncio.to_thread(_windows, budget)
    counted = json.dumps([str(window.id) for window in windows])
    writer = Writer(Path(tempfile.mkdtemp()))
    await writer.start()
    done = 0

    async def calls() -> None:
        nonlocal done
        while True:
            held = hold(id=uuid7(), windows=counted, lease_id=writer.lease_id, started_at=writer.now)
            await writer.write(Reserve(held, windows=windows))
            await writer.write(Settle(record(held)))
            done += 1

    running = [asyncio.create_task(calls()) for _ in range(CALLS_AT_ONCE)]
    await asyncio.sleep(WARM_UP_S)
    before, began = done, time.perf_counter()
    await asyncio.sleep(WINDOW_S)
    rate = (done - before) / (time.perf_counter() - began)
    for each in running:
        each.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await writer.stop()
    return rate


def _windows(budget: str) -> tuple[Any, ...]:
    from datetime import UTC, datetime

    from django.db import connection

    from usage.budgets import window_of
    from usage.models import Budget
    from usage.spending import spec_of

    try:
        return tuple(window_of(spec_of(row), datetime.now(UTC)) for row in Budget.objects.all()) if budget else ()
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
