"""What Prometheus reads is what the books hold."""

from __future__ import annotations

import http.client
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any

import pytest

from tests.journeys import operating
from tests.journeys.scraping import scrape
from tests.product import Product
from tests.servers import PATIENCE_S, free_port, wait_until
from tests.upstream import Fault, Upstream

NewProduct = Callable[..., AbstractContextManager[Product]]


def _make_calls(product: Product, upstream: Upstream) -> None:
    upstream.on("up-chat", Fault(status=500), Fault(status=429))
    for _ in range(4):
        product.chat(model="up-chat")
    product.chat(model="up-claude")
    for _ in range(3):
        product.chat(model="up-chat", headers={"X-Cache": "on"})
    product.chat(model="up-unpriced")
    product.chat(model="up-chat", body={"n": "many"})


def _rows(product: Product) -> list[dict[str, Any]]:
    return product.sql("SELECT * FROM usage_usagerecord WHERE kind = 'call'")


def _check(product: Product, port: int) -> None:
    rows = _rows(product)
    told = scrape(port)
    counted: dict[tuple[str, ...], int] = defaultdict(int)
    costs: dict[tuple[str, ...], int] = defaultdict(int)
    for row in rows:
        counted[row["deployment"], row["provider"], row["status"]] += 1
        costs[row["deployment"], row["provider"]] += row["cost_pico"] or 0
    assert told["ai_proxy_requests_total"] == counted
    assert {key: round(Decimal(value), 12) for key, value in told["ai_proxy_cost_total"].items()} == {
        key: operating.usd(pico) for key, pico in costs.items()
    }
    assert told["ai_proxy_tokens_used_total"]["prompt",] == sum(row["input_tokens"] for row in rows)
    assert told["ai_proxy_tokens_used_total"]["completion",] == sum(row["output_tokens"] for row in rows)
    assert told["ai_proxy_cache_hits_total"]["hit",] == sum(row["status"] == "cached" for row in rows)
    assert sum(told["ai_proxy_request_duration_seconds_count"].values()) == len(rows)
    assert told["ai_proxy_overhead_seconds_count"]
    assert told["ai_proxy_circuit_breaker_state"]["upstream",] == 0


def test_the_figures_equal_the_rows(new_product: NewProduct, upstream: Upstream) -> None:
    port = free_port()
    with new_product(env={"METRICS_PORT": str(port)}) as product:
        _make_calls(product, upstream)
        operating.settled(product)

        _check(product, port)


def test_errors_are_counted_by_status_with_a_row_or_without(new_product: NewProduct, upstream: Upstream) -> None:
    port = free_port()
    with new_product(env={"METRICS_PORT": str(port)}) as product:
        product.chat(key="aip_of_nobody")
        for body in (b"no json", b"[]"):
            product.request("POST", "/v1/chat/completions", body=body, key=product.key)
        upstream.on("up-chat", Fault(status=500))
        product.chat(model="up-chat")
        product.chat(model="up-chat")

        assert scrape(port)["ai_proxy_errors_total"] == {
            ("UNAUTHENTICATED", "openai.chat", "401"): 1,
            ("INVALID_REQUEST", "openai.chat", "400"): 2,
            ("PROVIDER_ERROR", "openai.chat", "502"): 1,
        }


def test_the_figures_of_several_processes_are_one(new_production: NewProduct, upstream: Upstream) -> None:
    port = free_port()
    with new_production(workers=2, env={"METRICS_PORT": str(port)}) as product:
        _make_calls(product, upstream)
        operating.settled(product)

        rows = len(_rows(product))
        wait_until(lambda: sum(scrape(port)["ai_proxy_requests_total"].values()) == rows, what="all tallies")
        _check(product, port)


@pytest.mark.parametrize("path", ["/", "/metrics/secret"])
def test_there_is_nothing_else_at_that_port(new_product: NewProduct, path: str) -> None:
    port = free_port()
    with new_product(env={"METRICS_PORT": str(port)}):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        connection.request("GET", path)
        assert connection.getresponse().status == 404


def test_figures_that_cannot_be_written_for_a_moment_are_written_after_it(new_product: NewProduct) -> None:
    """As on a disk that is full: what was written before lies elsewhere meanwhile."""
    port = free_port()
    with new_product(env={"METRICS_PORT": str(port)}) as product:
        folder, away = product.state_dir / "metrics", product.state_dir / "away"
        wait_until(lambda: any(folder.glob("*.tally")), what="the first figures")
        [tally] = folder.glob("*.tally")
        folder.rename(away)
        wait_until(lambda: "they cannot be written" in product.log(), what="a warning")
        assert scrape(port), "it is answered all the same"

        away.rename(folder)
        product.chat()

        before = tally.stat().st_mtime_ns
        wait_until(lambda: tally.stat().st_mtime_ns > before, what="figures, though nobody asks for them")
        assert scrape(port)["ai_proxy_requests_total"]["demo", "demo", "ok"] == 1
        assert product.log().count("they cannot be written") == 1
