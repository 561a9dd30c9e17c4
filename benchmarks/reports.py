"""How long reports take over ten million usage rows, and that they tell what the rows tell (`make bench-reports`).

    .venv/bin/python benchmarks/reports.py                 ten minutes and 15 GB of disk, on a PostgreSQL of its own
    .venv/bin/python benchmarks/reports.py --rows 1000000  a minute, to see whether it runs

Rows are made in the database, 92 days of them that end now; the rollups are rebuilt from them, and the books proved.
Every sum that is timed from the rollups is asked of the raw rows too: where they differ it exits with 1. Times are
medians of one machine at one moment; the target is printed, never enforced.
"""

# ruff: noqa: PLC0415 - Django is loaded once the database that it is to use is there
# ruff: noqa: SLF001 - the home page and the rollups are looked at from inside

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

sys.path.append(str(Path(__file__).parent.parent))

from tests.environment import CLEARED
from tests.servers import postgres

ROWS = 10_000_000
DAYS = 92
TARGET_MS = 50
RUNS = 7
CLIENTS, PROVIDERS, MODELS, MODELS_A_CLIENT, USERS, KEYS = 40, 6, 14, 4, 20_000, 120
_TUNED = ("shared_buffers = '2GB'", "max_wal_size = '8GB'", "work_mem = '64MB'", "maintenance_work_mem = '512MB'")


class Question(msgspec.Struct, frozen=True):
    """`ask` is timed; `is_sum`: the raw rows must give the same answer."""

    name: str
    ask: Callable[[], Any]
    is_sum: bool = True


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=ROWS)
    rows = options.parse_args().rows
    with postgres() as server, tempfile.TemporaryDirectory() as state:
        for setting in _TUNED:
            server.execute(f"ALTER SYSTEM SET {setting}")
        server.stop()
        server.start()
        os.environ |= CLEARED | {"DATABASE_URL": server.url(), "STATE_DIR": state}
        os.environ["DJANGO_SETTINGS_MODULE"] = "aiplatform.settings"
        return _run(rows)


def _run(rows: int) -> int:
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from usage import books, partitions

    now = datetime.now(UTC)
    call_command("migrate", verbosity=0)
    for distance in range(-5, 0):
        partitions.make_months(now=partitions.month_of(now, distance))
    print(f"{rows:,} rows over {DAYS} days, {CLIENTS} clients, {MODELS} models, {USERS:,} end users")
    _timed("made", lambda: _load(rows, now))
    _timed("rollups rebuilt", books.rebuild_rollups)
    _timed("analysed", lambda: _execute("VACUUM ANALYZE"))
    _sizes(rows)
    found = _timed("books proved", books.prove)
    print("The books balance." if found.is_balanced else "\n".join(found.differences))
    is_right = _ask(_questions(now)) and found.is_balanced and found.records == rows
    connection.close()
    return 0 if is_right else 1


# --- rows ---------------------------------------------------------------------------------------------------------


def _load(rows: int, now: datetime) -> None:
    """Skewed as life is: a few clients make most of the calls, each with models and end users of its own."""
    first_ms = int((now - timedelta(days=DAYS)).timestamp() * 1000)
    step_ms = DAYS * 86_400_000 / rows
    _execute(
        f"""
        INSERT INTO usage_usagerecord (
            id, request_id, client, key_prefix, end_user, tags, surface, stream, requested_model, provider, deployment,
            credential, attempt, windows, started_at, kind, reason, author, prices_unknown, is_final, status,
            error_code, error_detail, finish_reason, served_model, evidence, input_tokens, cached_input_tokens,
            cache_write_5m_tokens, cache_write_1h_tokens, audio_input_tokens, image_input_tokens, output_tokens,
            reasoning_tokens, audio_output_tokens, image_output_tokens, usage_payload, cost_pico, input_cost_pico,
            output_cost_pico, request_cost_pico, latency_ms, first_token_ms, overhead_ms, ended_at
        )
        SELECT
            CAST(lpad(to_hex(ms), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8' ||
                 substr(md5(n::text), 4, 15) AS uuid),
            'req_' || n, 'client-' || client, 'key-' || client || '-' || n % {KEYS // CLIENTS},
            'user-' || client || '-' || n * 7919 % {USERS // CLIENTS}, '{{"team":"search"}}', 'openai.chat', n % 3 = 0,
            'default', 'provider-' || model % {PROVIDERS}, 'model-' || model, 'main', 1, '[]',
            to_timestamp(ms / 1000.0), 'call', '', '', false, n % 97 <> 0,
            CASE WHEN n % 97 = 0 THEN 'error' WHEN n % 89 = 0 THEN 'cancelled' ELSE 'ok' END,
            '', '', 'stop', 'model-' || model,
            CASE WHEN n % 97 = 0 THEN 'none' WHEN n % 50 = 0 THEN 'estimated' ELSE 'reported' END,
            n % 4000, 0, 0, 0, 0, 0, n % 900, 0, 0, 0,
            '{{"prompt_tokens":1200,"completion_tokens":345,"total_tokens":1545}}',
            CASE WHEN n % 1009 = 0 THEN NULL ELSE n % 4000 * 2500000::bigint + n % 900 * 10000000::bigint END,
            n % 4000 * 2500000::bigint, n % 900 * 10000000::bigint, 0, n % 3000 + 0.125, n % 500, 1.5,
            to_timestamp(ms / 1000.0 + 2)
        FROM (
            SELECT n, CAST({first_ms} + n * {step_ms} AS bigint) AS ms,
                   floor({CLIENTS} * power(random(), 3))::int AS client,
                   floor({MODELS_A_CLIENT} * power(random(), 2))::int AS choice
            FROM generate_series(1::bigint, {rows}) AS n
        ) AS chosen, LATERAL (SELECT (client * 5 + choice) % {MODELS} AS model) AS meant
        """
    )


def _execute(sql: str) -> None:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(sql)


def _sizes(rows: int) -> None:
    from django.db import connection

    from usage.models import Day, KeyDay, Quarter, UserDay

    counts = {model.__name__: model._default_manager.count() for model in (Quarter, Day, UserDay, KeyDay)}
    print("  " + ", ".join(f"{number:,} rows of {name}" for name, number in counts.items()))
    with connection.cursor() as cursor:
        cursor.execute("SELECT SUM(pg_total_relation_size(relid)) FROM pg_partition_tree('usage_usagerecord')")
        (records,) = cursor.fetchone()
        cursor.execute(
            "SELECT SUM(pg_total_relation_size(oid)) FROM pg_class "
            "WHERE relname IN ('usage_quarter', 'usage_day', 'usage_userday', 'usage_keyday')"
        )
        (rollups,) = cursor.fetchone()
    print(f"  {int(records) / rows:.0f} bytes a record, with its indexes; {int(rollups) / 1e6:,.0f} MB of rollups")


# --- questions ----------------------------------------------------------------------------------------------------


def _questions(now: datetime) -> list[Question]:
    from zoneinfo import ZoneInfo

    from usage import queries

    utc, kathmandu = ZoneInfo("UTC"), ZoneInfo("Asia/Kathmandu")
    month = queries.bucket_start(queries.bucket_start(now, "month", utc) - timedelta(days=1), "month", utc)
    end = queries.next_bucket(month, "month", utc)
    there = queries.bucket_start(month + timedelta(days=2), "month", kathmandu)
    there_end = queries.next_bucket(there, "month", kathmandu)
    return [
        Question("the month's cost by provider and day", lambda: queries.series(month, end, by="provider")),
        Question("the month's cost by model", lambda: queries.grouped(month, end, by="model")),
        Question("the month's top clients", lambda: queries.grouped(month, end, by="client")),
        Question("one client's month by model", lambda: queries.grouped(month, end, by="model", client="client-3")),
        Question("the month's cost by key", lambda: queries.grouped(month, end, by="key")),
        Question("one end user's month", lambda: queries.totals(month, end, end_user="user-3-77")),
        Question("the month's 100 top end users", lambda: queries.grouped(month, end, by="endUser", top=100)),
        Question("the month by end user, all of them", lambda: queries.grouped(month, end, by="endUser")),
        Question("all 92 days by month", lambda: queries.grouped(now - timedelta(days=DAYS + 1), now, by="month")),
        Question("a month in Kathmandu, in all", lambda: queries.totals(there, there_end)),
        Question(
            "a month in Kathmandu by day", lambda: queries.grouped(there, there_end, by="day", time_zone=kathmandu)
        ),
        Question("the admin's home page", lambda: _home(now), is_sum=False),
    ]


def _home(now: datetime) -> None:
    from django.contrib.auth.models import User
    from django.utils import timezone

    from aiplatform import dashboard

    dashboard._home(User(is_superuser=True), now=now, zone=timezone.get_default_timezone())


def _ask(questions: list[Question]) -> bool:
    print(f"\n{'median of ' + str(RUNS):>48}   target {TARGET_MS} ms      the same from raw rows")
    told = [_told(question) for question in questions]  # every one of them, whatever the first says
    return all(told)


def _told(question: Question) -> bool:
    """Print one line; returns whether the raw rows agree."""
    times, answer = [], None
    for _ in range(RUNS):
        started = time.perf_counter()
        answer = question.ask()
        times.append(1000 * (time.perf_counter() - started))
    line = f"{question.name:>40} {median(times):>8.1f} ms"
    if not question.is_sum:
        print(line)
        return True
    started = time.perf_counter()
    agrees = bool(_from_rows(question.ask) == answer)
    print(f"{line}{'':>20}{1000 * (time.perf_counter() - started):>8.0f} ms {'equal' if agrees else 'DIFFERENT'}")
    return agrees


def _from_rows(ask: Callable[[], Any]) -> Any:
    """The answer with the rollups hidden."""
    from usage import sums

    known = sums._levels
    sums._levels = lambda *_: [sums._RECORDS]
    try:
        return ask()
    finally:
        sums._levels = known


def _timed(what: str, work: Callable[[], Any]) -> Any:
    started = time.perf_counter()
    found = work()
    print(f"  {what} in {time.perf_counter() - started:.1f} s", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
