"""Whoever brings a token is bound as his client is, and as his tier is besides."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import jwt
import pytest

from accounts import tokens
from accounts.models import Client, Tier
from aiplatform.env import Tokens
from core.vault import Secret
from gateway import token_callers
from gateway.loading.callers import Callers
from gateway.loading.pace import Pace
from gateway.snapshot import Caller, Snapshot
from providers.specs import Topology
from usage.budgets import Budgets
from wire.errors import ApiError

pytestmark = pytest.mark.django_db
SIGNED_BY = "a secret that both have agreed on, and long enough"


@pytest.fixture(autouse=True)
def house(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two clients, of which one is limited, and a tier."""
    settings.TOKENS = Tokens(secret=Secret(SIGNED_BY), jwks_url="", audience="us", issuer="them")
    monkeypatch.setattr(tokens, "verifier", tokens.verifier.__wrapped__)
    Client.objects.create(name="alice", requests_per_minute=60, allowed_models="small\nlarge")
    Client.objects.create(name="bob")
    Tier.objects.create(name="gold", tokens_per_hour=900).endpoints.create(endpoint="openai.chat", requests_per_hour=9)


def _caller(**claims: Any) -> Caller:
    loaded = Callers()
    loaded.refresh(Pace(is_hurried=True))
    snapshot = Snapshot(
        revision=1,
        callers=loaded.by_digest,
        topology=Topology(names={}, deployments=(), routes=(), catch_all=None),
        budgets=Budgets(()),
        keyless=loaded.keyless,
    )
    said = {"client": "alice", "sub": "carol", "aud": "us", "iss": "them", "exp": time.time() + 600}
    return asyncio.run(token_callers.caller(snapshot, jwt.encode(said | claims, SIGNED_BY, algorithm="HS256")))


def _bounds(caller: Caller, surface: str) -> set[tuple[str, int]]:
    return {(limit.whose, limit.most) for limit in caller.limits.at("/v1/chat/completions", surface).limits}


OF_ALICE, OF_GOLD = ("the client alice", 60), ("the tier gold", 900)


@pytest.mark.parametrize(
    ("claims", "surface", "bounds"),
    [
        ({}, "openai.chat", {OF_ALICE}),
        ({"tier": "gold"}, "openai.embeddings", {OF_ALICE, OF_GOLD}),
        ({"tier": "gold"}, "openai.chat", {OF_ALICE, OF_GOLD, ("the tier gold at openai.chat", 9)}),
        ({"tier": "gold", "client": "bob"}, "openai.embeddings", {OF_GOLD}),
        ({"client": "bob"}, "openai.chat", set()),
    ],
)
def test_his_clients_limits_hold_and_his_tiers(
    claims: dict[str, str], surface: str, bounds: set[tuple[str, int]]
) -> None:
    assert _bounds(_caller(**claims), surface) == bounds


def test_each_end_user_of_each_client_is_counted_for_himself() -> None:
    them = [{"client": client, "sub": user} for client in ("alice", "bob") for user in ("carol", "dave")]

    counted = {
        limit.key
        for each in them
        for limit in _caller(tier="gold", **each).limits.everywhere.limits
        if limit.whose == "the tier gold"
    }

    assert len(counted) == len(them)


def test_his_clients_models_are_all_that_he_may_use() -> None:
    assert _caller().allowed == (("small", "large"),)
    assert _caller(client="bob").allowed == ()


def test_of_a_client_that_is_switched_off_nobody_calls() -> None:
    Client.objects.update(is_active=False)

    with pytest.raises(ApiError, match="There is no active client 'alice'"):
        _caller()
