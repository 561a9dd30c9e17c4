"""The pages on which people manage providers, models, prices and routes."""

from providers.admin import deployment, exchange, price, provider, repricing, route

__all__ = ["deployment", "exchange", "price", "provider", "repricing", "route"]
