"""What was decided of a call, and what its caller is told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import msgspec

from gateway.http import Headers
from gateway.limits.definitions import WHOLE, Limit, LimitSet, Share
from wire.errors import ApiError, Code

CALLER_REFUSED, NO_CANDIDATE = -1, -2


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """`chosen` is the candidate that has room, or one of the two refusals above; then `refused_by` says by which limit.

    `states` are, for each limit of the caller and then of the candidate, what is used of it, this call included, and
    the milliseconds until some of that comes back. `now_ms` is when it was counted, of `share` of each limit.
    """

    chosen: int
    now_ms: int
    states: Sequence[int] = ()
    refused_by: Limit | None = None
    wait_ms: int = 0
    share: Share = WHOLE

    def refusal(self) -> ApiError | None:
        """None where the call may go on."""
        if self.refused_by is None:
            return None
        limit, wait_s = self.refused_by, math.ceil(self.wait_ms / 1000)
        reason = (
            f"The limit of {limit} for {limit.whose} is reached."
            if self.chosen == CALLER_REFUSED
            else f"No provider of this model may be called now: {limit.whose} is at its limit of {limit}."
        )
        return ApiError(Code.RATE_LIMITED, f"{reason} Try again in {wait_s} s.", retry_after_s=wait_s)


def headers(caller: LimitSet, verdict: Verdict) -> Headers:
    """`X-RateLimit-*` of the tightest of the caller's limits, and of the tightest of requests and of tokens.

    The last two are spelt as OpenAI spells them, whose clients read them. Resets say when some comes back.
    """
    states = verdict.states
    found: Headers = []
    for group in caller.told:
        told = group[0]
        for other in group[1:]:
            if states[2 * other.place] * told.most > states[2 * told.place] * other.most:
                told = other
        left, reset_s = told.most - states[2 * told.place], -(-states[2 * told.place + 1] // 1000)
        reset = _duration(reset_s) if told.is_openai else b"%d" % reset_s
        found += (told.limit, (told.remaining, b"%d" % left if left > 0 else b"0"), (told.reset, reset))
    return found


@lru_cache(4096)
def _duration(seconds: int) -> bytes:
    """`6m0s`, as OpenAI writes it."""
    minutes, seconds = divmod(seconds, 60)
    return b"%dm%ds" % (minutes, seconds) if minutes else b"%ds" % seconds
