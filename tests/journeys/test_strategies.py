"""A route's strategy decides who of its equals answers."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest

from tests.journeys import operating
from tests.journeys.dialects import OPENAI
from tests.product import Product
from tests.upstream import Fault, Upstream

_numbers = itertools.count(1)
CALLS = 12


@pytest.fixture
def pair(house: Product, upstream: Upstream) -> tuple[str, str]:
    """Two models at two providers: the first is dear, the second cheap."""
    number = next(_numbers)
    dear, cheap = f"x-dear-{number}", f"x-cheap-{number}"
    for name, input_usd in ((dear, 0.01), (cheap, 0.0001)):
        price = {"inputTokenCost": input_usd, "outputTokenCost": input_usd}
        operating.add_provider(
            house, name=name, kind="custom", endpoint=upstream.openai_url, model=name, pricing=price, wait=False
        )
    return dear, cheap


def route(house: Product, pair: tuple[str, str], weights: tuple[int, int] = (1, 1), **settings: Any) -> str:
    name = f"x-route-{next(_numbers)}"
    targets = [{"deployment": f"{each}/{each}", "weight": weight} for each, weight in zip(pair, weights, strict=True)]
    operating.manage(house, "POST", "/api/ai-providers/routes", {"name": name, "targets": targets, **settings})
    house.until_in_force()
    return name


def answered_by(house: Product, name: str, **headers: str) -> list[str]:
    return [OPENAI.call(house, name, headers=headers).headers["x-provider"] for _ in range(CALLS)]


def test_in_turn(house: Product, pair: tuple[str, str]) -> None:
    assert Counter(answered_by(house, route(house, pair, strategy="round_robin"))) == dict.fromkeys(pair, CALLS // 2)


def test_the_cheapest(house: Product, pair: tuple[str, str]) -> None:
    assert set(answered_by(house, route(house, pair, strategy="least_cost"))) == {pair[1]}


@pytest.mark.parametrize("strategy", ["least_latency", "score"])
def test_the_fastest(house: Product, upstream: Upstream, pair: tuple[str, str], strategy: str) -> None:
    upstream.always(pair[1], Fault(delay_s=1.0))
    name = route(house, pair, strategy=strategy)
    answered_by(house, name)  # both come to be known

    assert set(answered_by(house, name)) == {pair[0]}


def test_by_weight(house: Product, pair: tuple[str, str]) -> None:
    answered = answered_by(house, route(house, pair, (1_000, 1), strategy="weighted"))
    assert answered.count(pair[0]) >= CALLS - 1


def test_an_end_user_is_kept(house: Product, pair: tuple[str, str]) -> None:
    name = route(house, pair, strategy="weighted", sticky=True)

    kept = {user: set(answered_by(house, name, **{"X-End-User": user})) for user in ("ann", "ben", "cleo")}

    assert all(len(providers) == 1 for providers in kept.values())
    (row,) = operating.rows(house, OPENAI.call(house, name, headers={"X-End-User": "ann"}).headers["x-request-id"])
    assert "kept for this end user" in row["routing"]
