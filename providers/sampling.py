"""What a model's `defaults` may say: settings that adapters put into calls that are silent about them."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

import msgspec
from django.core.exceptions import ValidationError

_MAX_STOPS = 16
_Penalty = Annotated[float, msgspec.Meta(ge=-2, le=2)]


class Sampling(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Named and bounded as in `wire.neutral.ChatRequest` and specification D."""

    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, msgspec.Meta(ge=1)] | None = None
    frequency_penalty: _Penalty | None = None
    presence_penalty: _Penalty | None = None
    stop: Annotated[list[str], msgspec.Meta(max_length=_MAX_STOPS)] | None = None


def check(defaults: object) -> None:
    """Refuse what calls would fail of or never hear of, where it is written: older rows may hold it."""
    try:
        msgspec.convert(defaults, Sampling)
    except msgspec.ValidationError as error:
        raise ValidationError(f"{error}. Known: {', '.join(Sampling.__struct_fields__)}.") from error


def understood(defaults: object) -> dict[str, Any]:
    """Those of a row's `defaults` with which a call can be made; an older version may have stored others."""
    known: dict[str, Any] = {}
    for name, value in defaults.items() if isinstance(defaults, dict) else ():
        with suppress(ValidationError):
            check({name: value})
            known |= {} if value is None else {name: value}
    return known
