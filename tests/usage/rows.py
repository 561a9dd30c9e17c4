"""Ledger rows to test with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection

from core.ids import uuid7_of
from usage import ledger
from usage.models import UsageRecord
from usage.rows import FACTS, HoldRow, RecordRow

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def hold(**given: Any) -> HoldRow:
    """A hold of 300 pico-dollars."""
    facts: dict[str, Any] = {
        "id": uuid7_of(given.get("started_at", NOW)),
        "request_id": "req_1",
        "client_id": UUID(int=1),
        "client": "alice",
        "key_id": UUID(int=2),
        "key_prefix": "aip_12345678",
        "end_user": "",
        "tags": '{"team":"search"}',
        "surface": "openai.chat",
        "stream": False,
        "requested_model": "default",
        "provider_id": UUID(int=3),
        "provider": "openai",
        "deployment_id": UUID(int=4),
        "deployment": "gpt",
        "credential": "main",
        "attempt": 1,
        "price_id": UUID(int=5),
        "windows": "[]",
        "started_at": NOW,
        "amount_pico": 300,
        "input_tokens": 100,
        "output_tokens": 200,
        "lease_id": UUID(int=6),
        "deadline_at": NOW + timedelta(minutes=10),
    }
    return HoldRow(**facts | given)


def record(held: HoldRow, **given: Any) -> RecordRow:
    """The record of `held`, answered: 10 tokens in, 5 out, 25 pico-dollars."""
    facts = {name: getattr(held, name) for name in FACTS}
    facts |= {
        "status": "ok",
        "evidence": "reported",
        "input_tokens": 10,
        "output_tokens": 5,
        "cost_pico": 25,
        "input_cost_pico": 10,
        "output_cost_pico": 15,
        "request_cost_pico": 0,
        "ended_at": NOW,
    }
    return RecordRow(**facts | given)


@contextmanager
def refused_records_of(client: str) -> Iterator[None]:
    """Within it the database refuses the client's records, as it would one with a value out of range."""
    postgres = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        cursor.execute(
            f"ALTER TABLE usage_usagerecord ADD CONSTRAINT poison CHECK (client <> '{client}') NOT VALID"
            if postgres
            else f"CREATE TRIGGER poison BEFORE INSERT ON usage_usagerecord WHEN NEW.client = '{client}' "
            "BEGIN SELECT RAISE(ABORT, 'poison'); END"
        )
    yield
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE usage_usagerecord DROP CONSTRAINT poison" if postgres else "DROP TRIGGER poison")


def book(*rows: UsageRecord) -> None:
    """Write rows that were made with the ORM the way the product does: with their sums."""
    ledger.apply([ledger.Note(_as_written(row)) for row in rows])


def _as_written(row: UsageRecord) -> RecordRow:
    values = {name: getattr(row, name) for name in RecordRow.__struct_fields__}
    return RecordRow(**values | {name: msgspec.json.encode(values[name]).decode() for name in ("tags", "windows")})


def rename(table: str, name: str) -> None:
    """A table is away until it has its name again."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {table} RENAME TO {name}")
    finally:
        connection.close()
