"""The ledger's tables."""

from usage.models.books import Proof, Proving, Purge
from usage.models.budgets import Budget, BudgetWindow
from usage.models.calls import Hold, Lease, UsageRecord
from usage.models.idempotency import IdempotencyKey
from usage.models.repricing import Repricing
from usage.models.rollups import Day, KeyDay, Quarter, UserDay

__all__ = [
    "Budget",
    "BudgetWindow",
    "Day",
    "Hold",
    "IdempotencyKey",
    "KeyDay",
    "Lease",
    "Proof",
    "Proving",
    "Purge",
    "Quarter",
    "Repricing",
    "UsageRecord",
    "UserDay",
]
