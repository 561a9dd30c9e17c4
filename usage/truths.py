"""The truth about a call that comes after the sweeper's guess: booked as two adjustments, once.

One takes back all that the books said of the call (the guess and its re-pricings) under the guess's own status and
evidence, the other says the truth under its own: so the dollars of each evidence come out right. The truth is priced by
what was in force at its hold; a re-pricing of the guess is undone by it, and may be made again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

import msgspec

from usage import repricing, rows, sql
from usage.models import UsageRecord
from usage.rows import COSTS, TOKENS, RecordRow
from usage.transactions import Cursor
from usage.windows import Held, ids_in

_REASON = "How the call ended came to light after it had been taken for lost."


class Corrections(msgspec.Struct, frozen=True):
    """`bounds`: of each truth's row what the books had said before."""

    records: list[RecordRow]
    bounds: dict[UUID, Held]


def adjustment_id(record_id: UUID) -> UUID:
    """The id of the row that says the truth: of the same millisecond, and always the same."""
    return UUID(int=record_id.int ^ 1)


def reversal_id(record_id: UUID) -> UUID:
    """The id of the row that takes the guess back."""
    return UUID(int=record_id.int ^ 2)


def lock(cursor: Cursor, guesses: Iterable[UUID]) -> None:
    """Until the end of the transaction nobody else corrects these rows: before what has corrected them is read."""
    condition, keys = sql.among(guesses)
    if keys:
        statement = f"SELECT id FROM usage_usagerecord WHERE id {condition} ORDER BY id"  # noqa: S608 - our own words
        cursor.rows(statement + sql.for_update(), keys)


def corrections(cursor: Cursor, late: Mapping[UUID, RecordRow], known: Mapping[UUID, UsageRecord]) -> Corrections:
    """For those of `late` of which the sweeper's guess is in the books, and no truth yet."""
    guessed = {
        key: truth
        for key, truth in late.items()
        if key in known and known[key].status == UsageRecord.Status.INTERRUPTED and adjustment_id(key) not in known
    }
    found = Corrections([], {})
    if not guessed:
        return found
    lock(cursor, guessed)
    adjustments: dict[UUID, list[RecordRow]] = {key: [] for key in guessed}
    for row in UsageRecord.objects.filter(adjusts_id__in=list(guessed)).order_by("id"):
        assert row.adjusts_id is not None
        adjustments[row.adjusts_id].append(rows.record_row(row))
    for key, truth in guessed.items():
        _correct(found, truth, repricing.standing(rows.record_row(known[key]), adjustments[key]))
    return found


def _correct(found: Corrections, truth: RecordRow, standing: RecordRow) -> None:
    told = msgspec.structs.replace(
        truth,
        id=adjustment_id(truth.id),
        kind="adjustment",
        adjusts_id=truth.id,
        reason=_REASON,
        is_final=False,
    )
    found.records.extend((_reversal(standing, truth), told))
    found.bounds[told.id] = Held(standing.cost_pico or 0, ids_in(truth.windows))


def _reversal(standing: RecordRow, truth: RecordRow) -> RecordRow:
    """A cost stands where the truth knows none: a person has said it since."""
    costs = _negated(standing, COSTS) if truth.cost_pico is not None else dict.fromkeys(COSTS)
    return msgspec.structs.replace(
        standing,
        id=reversal_id(standing.id),
        kind="adjustment",
        adjusts_id=standing.id,
        reason=_REASON,
        is_final=False,
        prices_unknown=standing.cost_pico is None and truth.cost_pico is not None,
        **({name: -getattr(standing, name) for name in TOKENS} | costs),
        latency_ms=None,
        first_token_ms=None,
        overhead_ms=None,
        ended_at=truth.ended_at,
    )


def _negated(row: RecordRow, names: Sequence[str]) -> dict[str, int | None]:
    amounts = {name: getattr(row, name) for name in names}
    return {name: None if amount is None else -amount for name, amount in amounts.items()}
