"""`python -m tests.prepare`: set a new installation up for tests, and print its secrets as JSON.

A process of its own, because the product's settings are those of its environment. Takes `UPSTREAM_URL`, the address
of the scripted provider.
"""

from __future__ import annotations

import json
import os
import sys
from decimal import Decimal
from typing import Any

import django

CAST = ("alice", "bob", "charlie")
# One fault is one failure, and none of them shuts a provider out that later tests need.
_PATIENT: Any = {"retry_attempts": 1, "failure_threshold": 10_000}


def main() -> None:
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0, interactive=False)
    call_command("collectstatic", verbosity=0, interactive=False)
    json.dump(_set_up(os.environ["UPSTREAM_URL"]), sys.stdout)


def _set_up(upstream_url: str) -> dict[str, object]:
    from django.utils import timezone

    from accounts.models import ApiKey, Client
    from aiplatform import bootstrap

    now = timezone.now()
    made = bootstrap.bootstrap(now=now, demo=True, providers=[])
    _add_upstreams(upstream_url)
    client = Client.objects.get(name=bootstrap.FIRST_CLIENT)
    _, manage_key = ApiKey.mint(client=client, name="manage", scope=ApiKey.Scope.MANAGE)
    keys = {name: ApiKey.mint(client=Client.objects.create(name=name), name="tests")[1] for name in CAST}
    return {"admin_password": made.admin_password, "key": made.key, "manage_key": manage_key, "keys": keys}


def _add_upstreams(url: str) -> None:
    """`up-chat`, `up-unpriced` and `up-embed` in OpenAI's dialect, `up-claude` in Anthropic's."""
    from django.utils import timezone

    from core.vault import Secret
    from providers.models import Deployment, Route
    from providers.operations import DEFAULT_ROUTE, ModelSpec, Rates, add_provider

    rates = Rates(input_per_million=Decimal("2.50"), output_per_million=Decimal(10))
    models = [
        ModelSpec(name="up-chat", rates=rates),
        ModelSpec(name="up-unpriced"),
        ModelSpec(name="up-embed", type=Deployment.Type.EMBEDDING, rates=rates),
    ]
    add_provider(
        name="Upstream",
        slug="upstream",
        kind="custom",
        base_url=f"{url}/v1",
        api_key=Secret("sk-canary-upstream-key"),
        models=models,
        now=timezone.now(),
        **_PATIENT,
    )
    add_provider(
        name="Upstream (Anthropic)",
        slug="upstream-anthropic",
        kind="anthropic",
        base_url=url,
        api_key=Secret("sk-canary-anthropic-key"),
        models=[ModelSpec(name="up-claude", rates=rates)],
        now=timezone.now(),
        **_PATIENT,
    )
    default = Route.objects.get(name=DEFAULT_ROUTE)  # tests that name no model mean the demo
    default.catch_all = False  # an unknown model is an error, as in an installation that has left the demo behind
    default.save()
    default.targets.all().delete()
    default.targets.create(deployment=Deployment.objects.get(name="demo"))


if __name__ == "__main__":
    main()
