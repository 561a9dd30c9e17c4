"""Why a call goes to this provider, for its usage row."""

from __future__ import annotations

import functools

from gateway.plans import Plan
from providers.errors import ProviderFailureError
from providers.resilience.tour import Go, Tour
from usage import routing
from usage.routing import Trace


def trace(plans: list[Plan], tour: Tour, go: Go) -> str:
    """JSON (`usage.routing.Trace`); made once where there is nothing to tell."""
    plan = plans[go.place]
    if len(plans) == 1 and not tour.failures and not tour.waited_s:
        return _ordinary(plan.why, plan.route, 1, 1)
    if not (tour.skipped or tour.failures or tour.waited_s):
        return _ordinary(plan.why, plan.route, go.place + 1, len(plans))
    told = Trace(
        why=plan.why,
        route=plan.route,
        place=go.place + 1,
        of=len(plans),
        skipped={plans[place].deployment.full_name: why for place, why in tour.skipped.items()},
        failed=[(plans[place].deployment.full_name, _what(failure)) for place, failure in tour.failures],
        waited_ms=round(tour.waited_s * 1000),
    )
    return routing.encode(told).decode()


@functools.lru_cache(maxsize=4_096)
def _ordinary(why: str, route: str, place: int, of: int) -> str:
    return routing.encode(Trace(why=why, route=route, place=place, of=of)).decode()


def _what(failure: ProviderFailureError) -> str:
    return f"{failure.code} {failure.status}" if failure.status is not None else failure.code
