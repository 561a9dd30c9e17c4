"""Fill an installation to a size: so many clients with a key each, models with prices, routes, budgets and limits.

`python benchmarks/filling.py --size 10000 --base-url http://127.0.0.1:9000/v1`, with the installation's environment.
It prints a key that nothing limits, that of the client in the middle, which has limits and a hard budget, and the
session of an administrator.
"""

# ruff: noqa: PLC0415 - Django is loaded first

from __future__ import annotations

import argparse
import os
import sys
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from accounts.models import Client
    from providers.models import Deployment, Provider

MODELS_A_PROVIDER = 50
TARGETS_A_ROUTE = 2
_PLENTY = 1_000_000_000
_CAP_PICO = 10**18  # a million dollars


def main() -> None:
    sys.path.append(str(Path(__file__).parent.parent))
    os.environ["DJANGO_SETTINGS_MODULE"] = "aiplatform.settings"
    import django

    django.setup()
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--size", type=int, required=True)
    options.add_argument("--base-url", required=True)
    asked = options.parse_args()

    from django.db import transaction

    with transaction.atomic():
        free, limited = _clients(asked.size)
        _routes(_priced(_deployments(_providers(asked.size, asked.base_url), asked.size)))
        session = _administrator()
    print(free, limited, session)


def middle(what: str, size: int) -> str:
    """The name of the one in the middle."""
    return _name(what, size // 2)


def _name(what: str, number: int) -> str:
    return f"{what}-{number:05d}"


def _clients(size: int) -> tuple[str, str]:
    """Each has a hard budget and a key with limits; one more client, `free`, has neither."""
    from accounts.models import Client
    from usage.models import Budget

    clients = [Client(name=_name("client", number)) for number in range(size)]
    Client.objects.bulk_create(clients, batch_size=1000)
    free = Client.objects.create(name="free")
    secrets = _keys([*clients, free])
    Budget.objects.bulk_create(
        [
            Budget(name=client.name, scope=Budget.Scope.CLIENT, subject=client.name, cap_pico=_CAP_PICO)
            for client in clients
        ],
        batch_size=1000,
    )
    return secrets[-1], secrets[size // 2]


def _keys(clients: list[Client]) -> list[str]:
    from accounts import keys
    from accounts.models import ApiKey

    secrets = [keys.new_secret() for _ in clients]
    rows: list[ApiKey] = []
    for client, secret in zip(clients, secrets, strict=True):
        row = ApiKey(client=client, name="benchmark", scope=ApiKey.Scope.MANAGE)
        if client.name != "free":
            row.requests_per_minute = row.tokens_per_hour = _PLENTY
        row.take(secret)
        rows.append(row)
    ApiKey.objects.bulk_create(rows, batch_size=1000)
    return secrets


def _providers(size: int, base_url: str) -> list[Provider]:
    from core.vault import Secret
    from providers.models import Credential, Provider

    number_of = max(size // MODELS_A_PROVIDER, 1)
    providers = [
        Provider(name=_name("Host", number), slug=_name("host", number), kind="custom", base_url=base_url)
        for number in range(number_of)
    ]
    Provider.objects.bulk_create(providers, batch_size=1000)
    keys = [Credential(provider=provider) for provider in providers]
    for key in keys:
        key.take(Secret("benchmark-benchmark"))
    Credential.objects.bulk_create(keys, batch_size=1000)
    return providers


def _deployments(providers: list[Provider], size: int) -> list[Deployment]:
    """Every other one has a limit; the upstream knows one model, which all of them are."""
    from providers.models import Deployment

    rows = [
        Deployment(
            provider=providers[number % len(providers)],
            name=_name("model", number),
            upstream_name="fast",
            requests_per_minute=_PLENTY if number % 2 else None,
            max_concurrent=1_000 if number % 2 else None,
        )
        for number in range(size)
    ]
    return Deployment.objects.bulk_create(rows, batch_size=1000)


def _priced(deployments: list[Deployment]) -> list[Deployment]:
    from providers.models import Price

    prices = [
        Price(deployment=deployment, input_per_million=Decimal(3), output_per_million=Decimal(15))
        for deployment in deployments
    ]
    Price.objects.bulk_create(prices, batch_size=1000)
    return deployments


def _routes(deployments: list[Deployment]) -> None:
    from providers.models import Route, RouteTarget

    routes = [Route(name=_name("route", number)) for number in range(len(deployments))]
    Route.objects.bulk_create(routes, batch_size=1000)
    targets = [
        RouteTarget(route=route, deployment=deployments[(number + step) % len(deployments)], priority=10 - step)
        for number, route in enumerate(routes)
        for step in range(TARGETS_A_ROUTE)
    ]
    RouteTarget.objects.bulk_create(targets, batch_size=1000)


def _administrator() -> str:
    """The session's key."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
    from django.contrib.auth.models import User
    from django.contrib.sessions.backends.db import SessionStore

    user = User.objects.create_superuser("scale", "", "scale")
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    assert session.session_key
    return session.session_key


if __name__ == "__main__":
    main()
