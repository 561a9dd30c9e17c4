"""What routing is told of a call's price."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from uuid import UUID

from providers.resilience.board import Board
from providers.resilience.outlook import BoardOutlook
from tests.providers.topologies import deployment
from usage.pricing import ListPrice, timeline

OLD, NEW = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)


def _price(number: int, valid_from: datetime, into: str, out: str) -> ListPrice:
    return ListPrice(
        price_id=UUID(int=number),
        valid_from=valid_from,
        input_per_million=Decimal(into),
        output_per_million=Decimal(out),
    )


def test_a_call_costs_what_its_tokens_do_by_the_price_in_force() -> None:
    prices = timeline([_price(1, OLD, "1", "10"), _price(2, NEW, "2", "20")], [])
    target = deployment("acme", prices=prices)

    def cost(moment: datetime) -> int | None:
        return BoardOutlook(Board(Random(0)), 0, moment, input_tokens=3, output_tokens=5).cost_pico(target)

    assert cost(datetime(2026, 3, 1, tzinfo=UTC)) == 53_000_000
    assert cost(datetime(2026, 8, 1, tzinfo=UTC)) == 106_000_000
    assert cost(datetime(2025, 1, 1, tzinfo=UTC)) is None
