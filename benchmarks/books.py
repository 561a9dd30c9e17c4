"""The books after a benchmark: what the ledger says, and what it must say, to the call, token and pico-dollar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from benchmarks.answers import FAST, INPUT_USD_PER_MILLION, OUTPUT_USD_PER_MILLION, usage_of
from benchmarks.product import Query
from benchmarks.scenarios import Scenario

_PICO_PER_TOKEN = 1_000_000  # of a dollar, at one dollar per million tokens


class Books(msgspec.Struct, frozen=True):
    """What the ledger says, or should say. `failed` attempts gave way to another provider. Costs in pico-dollars."""

    records: int
    cached: int
    failed: int
    others: int
    holds: int
    input_tokens: int
    output_tokens: int
    cost_pico: int


def expected(answered: Mapping[str, int], scenarios: Sequence[Scenario], *, cached: int, refused: int = 0) -> Books:
    """After so many answered calls of each scenario, of them so many from the cache, and so many refused ones."""
    by_name = {scenario.name: scenario for scenario in scenarios}
    usages = [(count, usage_of(_served(by_name[name]))) for name, count in answered.items()]
    usages.append((-cached, usage_of(FAST)))
    read = sum(count * usage[0] for count, usage in usages)
    written = sum(count * usage[1] for count, usage in usages)
    failed = sum(count for name, count in answered.items() if by_name[name].fails_over)
    dollars = read * INPUT_USD_PER_MILLION + written * OUTPUT_USD_PER_MILLION
    return Books(
        records=sum(answered.values()) + failed + refused,
        cached=cached,
        failed=failed,
        others=refused,
        holds=0,
        input_tokens=read,
        output_tokens=written,
        cost_pico=dollars * _PICO_PER_TOKEN,
    )


def found(query: Query, *, without: str = "") -> Books:
    """What the ledger says, apart from the calls for the model `without`."""
    columns = f"COUNT(*), {_HITS}, {_FAILED}, {_OTHERS}, {_TOTALS}"
    row = query(f"SELECT {columns} FROM usage_usagerecord WHERE requested_model <> '{without}'")
    records, cached, failed, others, *totals = (int(each) for each in row)
    (holds,) = query("SELECT COUNT(*) FROM usage_hold")
    return Books(records, cached, failed, others, int(holds), *totals)


def _served(scenario: Scenario) -> str:
    return FAST if scenario.fails_over else scenario.model


def _count(condition: str) -> str:
    return f"COALESCE(SUM(CASE WHEN {condition} THEN 1 ELSE 0 END), 0)"


_IS_HIT = "status = 'cached'"
_IS_FAILED = "(status = 'error' AND NOT is_final AND evidence = 'none')"
_IS_ANSWER = "(status = 'ok' AND evidence = 'reported')"
_HITS, _FAILED = _count(_IS_HIT), _count(_IS_FAILED)
_OTHERS = _count(f"NOT ({_IS_HIT} OR {_IS_FAILED} OR {_IS_ANSWER})")
_TOTALS = "COALESCE(SUM(input_tokens), 0), COALESCE(SUM(output_tokens), 0), COALESCE(SUM(cost_pico), 0)"
