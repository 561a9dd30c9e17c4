"""What a past call costs at another price. Pure: a ledger row and a price in, the row of its adjustment out.

Tokens are read from the row's columns, which are the provider's report made consistent; the raw report stays beside
them. A row and its adjustments are read together, so that a call may be re-priced again and again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from usage import pricing, taxonomy
from usage.pricing import Exchange, ListPrice, Rates
from usage.rows import COSTS, TOKENS, RecordRow
from wire.neutral import Usage

_ALWAYS = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_RANDOM_BITS = 62  # those at the end of a UUIDv7; the time, the version and the variant come before them


class Terms(msgspec.Struct, frozen=True):
    """A list price for calls of any time, with the exchange rates of its currency."""

    price: ListPrice
    exchanges: tuple[Exchange, ...] = ()

    def timeline(self) -> tuple[Rates, ...]:
        return pricing.timeline([msgspec.structs.replace(self.price, valid_from=_ALWAYS)], self.exchanges)


def standing(row: RecordRow, adjustments: Sequence[RecordRow]) -> RecordRow:
    """`row` as its adjustments have left it: what the books say of the call now."""
    if not adjustments:
        return row
    together = [row, *adjustments]
    tokens = {name: sum(getattr(each, name) for each in together) for name in TOKENS}
    costs = {name: _known_sum([getattr(each, name) for each in together]) for name in COSTS}
    truth = next((each for each in adjustments if each.evidence != row.evidence), row)
    return msgspec.structs.replace(row, **tokens, **costs, status=truth.status, evidence=truth.evidence)


def _known_sum(amounts: Sequence[int | None]) -> int | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if known else None


def costs_at(rates: Rates, row: RecordRow) -> dict[str, int | None]:
    """The columns of cost of `row` at other rates. A bound stays a bound, and what used nothing costs nothing."""
    if row.evidence == "none":
        return dict.fromkeys(COSTS, 0)
    if row.evidence == "upper_bound":
        bound = pricing.upper_bound_pico(rates, input_tokens=row.input_tokens, output_tokens=row.output_tokens)
        return dict.fromkeys(COSTS) | {"cost_pico": bound}
    usage, _ = taxonomy.consistent(Usage(**{name: getattr(row, name) for name in TOKENS}))
    cost = pricing.cost(rates, usage)
    return {
        "cost_pico": cost.total_pico,
        "input_cost_pico": cost.input_pico,
        "output_cost_pico": cost.output_pico,
        "request_cost_pico": cost.request_pico,
    }


def adjustment(
    row: RecordRow, rates: Rates, *, repricing_id: UUID, reason: str, author: str, now: datetime
) -> RecordRow | None:
    """What makes `row` (`standing`) cost what it costs at `rates`; None where it does already.

    It counts where the row counts: same start, same budget windows. It adds money only: no tokens, no call.
    """
    wanted = costs_at(rates, row)
    changes = {name: _change(getattr(row, name), wanted[name]) for name in COSTS}
    if row.cost_pico is not None and not any(changes.values()):
        return None
    return msgspec.structs.replace(
        row,
        id=adjustment_id(row.id, repricing_id),
        kind="adjustment",
        adjusts_id=row.id,
        is_final=False,
        reason=reason,
        author=author,
        prices_unknown=row.cost_pico is None,
        price_id=rates.price_id,
        usd_per_unit=rates.usd_per_unit,
        **(dict.fromkeys(TOKENS, 0) | changes),
        error_code="",
        error_detail="",
        usage_payload="",
        latency_ms=None,
        first_token_ms=None,
        overhead_ms=None,
        ended_at=now,
    )


def _change(old: int | None, new: int | None) -> int | None:
    return None if new is None else new - (old or 0)


def adjustment_id(row_id: UUID, repricing_id: UUID) -> UUID:
    """Always the same for a row and a re-pricing, and of the row's millisecond: it lies in the row's month."""
    noise = int.from_bytes(hashlib.sha256(row_id.bytes + repricing_id.bytes).digest()) & ((1 << _RANDOM_BITS) - 1)
    return UUID(int=row_id.int >> _RANDOM_BITS << _RANDOM_BITS | noise)
