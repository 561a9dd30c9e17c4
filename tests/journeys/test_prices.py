"""Prices change, rise with the prompt and come in euros, while calls are made: every row says what it was priced by."""

from __future__ import annotations

import json
import uuid
from typing import Any

from tests.conftest import NewProduct
from tests.journeys import operating
from tests.journeys.admin_session import AdminSession
from tests.journeys.dialects import OPENAI, events
from tests.product import Product
from tests.servers import wait_until
from tests.upstream import Fault, Upstream

PRICES, EXCHANGE = "/api/ai-providers/prices", "/api/ai-providers/exchange-rates"


def _model(product: Product, upstream: Upstream) -> str:
    """A model of its own, at $2.50 and $10."""
    name = f"priced-{uuid.uuid4().hex[:8]}"
    operating.add_provider(product, name=name, kind="custom", endpoint=upstream.openai_url, model=name)
    return name


def _price(product: Product, model: str, **given: Any) -> str:
    deployment = model if "/" in model else f"{model}/{model}"
    body = {"deployment": deployment, "inputPerMillion": "5", "outputPerMillion": "20", **given}
    made: str = operating.manage(product, "POST", PRICES, body)["id"]
    return made


def _priced_by(product: Product, model: str) -> str:
    """The price row of a call made now."""
    return str(uuid.UUID(str(operating.row_of(product, product.chat(model=model))["price_id"])))


def test_a_stream_keeps_the_price_it_began_at(topology: Product, upstream: Upstream) -> None:
    model = _model(topology, upstream)
    old = _priced_by(topology, model)
    upstream.on(model, Fault(chunk_s=0.25, words=12))

    with OPENAI.streaming(topology, model) as answer:
        request_id = answer.headers["x-request-id"]
        new = _price(topology, model)
        topology.until_in_force()
        assert _priced_by(topology, model) == new
        heard = list(events(answer))

    row = operating.row(topology, request_id)
    bill = next(line for line in upstream.bill if line.model == model and line.stream)
    assert heard[-1] == "[DONE]"
    assert uuid.UUID(str(row["price_id"])) == uuid.UUID(old)
    assert row["cost_pico"] == operating.cost_pico(bill.input_tokens, bill.output_tokens)


def test_a_prompt_beyond_the_bound_costs_its_tier(topology: Product, upstream: Upstream) -> None:
    model = _model(topology, upstream)
    tier = {"aboveTokens": 1, "inputPerMillion": "7", "outputPerMillion": "30"}
    new = _price(topology, model, tiers=[tier])
    topology.until_in_force()
    assert _priced_by(topology, model) == new

    row = operating.row_of(topology, topology.chat(model=model))

    assert row["cost_pico"] == row["input_tokens"] * 7 * 10**6 + row["output_tokens"] * 30 * 10**6


def test_a_price_in_another_currency_waits_for_its_exchange_rate(topology: Product, upstream: Upstream) -> None:
    model, currency = _model(topology, upstream), "XTS"
    _price(topology, model, currency=currency)
    topology.until_in_force()
    answer = topology.chat(model=model)
    assert "x-cost-usd" not in answer.headers
    assert operating.row_of(topology, answer)["price_id"] is None

    made = operating.manage(
        topology, "POST", EXCHANGE, {"currency": currency, "day": "2026-01-01", "usdPerUnit": "1.0842"}
    )
    topology.until_in_force()
    row = operating.row_of(topology, topology.chat(model=model))

    assert made["usdPerUnit"] == "1.0842000000"
    assert float(row["usd_per_unit"]) == 1.0842
    assert row["cost_pico"] == (row["input_tokens"] * 5 + row["output_tokens"] * 20) * 1_084_200


def test_an_administrator_reprices_past_calls_through_the_real_worker(
    new_product: NewProduct, upstream: Upstream
) -> None:
    with new_product(jobs=True) as product:
        upstream.on("up-chat", Fault(words=3))
        row = operating.row_of(product, product.chat(model="up-chat"))
        price = _price(product, "upstream/up-chat", validFrom="2026-01-01T00:00:00Z")
        admin = AdminSession(product)

        form = admin.form("/admin/usage/repricing/add/") | {"price": price, "reason": "the contract says so"}
        admin.submit("/admin/usage/repricing/add/", form)
        wait_until(lambda: _repricing(product)["state"] == "compared", what="the comparison")
        job = _repricing(product)
        token = {"csrfmiddlewaretoken": admin.csrf_token}
        admin.submit(f"/admin/usage/repricing/{uuid.UUID(str(job['id']))}/apply/", token)
        wait_until(lambda: _repricing(product)["state"] == "applied", what="the adjustments")

        (adjustment,) = product.sql("SELECT * FROM usage_usagerecord WHERE kind = 'adjustment'")
        assert (job["old_pico"], job["new_pico"]) == (row["cost_pico"], 2 * row["cost_pico"])
        assert (adjustment["adjusts_id"], adjustment["cost_pico"]) == (row["id"], row["cost_pico"])
        assert (adjustment["reason"], adjustment["author"]) == ("the contract says so", "admin")
        assert json.loads(product.manage("verifyledger", "--json"))["ok"]


def _repricing(product: Product) -> dict[str, Any]:
    (row,) = product.sql("SELECT * FROM usage_repricing")
    return row
