"""Where calls can go: providers, their keys, the models deployed at them, what those cost, and named routes."""

from providers.models.prices import ExchangeRate, PerMillion, Price, PriceTier, not_dollars
from providers.models.provider import Credential, Deployment, Health, Provider, failures_by_default, open_ms_by_default
from providers.models.routes import Route, RouteTarget

__all__ = [
    "Credential",
    "Deployment",
    "ExchangeRate",
    "Health",
    "PerMillion",
    "Price",
    "PriceTier",
    "Provider",
    "Route",
    "RouteTarget",
    "failures_by_default",
    "not_dollars",
    "open_ms_by_default",
]
