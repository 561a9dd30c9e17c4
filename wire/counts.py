"""Token counts as providers report them, and the size of what they said."""

from __future__ import annotations

from typing import Annotated

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0)] | None


def apart(total: int, *parts: int | None) -> list[int]:
    """The parts of a total, no token in two of them: where they exceed it they overlap, and the earlier one counts."""
    counted = []
    for part in parts:
        counted.append(min(part or 0, total))
        total -= counted[-1]
    return counted


def utf8_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
