"""How a provider is doing, from its last check and from live calls. Pure.

What live calls meet counts more than a check: a check asks for a list of models, calls ask for what matters. Where
there were too few of them of late, the check speaks; an old check says nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal

import msgspec

from core.display import ago

State = Literal["healthy", "degraded", "unhealthy", "unknown"]

STALE_AFTER = timedelta(minutes=5)  # checks run once a minute
LIVE_WINDOW = timedelta(minutes=5)
_FEWEST_CALLS = 5  # fewer say nothing
_DEGRADED_SHARE = 0.1
_DOWN_SHARE = 0.5


class Check(msgspec.Struct, frozen=True):
    """What the last check of a provider's model list found."""

    ok: bool
    detail: str
    checked_at: datetime


class Live(msgspec.Struct, frozen=True):
    """Of the calls sent to a provider within LIVE_WINDOW; the caller's own mistakes are no failures.

    `failed_at`: when the last of the failed ones ended.
    """

    sent: int
    failed: int
    failed_at: datetime | None = None


class Standing(msgspec.Struct, frozen=True):
    """`why` is a sentence for people. `is_stale`: the last check is older than it should be."""

    state: State
    why: str
    is_stale: bool = False


def standing(check: Check | None, live: Live | None, *, now: datetime) -> Standing:
    stale = check is not None and now - check.checked_at > STALE_AFTER
    if live is not None and live.sent >= _FEWEST_CALLS:
        return Standing(_by_calls(live), _told(live) + _checked_since(check, live), stale)
    if check is None:
        return Standing("unknown", "Not checked yet.")
    if stale:
        late = f"Last checked {ago(check.checked_at, now=now)}. Is the background worker running?"
        return Standing("unknown", late, is_stale=True)
    return Standing("healthy" if check.ok else "unhealthy", check.detail)


def _by_calls(live: Live) -> State:
    share = live.failed / live.sent
    if share >= _DOWN_SHARE:
        return "unhealthy"
    return "degraded" if share >= _DEGRADED_SHARE else "healthy"


def _told(live: Live) -> str:
    minutes = LIVE_WINDOW // timedelta(minutes=1)
    if not live.failed:
        return f"All {live.sent:,} calls of the last {minutes} minutes were answered."
    return f"{live.failed:,} of the {live.sent:,} calls of the last {minutes} minutes failed."


def _checked_since(check: Check | None, live: Live) -> str:
    """A provider that has just been mended is said to have failed, and to answer, in one breath."""
    if check is None or not check.ok or live.failed_at is None or check.checked_at <= live.failed_at:
        return ""
    return f" A check since the last of them: {check.detail}"
