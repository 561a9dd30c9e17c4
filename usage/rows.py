"""The ledger's rows in memory, their fields named as the columns of `usage.models`.

`tags` and `windows` are JSON; so is `routing` (`usage.routing`), where it is not empty.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

if TYPE_CHECKING:
    from usage.models import UsageRecord


class CallFacts(msgspec.Struct, frozen=True):
    """What is known before a dispatch. `usd_per_unit` converts the price where that is not in dollars."""

    id: UUID
    request_id: str
    client_id: UUID | None
    client: str
    key_id: UUID | None
    key_prefix: str
    end_user: str
    tags: str
    surface: str
    stream: bool
    requested_model: str
    provider_id: UUID | None
    provider: str
    deployment_id: UUID | None
    deployment: str
    credential: str
    attempt: int
    price_id: UUID | None
    started_at: datetime
    usd_per_unit: Decimal | None = None
    windows: str = "[]"
    routing: str = ""


class HoldRow(CallFacts, frozen=True, kw_only=True):
    """`amount_pico`, an upper bound of the cost, is None where the model has no price.

    `claim_id` is that of the call's idempotency key; the ledger sets it.
    """

    amount_pico: int | None
    input_tokens: int
    output_tokens: int
    lease_id: UUID
    deadline_at: datetime
    claim_id: UUID | None = None


class RecordRow(CallFacts, frozen=True, kw_only=True):
    """`reason` and `author` say why and by whom an adjustment was made.

    `prices_unknown`: an adjustment, and the first that gives a cost to a row that had none. `saved_pico`: what an
    answer from the cache once cost.
    """

    kind: str = "call"
    adjusts_id: UUID | None = None
    reason: str = ""
    author: str = ""
    prices_unknown: bool = False
    is_final: bool = True
    status: str
    error_code: str = ""
    error_detail: str = ""
    finish_reason: str = ""
    served_model: str = ""
    evidence: str
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    audio_input_tokens: int = 0
    image_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    audio_output_tokens: int = 0
    image_output_tokens: int = 0
    usage_payload: str = ""
    cost_pico: int | None = None
    input_cost_pico: int | None = None
    output_cost_pico: int | None = None
    request_cost_pico: int | None = None
    saved_pico: int | None = None
    latency_ms: float | None = None
    first_token_ms: float | None = None
    overhead_ms: float | None = None
    ended_at: datetime


JSON_COLUMNS = ("tags", "windows")
FACTS = CallFacts.__struct_fields__
_FACTS = len(FACTS)
TOKENS = tuple(name for name in RecordRow.__struct_fields__ if name.endswith("_tokens"))
COSTS = tuple(name for name in RecordRow.__struct_fields__ if name.endswith("cost_pico"))


def facts_of(row: CallFacts) -> tuple[Any, ...]:
    """The values of `CallFacts`: a hold and its record have the same."""
    values: tuple[Any, ...] = msgspec.structs.astuple(row)
    return values[:_FACTS]


def record_row(row: UsageRecord) -> RecordRow:
    """A row of the table, in memory."""
    values = {name: getattr(row, name) for name in RecordRow.__struct_fields__}
    return RecordRow(**values | {name: msgspec.json.encode(values[name]).decode() for name in JSON_COLUMNS})
