"""What a call needs of the configuration, as one value that never changes."""

from __future__ import annotations

from uuid import UUID

import msgspec

from gateway.limits.definitions import UNLIMITED, CallerLimits
from gateway.limits.reading import Capacity, Keyless
from providers import allowed
from providers.specs import Topology
from usage.budgets import Budgets

_MOST_NARROWED = 1_000  # kept at a time: making one costs less than a millisecond

AllowedModels = tuple[tuple[str, ...], ...]  # lists of names, each of which a model must be in; none: every model


class Caller(msgspec.Struct, frozen=True, gc=False):
    """Whose call it is. `expires_at` is in Unix seconds. An administrator's session has neither client row nor key.

    `end_user` is who a token was given to: no call of it can name another.
    """

    client_id: UUID | None
    client: str
    key_id: UUID | None
    key_prefix: str
    scope: str
    expires_at: float | None
    limits: CallerLimits = UNLIMITED
    end_user: str = ""
    allowed: AllowedModels = ()


class Snapshot(msgspec.Struct, frozen=True):
    """`callers` are found by their key's digest. `narrowed` remembers what some callers may see."""

    revision: int
    callers: dict[str, Caller]
    topology: Topology
    budgets: Budgets
    capacity: Capacity = Capacity()
    keyless: Keyless = Keyless()
    narrowed: dict[AllowedModels, Topology] = {}

    def seen_by(self, caller: Caller) -> Topology:
        """What there is for `caller`: everything, or what its lists of models leave."""
        return self.within(caller.allowed)

    def within(self, lists: AllowedModels) -> Topology:
        """What `lists` leave."""
        if not lists:
            return self.topology
        found = self.narrowed.get(lists)
        if found is None:
            if len(self.narrowed) >= _MOST_NARROWED:
                self.narrowed.clear()
            found = self.narrowed[lists] = allowed.narrowed(self.topology, lists)
        return found
