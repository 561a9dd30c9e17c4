"""The tables, as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.matrix.wishes import Feature

Row = tuple[str, str]
Cells = Mapping[tuple[Row, Feature], str]


def drawn(cells: Cells, features: Sequence[Feature]) -> str:
    """A line a door and kind, a column a feature."""
    rows = list(dict.fromkeys(row for row, _ in cells))
    head = ["door", "kind", *features]
    body = [[*row, *(_short(cells.get((row, feature), "")) for feature in features)] for row in rows]
    widths = [max(len(line[at]) for line in [head, *body]) for at in range(len(head))]
    ruled = ["-" * width for width in widths]
    return "\n".join(" | ".join(map(str.ljust, line, widths)).rstrip() for line in [head, ruled, *body])


def _short(cell: str) -> str:
    """Why a door has no such feature stands in docs/dialects.md."""
    return "n/a" if cell.startswith("n/a: ") else cell
