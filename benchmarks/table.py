"""The figures as one table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.figures import Row, Target
from benchmarks.stage import FLOOR

_TITLE_CHARS, _VALUE_CHARS, _RATIO_CHARS, _TARGET_CHARS = 60, 12, 8, 12


def table(rows: Sequence[Row], subjects: Sequence[str]) -> str:
    """A column for each subject and, but for the floor, one for its ratio; then the target, and whether it is met."""
    head = f"{'':{_TITLE_CHARS}}" + "".join(_heading(subject) for subject in subjects) + f"  {'target':{_TARGET_CHARS}}"
    lines = [head.rstrip(), "-" * (len(head) + 8)]
    for row in rows:
        cells = "".join(_cells(row, subject) for subject in subjects)
        target = told(row.target) if row.target else ""
        lines.append(f"{row.title:{_TITLE_CHARS}}{cells}  {target:{_TARGET_CHARS}} {verdict(row)}".rstrip())
    return "\n".join(lines)


def markdown(rows: Sequence[Row], subjects: Sequence[str]) -> str:
    """The same for a page of the documentation: a figure and its ratio in one cell."""
    lines = [f"| | {' | '.join(subjects)} | target | |", "|---|" + "---|" * (len(subjects) + 2)]
    for row in rows:
        cells = " | ".join(_cell(row, subject) for subject in subjects)
        title = row.title.replace("  ", "&emsp;")
        lines.append(f"| {title} | {cells} | {told(row.target) if row.target else ''} | {verdict(row)} |")
    return "\n".join(lines)


def told(target: Target) -> str:
    """`<= 2.0 x, 2.2 x`: of the products, in their order, where they differ."""
    unit = "x" if target.of_ratio else target.unit
    limits = list(dict.fromkeys(target.limits.values()))
    bounds = ", ".join(f"{limit:g} {unit}".strip() for limit in limits)
    return f"{'>=' if target.at_least else '<='} {bounds}"


def verdict(row: Row) -> str:
    judged = row.verdicts()
    if not judged:
        return ""
    if len(set(judged.values())) == 1:
        return _WORDS[next(iter(judged.values()))]
    return ", ".join(f"{subject} {_WORDS[is_met]}" for subject, is_met in judged.items())


_WORDS: Mapping[bool, str] = {True: "met", False: "MISSED"}


def _heading(subject: str) -> str:
    return f"{subject:>{_VALUE_CHARS}}" + ("" if subject == FLOOR else f"{'ratio':>{_RATIO_CHARS}}")


def _cells(row: Row, subject: str) -> str:
    value = row.values.get(subject)
    cell = f"{'' if value is None else number(value):>{_VALUE_CHARS}}"
    if subject == FLOOR:
        return cell
    ratio = row.ratio(subject)
    return cell + f"{'' if ratio is None else _ratio(ratio):>{_RATIO_CHARS}}"


def _cell(row: Row, subject: str) -> str:
    value, ratio = row.values.get(subject), row.ratio(subject)
    if value is None:
        return ""
    return number(value) if ratio is None or subject == FLOOR else f"{number(value)} ({_ratio(ratio)})"


def _ratio(ratio: float) -> str:
    return f"{ratio:.1f} x" if ratio >= 10 else f"{ratio:.2f} x"


def number(value: float) -> str:
    """In as many digits as are worth reading."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.3f}"
