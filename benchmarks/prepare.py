"""`python -m benchmarks.prepare`: set a new installation up for measurement, and print who may call it as JSON.

A process of its own, because the product's settings are those of its environment. Takes `UPSTREAM`, the provider's
address, and `NOBODY`, one where nobody listens.
"""

# ruff: noqa: PLC0415 - models can be imported once Django is there

from __future__ import annotations

import os
import secrets
import sys
from datetime import timedelta
from decimal import Decimal
from importlib import import_module
from typing import Any

import django
import msgspec

from benchmarks import answers
from benchmarks.calls import BUDGETED_USER, Identity
from benchmarks.scenarios import ANSWERS_500, REFUSES
from core.money import PICO_PER_USD

# A provider that always fails, and yet is always asked first: its circuit opens after 32,767 failures in a row.
_PATIENT: Any = {"retry_attempts": 1, "failure_threshold": 32_767, "monitoring_period_ms": 1_000}

# Limits of calls and of tokens hold for every call of the key, a hard budget for one end user's. None is ever reached.
_PLENTY, _PLENTY_PICO = 2_000_000_000, 1_000_000 * PICO_PER_USD


def main() -> None:
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0, interactive=False)
    call_command("collectstatic", verbosity=0, interactive=False)
    sys.stdout.write(msgspec.json.encode(_set_up(os.environ["UPSTREAM"], os.environ["NOBODY"])).decode())


def _set_up(upstream: str, nobody: str) -> Identity:
    from django.contrib.auth.models import User
    from django.utils import timezone

    from accounts.models import ApiKey, Client
    from aiplatform import bootstrap
    from usage.models import Budget

    bootstrap.bootstrap(now=timezone.now(), demo=True, providers=[])
    usual = (answers.FAST, answers.PACED, answers.LONG, answers.LARGE, answers.SLOW, answers.WRONG, answers.EMBED)
    _add("openai", "custom", f"{upstream}/v1", *usual)
    _add("anthropic", "anthropic", upstream, answers.CLAUDE, answers.CLAUDE_PACED)
    _add("broken", "custom", f"{upstream}/v1", answers.BROKEN)
    _add("nobody", "custom", f"{nobody}/v1", "unheard")
    _route(ANSWERS_500, answers.BROKEN)
    _route(REFUSES, "unheard")
    client = Client.objects.create(name="benchmark")
    row, key = ApiKey.mint(client=client, name="benchmark")
    row.requests_per_minute = row.tokens_per_minute = _PLENTY
    row.save()
    of_user = {"scope": Budget.Scope.END_USER, "subject": BUDGETED_USER}
    Budget.objects.create(name="benchmark", cap_pico=_PLENTY_PICO, **of_user)
    return Identity(key=key, session=_session(User.objects.get(is_superuser=True)), csrf=secrets.token_hex(16))


def _add(slug: str, kind: str, address: str, *models: str) -> None:
    from django.utils import timezone

    from core.vault import Secret
    from providers.models import Deployment
    from providers.operations import ModelSpec, Rates, add_provider

    rates = Rates(
        input_per_million=Decimal(answers.INPUT_USD_PER_MILLION),
        output_per_million=Decimal(answers.OUTPUT_USD_PER_MILLION),
    )
    types = {answers.EMBED: Deployment.Type.EMBEDDING}
    add_provider(
        name=f"Benchmark ({slug})",
        slug=f"benchmark-{slug}",
        kind=kind,
        base_url=address,
        api_key=Secret("sk-of-no-use"),
        models=[ModelSpec(name=model, type=types.get(model, Deployment.Type.CHAT), rates=rates) for model in models],
        now=timezone.now(),
        **_PATIENT,
    )


def _route(name: str, first: str) -> None:
    from providers.models import Deployment, Route

    route = Route.objects.create(name=name)
    for model, priority in ((first, 20), (answers.FAST, 10)):
        route.targets.create(deployment=Deployment.objects.get(name=model), priority=priority)


def _session(user: Any) -> str:
    """The key of a browser session in which `user` is signed in."""
    from django.conf import settings
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY

    session = import_module(settings.SESSION_ENGINE).SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.set_expiry(timedelta(days=1))
    session.create()
    return str(session.session_key)


if __name__ == "__main__":
    main()
