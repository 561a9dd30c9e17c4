"""What a benchmark has found, as lines of a table: figures by subject, ratios, targets, and whether they are met."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class Crowd(msgspec.Struct, frozen=True, kw_only=True):
    """While 500 slow calls were under way: the threads of the serving process; and how many of them failed."""

    threads: int
    failed: int


class Life(msgspec.Struct, kw_only=True):
    """Seconds from a process's start to its first answered call, and its resident memory in 10^6 bytes.

    `usual_mb` is after so many `calls` of the usual kinds, `heavy_mb` after the heavy ones too. `crowds` by scenario.
    """

    start_up_s: float = 0.0
    idle_mb: float = 0.0
    usual_mb: float = 0.0
    heavy_mb: float = 0.0
    calls: int = 0
    crowds: dict[str, Crowd] = {}


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """`limits` by subject. `of_ratio`: they bound the ratio, not the figure. `at_least`: from below."""

    limits: Mapping[str, float]
    of_ratio: bool = False
    at_least: bool = False
    unit: str = ""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of each subject that has it. `against`: what its ratios are to, by subject.

    `needs`: the names of the scenarios that it comes from.
    """

    key: str
    title: str
    values: Mapping[str, float]
    against: Mapping[str, float] = {}
    target: Target | None = None
    needs: tuple[str, ...] = ()

    def ratio(self, subject: str) -> float | None:
        value, base = self.values.get(subject), self.against.get(subject)
        return value / base if value is not None and base else None

    def verdicts(self) -> dict[str, bool]:
        """Of the subjects that a target binds: whether it is met."""
        if self.target is None:
            return {}
        judged = {}
        for subject, limit in self.target.limits.items():
            figure = self.ratio(subject) if self.target.of_ratio else self.values.get(subject)
            if figure is not None:
                judged[subject] = figure >= limit if self.target.at_least else figure <= limit
        return judged
