"""What the forms need of `providers.operations` beyond its whole-provider calls."""

from __future__ import annotations

from providers.operations import DEFAULT_ROUTE, join_default_route, set_price
from providers.operations import _free_slug as free_slug

__all__ = ["DEFAULT_ROUTE", "free_slug", "join_default_route", "set_price"]
