"""Tools that run at the provider: refused by name at every door, also where the body would pass through.

They search, fetch and compute in rounds of their own, and are charged by the search or by what they bring in. No hold
could bound that, so no budget would hold. Tools whose calls come back to the caller are the caller's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from wire.body import Fields, Reader
from wire.errors import ApiError, unsupported


class _Tool(msgspec.Struct):
    type: str | None = None


_NOTHING = (b"null", b"[]")
_TOOLS = Reader[list[_Tool]](list[_Tool] | None)


def refuse_hosted(fields: Fields, *, is_callers: Callable[[str], bool]) -> None:
    """Where tools tell their kind by `type`. One without a type is the caller's own."""
    if "tools" not in fields:
        return
    for index, tool in enumerate(_TOOLS.read(fields, "tools") or ()):
        if tool.type is not None and not is_callers(tool.type):
            raise hosted(f"tools[{index}].type", f"'{tool.type}'")


def refuse_unbounded(fields: Fields, reasons: Mapping[str, str]) -> None:
    """Fields that ask for what no hold could bound, whatever they hold; `reasons` say why, by name."""
    for name, reason in reasons.items():
        if name in fields and bytes(fields[name]) not in _NOTHING:
            raise unsupported(name, reason)


def hosted(field: str, what: str) -> ApiError:
    return unsupported(field, f"{what} runs at the provider: its cost cannot be bounded.")
