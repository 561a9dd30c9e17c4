"""Which budgets a call counts in, and whether they have room for it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import msgspec

from core.money import MOST_PICO
from usage import periods
from usage.periods import Period


class BudgetSpec(msgspec.Struct, frozen=True, gc=False):
    """`subject` is a client's name, a key's id, an end user, `name=value` of a tag, a provider's slug, or ''."""

    id: UUID
    name: str
    scope: str
    subject: str
    cap_pico: int
    period: Period
    time_zone: str
    hard: bool


class Window(msgspec.Struct, frozen=True, gc=False):
    """One period of one budget. `id` follows from both, so that every process knows it without asking."""

    id: UUID
    budget_id: UUID
    name: str
    starts_at: datetime
    ends_at: datetime | None
    cap_pico: int
    hard: bool


class BudgetExceededError(Exception):
    """A hard budget has no room for the hold, in the window `window_id`."""

    def __init__(self, name: str, *, window_id: UUID, cap_pico: int, left_pico: int, wanted_pico: int) -> None:
        super().__init__(name)
        self.window_id = window_id
        self.name = name
        self.cap_pico = cap_pico
        self.left_pico = left_pico
        self.wanted_pico = wanted_pico


class Budgets:
    """The budgets of one snapshot, by what they are for. It remembers the windows of the running periods."""

    def __init__(self, specs: Iterable[BudgetSpec]) -> None:
        self._by_scope: dict[str, dict[str, list[BudgetSpec]]] = {}
        for spec in specs:
            self._by_scope.setdefault(spec.scope, {}).setdefault(spec.subject, []).append(spec)
        self._running: dict[UUID, Window] = {}

    def __bool__(self) -> bool:
        return bool(self._by_scope)

    def windows(
        self, *, client: str, key_id: UUID | None, end_user: str, tags: Mapping[str, str], provider: str, now: datetime
    ) -> tuple[Window, ...]:
        """The windows that a call counts in."""
        found: list[Window] = []
        for scope, by_subject in self._by_scope.items():
            match scope:
                case "all":
                    subjects = [""]
                case "client":
                    subjects = [client]
                case "key":
                    subjects = [str(key_id)]
                case "end_user":
                    subjects = [end_user]
                case "provider":
                    subjects = [provider]
                case _:
                    subjects = [f"{name}={value}" for name, value in tags.items()]
            found += [self._window(spec, now) for subject in subjects for spec in by_subject.get(subject, ())]
        return tuple(found)

    def _window(self, spec: BudgetSpec, now: datetime) -> Window:
        window = self._running.get(spec.id)
        if window is None or now < window.starts_at or (window.ends_at is not None and now >= window.ends_at):
            window = self._running[spec.id] = window_of(spec, now)
        return window


def window_of(spec: BudgetSpec, moment: datetime) -> Window:
    """The window of `spec` around `moment`."""
    zone = ZoneInfo(spec.time_zone)
    starts_at = periods.start_of(spec.period, moment, zone)
    return Window(
        id=uuid5(spec.id, f"{spec.period} {spec.time_zone} {starts_at.isoformat()}"),
        budget_id=spec.id,
        name=spec.name,
        starts_at=starts_at,
        ends_at=periods.end_of(spec.period, starts_at, zone),
        cap_pico=spec.cap_pico,
        hard=spec.hard,
    )


class Balance(msgspec.Struct):
    """A window's figures while a batch is decided. `cap_pico` includes a raise of this window."""

    id: UUID
    name: str
    cap_pico: int
    hard: bool
    held_pico: int
    settled_pico: int
    held_change: int = 0
    settled_change: int = 0
    overrun_change: int = 0

    @property
    def left_pico(self) -> int:
        return self.cap_pico - self.held_pico - self.held_change - self.settled_pico - self.settled_change

    def can_count(self, cost_pico: int) -> bool:
        """Whether the window's figures, of 64 bits, have room for it. No limit is as high."""
        return cost_pico <= 0 or self.settled_pico + self.settled_change + cost_pico <= MOST_PICO


def take(balances: Sequence[Balance], amount_pico: int, *, refusing: bool = True) -> None:
    """Hold `amount_pico` in all of `balances`, or in none. Raises `BudgetExceededError` for a hard one without room."""
    for balance in balances:
        if refusing and balance.hard and amount_pico > balance.left_pico:
            raise BudgetExceededError(
                balance.name,
                window_id=balance.id,
                cap_pico=balance.cap_pico,
                left_pico=max(balance.left_pico, 0),
                wanted_pico=amount_pico,
            )
    for balance in balances:
        balance.held_change += amount_pico
