"""After calls through the real product, all of its books say the same: proof, SQL views, statistics, CSV."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

from core.money import pico_from_usd
from tests.journeys import operating
from tests.product import Product


def proved(product: Product) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(product.manage("verifyledger", "--json"))
    return found


def recorded(product: Product) -> tuple[int, int]:
    """How many rows there are, and what they cost in pico-dollars: read at once, where a proof takes seconds."""
    operating.settled(product)
    [row] = product.sql("SELECT count(*) AS number, coalesce(sum(cost_pico), 0) AS cost FROM usage_usagerecord")
    return row["number"], int(row["cost"])


def test_the_books_balance_and_agree(topology: Product) -> None:
    records, earlier_pico = recorded(topology)
    for number in range(3):
        assert topology.chat(f"Hello {number}", model="up-chat").status == 200
    assert topology.chat("Hello", model="demo", user="=cmd()").status == 200

    operating.settled(topology)
    after = proved(topology)

    assert after["ok"]
    assert after["records"] == records + 4
    cost_pico = pico_from_usd(after["costUsd"])
    assert cost_pico > earlier_pico
    [row] = topology.sql("SELECT sum(cost_pico) AS cost FROM report_cost_daily")
    assert row["cost"] == cost_pico
    [row] = topology.sql("SELECT sum(cost_pico) AS cost FROM report_usage")
    assert row["cost"] == cost_pico
    statistics = topology.request("GET", "/api/ai-providers/statistics/usage", key=topology.manage_key).json()
    assert pico_from_usd(statistics["totals"]["costUsd"]) == cost_pico


def test_the_export_streams_the_rows(topology: Product) -> None:
    topology.chat("Hello", model="demo", user="=cmd()")
    operating.settled(topology)
    with topology.opened(
        "GET", "/api/usage/exports?groupBy=endUser", key=topology.manage_key, headers={"Accept": "text/csv"}
    ) as answer:
        assert "'=cmd()" in answer.read().decode()
    with topology.opened("GET", "/api/usage/exports", key=topology.manage_key) as answer:
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
        assert answer.headers["Content-Length"] is None
        rows = list(csv.DictReader(io.TextIOWrapper(answer, encoding="utf-8", newline="")))
    assert len(rows) == recorded(topology)[0]
    assert "'=cmd()" in {row["end_user"] for row in rows}


def test_a_rebuild_of_right_sums_changes_nothing(topology: Product) -> None:
    topology.manage("rebuildrollups")
    assert topology.manage("rebuildrollups").splitlines() == [
        f"usage_{table}: 0 rows changed" for table in ("quarter", "day", "userday", "keyday")
    ]
