"""docs/dialects.md, read: its tables by their headings."""

from __future__ import annotations

import re
from pathlib import Path

from tests import environment

PAGE = Path(environment.ROOT) / "docs" / "dialects.md"
_NAME = re.compile(r"`([^`]+)`")

Line = dict[str, str]


def table(heading: str, nth: int = 0) -> list[Line]:
    """The rows of the `nth` table under `## heading`, by the names of their columns."""
    section = PAGE.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    assert section, f"docs/dialects.md has no section '{heading}'"
    blocks = [block for block in section.split("\n\n") if block.lstrip().startswith("|")]
    head, _, *rows = [_cells(line) for line in blocks[nth].strip().splitlines()]
    return [dict(zip(head, row, strict=True)) for row in rows]


def names(cell: str) -> list[str]:
    """What stands between backticks."""
    return _NAME.findall(cell)


def name(cell: str) -> str:
    (only,) = names(cell)
    return only


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
