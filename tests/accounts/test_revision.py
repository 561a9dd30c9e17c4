"""Every change of the configuration moves the catalogue's revision, in its own transaction."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import transaction
from django.utils import timezone

from accounts import revision
from accounts.models import ApiKey, Client
from providers.models import Deployment, Price, Provider, Route, RouteTarget

pytestmark = pytest.mark.django_db


def test_every_way_of_changing_it_is_seen() -> None:
    seen = [revision.current()]

    def moved() -> bool:
        seen.append(revision.current())
        return seen[-1] > seen[-2]

    provider = Provider.objects.create(name="One", slug="one", kind="demo")
    assert moved()
    deployment = Deployment.objects.create(provider=provider, name="m")
    assert moved()
    Price.objects.create(deployment=deployment, input_per_million=Decimal(1), output_per_million=Decimal(1))
    assert moved()
    route = Route.objects.create(name="r")
    RouteTarget.objects.create(route=route, deployment=deployment)
    assert moved()
    Provider.objects.update(is_active=False)
    assert moved()
    Provider.objects.bulk_update([provider], ["priority"])
    assert moved()
    route.delete()
    assert moved()
    client = Client.objects.create(name="alice")
    ApiKey.mint(client=client)
    assert moved()


def test_using_a_key_is_no_change() -> None:
    key, _ = ApiKey.mint(client=Client.objects.create(name="alice"))
    before = revision.current()
    ApiKey.objects.filter(pk=key.pk).update(last_used_at=timezone.now())
    assert revision.current() == before


def test_a_change_that_is_rolled_back_never_was() -> None:
    before = revision.current()
    with transaction.atomic():
        Client.objects.create(name="alice")
        transaction.set_rollback(True)
    assert revision.current() == before
