"""Whose key or token the management API takes, and for how long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import jwt
import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import keys, tokens
from accounts import verifier as accounts_verifier
from accounts.models import ApiKey, Client
from accounts.tokens import TokenError
from accounts.verifier import Verifier
from aiplatform.env import Tokens
from core.vault import Secret

SIGNED_BY = "a secret that both have agreed on, and long enough"
CLIENTS = "/api/accounts/clients"


@pytest.fixture
def signer(settings: Any) -> Iterator[None]:
    """Tokens are in use."""
    settings.TOKENS = Tokens(secret=Secret(SIGNED_BY), jwks_url="", audience="us", issuer="them")
    tokens.verifier.cache_clear()
    yield
    tokens.verifier.cache_clear()


def _token(**claims: Any) -> str:
    said = {"client": "alice", "aud": "us", "iss": "them", "exp": time.time() + 600}
    return jwt.encode(said | claims, SIGNED_BY, algorithm="HS256")


def _asked(secret: str) -> int:
    return APIClient(headers={"Authorization": f"Bearer {secret}"}).get(CLIENTS).status_code


@pytest.mark.parametrize(
    ("scope", "understood"),
    [
        *[(scope, "manage") for scope in ("manage", "call manage", "openid manage email")],
        *[(scope, "call") for scope in (None, "", "call", "unmanaged", "manage-nothing", "Manage", ["manage"])],
    ],
)
def test_a_token_manages_where_that_is_one_of_its_scopes(scope: Any, understood: str) -> None:
    verifier = Verifier(secret=Secret(SIGNED_BY), jwks_url="", audience="us", issuer="them")

    assert verifier.verify(_token(scope=scope)).scope == understood


@pytest.mark.parametrize(("late_s", "is_taken"), [(5, True), (15, False)])
def test_clocks_may_differ_by_seconds_and_no_more(late_s: int, *, is_taken: bool) -> None:
    verifier = Verifier(secret=Secret(SIGNED_BY), jwks_url="", audience="us", issuer="them")
    token = _token(exp=time.time() - late_s)

    if is_taken:
        assert verifier.verify(token).client == "alice"
        return
    with pytest.raises(TokenError, match="it has expired"):
        verifier.verify(token)


def test_of_tokens_so_many_are_remembered_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts_verifier, "_VERIFIED", 2)
    verifier = Verifier(secret=Secret(SIGNED_BY), jwks_url="", audience="us", issuer="them")
    shown = [_token(sub=str(number)) for number in range(5)]

    for token in shown:
        verifier.verify(token)

    remembered = [token for token in shown if verifier.known(token, now=time.time())]
    assert (len(remembered) <= 2, remembered[-1:]) == (True, shown[-1:])


@pytest.mark.django_db
@pytest.mark.usefixtures("signer")
def test_a_token_manages_no_longer_than_its_client_is_active() -> None:
    client = Client.objects.create(name="alice")
    token = _token(scope="manage")
    before = _asked(token)

    client.is_active = False
    client.save()

    assert (before, _asked(token), _asked(_token(scope="manage", sub="another"))) == (200, 401, 401)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("rows", "change", "status"),
    [
        (ApiKey, {}, 200),
        (ApiKey, {"is_active": False}, 401),
        (ApiKey, {"expires_at": timezone.now() - timedelta(seconds=1)}, 401),
        (ApiKey, {"expires_at": timezone.now() + timedelta(days=1)}, 200),
        (ApiKey, {"scope": "call"}, 403),
        (Client, {"is_active": False}, 401),
    ],
)
def test_a_key_manages_as_long_as_it_may_be_used(rows: Any, change: dict[str, Any], status: int) -> None:
    _, secret = ApiKey.mint(client=Client.objects.create(name="alice"), scope="manage")
    if change:
        rows.objects.update(**change)

    assert _asked(secret) == status


@pytest.mark.django_db
def test_that_a_key_was_used_is_said_of_that_key_alone() -> None:
    client = Client.objects.create(name="alice")
    used, secret = ApiKey.mint(client=client, scope="manage")
    other, _ = ApiKey.mint(client=client, scope="manage")

    assert _asked(secret) == 200

    assert list(ApiKey.objects.filter(last_used_at__isnull=False)) == [used]
    assert list(ApiKey.objects.filter(last_used_at=None)) == [other]


@pytest.mark.parametrize(
    ("authorization", "x_api_key", "x_goog_api_key", "found"),
    [
        ("Bearer one", "two", "three", "one"),
        ("bearer  one ", "", "", "one"),
        ("Basic cHJveHk6aXRz", "two", "three", "two"),
        ("Basic cHJveHk6aXRz", "", "three", "three"),
        ("Basic cHJveHk6aXRz", "", "", ""),
        ("", " two ", "three", "two"),
        ("", "", " three ", "three"),
    ],
)
def test_a_key_is_found_beside_a_proxys_own_sign_in(
    authorization: str, x_api_key: str, x_goog_api_key: str, found: str
) -> None:
    assert keys.presented(authorization, x_api_key, x_goog_api_key) == found
