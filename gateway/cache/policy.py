"""Which calls take part in the cache. Pure."""

from __future__ import annotations

from typing import Literal, cast, get_args

from wire.errors import invalid

Wish = Literal["on", "off", "refresh"]  # what X-Cache asks: take and keep, neither, keep alone
WISHES: tuple[str, ...] = get_args(Wish)


def read_header(value: str) -> Wish | None:
    """`X-Cache`; None where it is absent. Raises `ApiError` INVALID_REQUEST."""
    if not value:
        return None
    if value in WISHES:
        return cast("Wish", value)
    raise invalid(f"'X-Cache' must be one of {', '.join(WISHES)}.", param="X-Cache")


def wish(header: Wish | None, *, use_cache: bool | None, temperature: float | None) -> Wish:
    """The header decides, else the body's `use_cache`, else whether the model is asked for its likeliest answer."""
    if header is not None:
        return header
    if use_cache is None:
        use_cache = temperature == 0
    return "on" if use_cache else "off"
