"""Routes that lead nowhere are found in time that grows with the routes, and not with routes times models."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from providers.models import Deployment, Provider, Route, RouteTarget

pytestmark = [pytest.mark.django_db, pytest.mark.only_on("sqlite")]


def add(count: int) -> None:
    """Models and routes, each route to one model."""
    provider = Provider.objects.get_or_create(name="Own", slug="own", kind="demo")[0]
    first = Route.objects.count()
    names = [f"{first + number}" for number in range(count)]
    models = Deployment.objects.bulk_create([Deployment(provider=provider, name=f"model-{name}") for name in names])
    routes = Route.objects.bulk_create([Route(name=f"route-{name}") for name in names])
    RouteTarget.objects.bulk_create(
        [RouteTarget(route=route, deployment=model) for route, model in zip(routes, models, strict=True)]
    )


def steps() -> int:
    """Of SQLite's machine (sqlite3_progress_handler), in hundreds."""
    taken = 0

    def count() -> int:
        nonlocal taken
        taken += 1
        return 0

    database: Any = connection.connection
    database.set_progress_handler(count, 100)
    assert not Route.objects.dead_ends().exists()
    database.set_progress_handler(None, 0)
    return taken


def test_four_times_as_many_cost_four_times_as_much() -> None:
    add(250)
    few = steps()
    add(750)

    assert steps() < 6 * few
