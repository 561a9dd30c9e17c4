"""Every door x every kind of provider x every feature, at the real product: `make matrix` prints it."""

from __future__ import annotations

import sys

import pytest

from tests.matrix.cells import OK, Matrix
from tests.matrix.doors import Door
from tests.matrix.expected import CHAT_DOORS, EMBEDDING_DOORS, KINDS, REFUSED
from tests.matrix.table import Cells, drawn
from tests.matrix.wishes import CHAT, EMBEDDING, Feature


class Findings:
    """Each door is asked once, when somebody first wants to know."""

    def __init__(self, matrix: Matrix) -> None:
        self._matrix = matrix
        self._found: dict[str, Cells] = {}

    def of(self, door: Door) -> Cells:
        if door.name not in self._found:
            features = EMBEDDING if door in EMBEDDING_DOORS else CHAT
            self._found[door.name] = {
                ((door.name, kind), feature): self._matrix.cell(door, kind, feature)
                for kind in KINDS
                for feature in features
            }
        return self._found[door.name]


@pytest.fixture(scope="session")
def findings(matrix: Matrix) -> Findings:
    return Findings(matrix)


@pytest.mark.parametrize("door", [*CHAT_DOORS, *EMBEDDING_DOORS], ids=lambda door: door.name)
def test_a_door(findings: Findings, door: Door) -> None:
    wrong = {
        (kind, feature): (cell, expected)
        for ((_, kind), feature), cell in findings.of(door).items()
        if cell != (expected := _expected(door, kind, feature))
    }
    assert not wrong


def _expected(door: Door, kind: str, feature: Feature) -> str:
    if feature in door.lacks:
        return f"n/a: {door.lacks[feature]}"
    return REFUSED.get((door.name, kind, feature), OK)


@pytest.mark.parametrize(
    ("doors", "features"), [(CHAT_DOORS, CHAT), (EMBEDDING_DOORS, EMBEDDING)], ids=["chats", "embeddings"]
)
def test_no_cell_is_blank(findings: Findings, doors: list[Door], features: list[Feature]) -> None:
    cells = {key: cell for door in doors for key, cell in findings.of(door).items()}
    sys.stdout.write(f"\n\n{drawn(cells, features)}\n")

    assert len(cells) == len(doors) * len(KINDS) * len(features)
    assert all(cell.startswith((OK, "refused: ", "n/a: ")) for cell in cells.values())
