"""The public SQL schema: views with plain names, for finance and its tools (`docs/sql-reporting.md`).

Money is in dollars: exact numerics on PostgreSQL; on SQLite, which has none, the nearest floating-point number, because
an exact text would neither sort nor compare as a number there. `cost_pico` beside it is the exact whole number of
pico-dollars on both. Sums are read from the rollups, shards folded together.

The views are made again after every `migrate`, where their text has changed. They are the product's promise: columns
are added, not renamed.
"""

from __future__ import annotations

import hashlib
from typing import Any

from django.db import connection, transaction

ROLE = "report_reader"

# Sums of a group, by their public names.
_FIGURES = {
    "calls": "calls",
    "failed_calls": "errors",
    "refused_calls": "refused",
    "cancelled_calls": "cancelled",
    "calls_from_cache": "cached",
    "input_tokens": "input_tokens",
    "cached_input_tokens": "cached_input_tokens",
    "output_tokens": "output_tokens",
    "reasoning_tokens": "reasoning_tokens",
    "rows_of_unknown_cost": "unknown_cost_rows",
}
_BY_KIND = {
    "client": "client",
    "provider": "provider",
    "model": "deployment",
    "door": "surface",
    "status": "status",
    "evidence": "evidence",
}
_MONTH = {"postgresql": "CAST(date_trunc('month', day) AS date)", "sqlite": "date(day, 'start of month')"}
_TOKENS = (
    *("input_tokens", "cached_input_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "audio_input_tokens"),
    *("image_input_tokens", "output_tokens", "reasoning_tokens", "audio_output_tokens", "image_output_tokens"),
)
_RATES = (
    *("input_per_million", "cached_input_per_million", "cache_write_5m_per_million", "cache_write_1h_per_million"),
    *("audio_input_per_million", "image_input_per_million", "output_per_million", "reasoning_per_million"),
    *("audio_output_per_million", "image_output_per_million"),
)


def install_views() -> None:
    """Make the views that are missing or have changed. The reading role keeps its rights."""
    tables = set(connection.introspection.table_names())
    with transaction.atomic(), connection.cursor() as cursor:
        made = [
            name
            for name, (table, sql) in _views().items()
            if table in tables and not _is_current(cursor, name, sql) and _make(cursor, name, sql)
        ]
        if made and connection.vendor == "postgresql" and _role_exists(cursor):
            _grant(cursor)


def drop_views() -> None:
    """Before a migration: neither database changes a table that a view reads."""
    with connection.cursor() as cursor:
        for name in _views():
            cursor.execute(f"DROP VIEW IF EXISTS {name}")


def make_role(*, password: str) -> None:
    """A role that may log in and read these views, and nothing else; its password is set anew. PostgreSQL alone."""
    from psycopg import sql  # noqa: PLC0415 - an embedded installation has no psycopg to import

    with transaction.atomic(), connection.cursor() as cursor:
        action = "ALTER" if _role_exists(cursor) else "CREATE"
        statement = sql.SQL(action + " ROLE {} LOGIN PASSWORD {} NOSUPERUSER NOCREATEDB NOCREATEROLE")
        cursor.execute(statement.format(sql.Identifier(ROLE), sql.Literal(password)))
        cursor.execute(f"ALTER ROLE {ROLE} SET default_transaction_read_only = on")
        cursor.execute(f"GRANT USAGE ON SCHEMA public TO {ROLE}")
        _grant(cursor)


def view_names() -> list[str]:
    return list(_views())


# --- inside -------------------------------------------------------------------------------------------------------


def _views() -> dict[str, tuple[str, str]]:
    """Name -> (the table without which it cannot be, its SELECT)."""
    daily = {"day": "day"}
    return {
        "report_usage": ("usage_usagerecord", _usage()),
        "report_open_calls": ("usage_hold", _open_calls()),
        "report_cost_quarter_hourly": ("usage_quarter", _sums("usage_quarter", {"starts_at": "starts_at"} | _BY_KIND)),
        "report_cost_daily": ("usage_day", _sums("usage_day", daily | _BY_KIND)),
        "report_cost_monthly": ("usage_day", _sums("usage_day", {"month": _MONTH[connection.vendor]} | _BY_KIND)),
        "report_end_users_daily": (
            "usage_userday",
            _sums("usage_userday", daily | {"client": "client", "end_user": "end_user"}),
        ),
        "report_keys_daily": ("usage_keyday", _sums("usage_keyday", daily | {"client": "client", "key": "key_prefix"})),
        "report_budgets": ("usage_budgetwindow", _budgets()),
        "report_prices": ("providers_pricetier", _prices()),
        "report_exchange_rates": (
            "providers_exchangerate",
            "SELECT currency, day AS valid_from, usd_per_unit FROM providers_exchangerate",
        ),
    }


def _usage() -> str:
    parts = ("cost", "input_cost", "output_cost", "request_cost")
    columns = [
        *("id", "request_id", "started_at", "ended_at", "client", "key_prefix AS key", "end_user", "tags"),
        *("surface AS door", "stream AS streamed", "requested_model", "provider", "deployment AS model"),
        *("served_model", "credential AS provider_key", "attempt", "status", "error_code", "error_detail"),
        "(is_final AND kind = 'call') AS is_call",
        "(kind = 'adjustment') AS is_adjustment",
        *("adjusts_id", "reason", "author", "evidence", *_TOKENS, "cost_pico"),
        *(f"{_usd(f'{part}_pico')} AS {part}_usd" for part in parts),
        *("price_id", "usd_per_unit", "latency_ms", "first_token_ms", "overhead_ms"),
        f"{_usd('saved_pico')} AS cache_savings_usd",
    ]
    return f"SELECT {', '.join(columns)} FROM usage_usagerecord"  # noqa: S608 - our own names, here and below


def _open_calls() -> str:
    return (
        "SELECT id, request_id, started_at, deadline_at, client, key_prefix AS key, end_user, surface AS door, "  # noqa: S608 - our own names
        "requested_model, provider, deployment AS model, attempt, amount_pico AS at_most_pico, "
        f"{_usd('amount_pico')} AS at_most_usd FROM usage_hold"
    )


def _sums(table: str, dimensions: dict[str, str]) -> str:
    named = [f"{column} AS {name}" for name, column in dimensions.items()]
    figures = [f"CAST(sum({column}) AS {_whole()}) AS {name}" for name, column in _FIGURES.items()]
    mean = "CASE WHEN sum(answered) > 0 THEN sum(latency_us) / 1000.0 / sum(answered) END AS mean_latency_ms"
    grouped = ", ".join(str(place + 1) for place in range(len(dimensions)))
    # `usage.sums.known_cost`: as with a single row, a cost of which nothing is known is NULL.
    pico = "CASE WHEN sum(cost_pico) <> 0 OR sum(unknown_cost_rows) = 0 THEN sum(cost_pico) END"
    cost = [f"CAST({pico} AS {_whole()}) AS cost_pico", f"{_usd(pico)} AS cost_usd"]
    saved = f"{_usd('sum(saved_pico)')} AS cache_savings_usd"
    columns = ", ".join([*named, *figures, *cost, mean, saved])
    return f"SELECT {columns} FROM {table} GROUP BY {grouped}"  # noqa: S608 - our own names


def _budgets() -> str:
    amounts = {
        "cap": "w.cap_pico + w.raised_pico",
        "raised": "w.raised_pico",
        "held": "w.held_pico",
        "settled": "w.settled_pico",
        "left": "w.cap_pico + w.raised_pico - w.held_pico - w.settled_pico",
        "overrun": "w.overrun_pico",
    }
    money = ", ".join(f"{_usd(sql)} AS {name}_usd" for name, sql in amounts.items())
    return (
        "SELECT b.name AS budget, b.scope AS applies_to, b.subject, b.period, b.time_zone, b.hard AS is_hard, "  # noqa: S608 - our own names
        f"b.is_active, w.starts_at, w.ends_at, {money} "
        "FROM usage_budgetwindow w JOIN usage_budget b ON b.id = w.budget_id"
    )


def _prices() -> str:
    """A row for each price, and one for each of its tiers, which is in force above so many tokens of prompt."""
    until = "lead(p.valid_from) OVER (PARTITION BY p.deployment_id ORDER BY p.valid_from)"
    rates = ", ".join(f"r.{rate}" for rate in _RATES)
    columns = ", ".join(_RATES)
    return (
        "SELECT p.id, v.slug AS provider, d.name AS model, p.valid_from, p.valid_until, p.currency, r.above_tokens, "  # noqa: S608 - our own names
        f"{rates}, p.per_request FROM (SELECT p.*, {until} AS valid_until FROM providers_price p) p "
        f"JOIN (SELECT id AS price_id, 0 AS above_tokens, {columns} FROM providers_price "
        f"UNION ALL SELECT price_id, above_tokens, {columns} FROM providers_pricetier) r ON r.price_id = p.id "
        "JOIN providers_deployment d ON d.id = p.deployment_id JOIN providers_provider v ON v.id = d.provider_id"
    )


def _usd(pico: str) -> str:
    """Multiplied on PostgreSQL, because a division is rounded and a product is exact."""
    return f"({pico}) * 0.000000000001" if connection.vendor == "postgresql" else f"({pico}) / 1e12"


def _whole() -> str:
    return "numeric" if connection.vendor == "postgresql" else "INTEGER"


def _is_current(cursor: Any, name: str, sql: str) -> bool:
    if connection.vendor == "postgresql":
        cursor.execute("SELECT obj_description(to_regclass(%s), 'pg_class')", [name])
        found = cursor.fetchone()[0]
        return bool(found == _mark(sql))
    cursor.execute("SELECT sql FROM sqlite_master WHERE type = 'view' AND name = %s", [name])
    row = cursor.fetchone()
    return row is not None and row[0] == f"CREATE VIEW {name} AS {sql}"


def _make(cursor: Any, name: str, sql: str) -> bool:
    cursor.execute(f"DROP VIEW IF EXISTS {name}")
    cursor.execute(f"CREATE VIEW {name} AS {sql}")
    if connection.vendor == "postgresql":
        cursor.execute(f"COMMENT ON VIEW {name} IS '{_mark(sql)}'")
    return True


def _mark(sql: str) -> str:
    return f"See docs/sql-reporting.md. Version {hashlib.sha256(sql.encode()).hexdigest()[:12]}."


def _role_exists(cursor: Any) -> bool:
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE])
    return cursor.fetchone() is not None


def _grant(cursor: Any) -> None:
    cursor.execute(f"GRANT SELECT ON {', '.join(_views())} TO {ROLE}")
