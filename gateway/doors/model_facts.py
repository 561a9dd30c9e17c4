"""`GET /api/v1/models` and `GET /v1/llm/models`: every model with its price, as specifications B and E list them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gateway.catalogue import Caller
from gateway.doors.telling import dollars, tell
from gateway.http import Exchange
from providers.specs import DeploymentSpec
from usage import pricing
from wire.neutral import Usage

if TYPE_CHECKING:
    from gateway.asgi import Door, Gateway


async def list_facts(gateway: Gateway, door: Door, exchange: Exchange, caller: Caller) -> None:
    """`{"models", "count"}`."""
    del door
    now = datetime.now(UTC)
    models = [facts(each, now) for each in gateway.pipeline.catalogue.current.seen_by(caller).deployments]
    await tell(exchange, {"models": models, "count": len(models)})


def facts(deployment: DeploymentSpec, now: datetime) -> dict[str, Any]:
    """`cost_per_1k_*` in US dollars by the price in force; null where there is none."""
    return {
        "id": deployment.name,
        "name": deployment.full_name,
        "provider": deployment.provider.slug,
        "type": deployment.type,
        "max_tokens": deployment.max_output_tokens or deployment.context_window,
        "context_window": deployment.context_window,
        "cost_per_1k_input": dollars(_cost_pico(deployment, Usage(input_tokens=1000), now)),
        "cost_per_1k_output": dollars(_cost_pico(deployment, Usage(output_tokens=1000), now)),
        "capabilities": deployment.capabilities,
    }


def _cost_pico(deployment: DeploymentSpec, usage: Usage, now: datetime) -> int | None:
    rates = pricing.in_force(deployment.prices, now)
    if rates is None:
        return None
    cost = pricing.cost(rates, usage)
    return cost.input_pico + cost.output_pico
