"""`mintkey`, `addprovider` and `probeproviders`."""

from __future__ import annotations

import sys
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts import keys
from accounts.models import ApiKey, Client, Tier
from core.vault import Secret
from providers.models import Provider
from tests.admin.modelhost import ModelHost

pytestmark = pytest.mark.django_db
_PRICED = ("--input-price", "2.50", "--output-price", "10")


@pytest.fixture(autouse=True)
def no_web_process_to_wait_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiplatform.management.in_force.POLL_S", 0)


def _run(*words: str, **options: Any) -> str:
    out = StringIO()
    call_command(*words, stdout=out, **options)
    return out.getvalue()


def test_mintkey_prints_the_key_alone_when_asked_to_be_quiet() -> None:
    secret = _run("mintkey", "--client", "search", "--quiet").strip()

    key = ApiKey.objects.get(digest=keys.digest(secret))
    assert (key.client.name, key.scope, key.tier) == ("search", "call", None)


def test_mintkey_gives_a_known_client_another_key(cast: dict[str, Client]) -> None:
    tier = Tier.objects.create(name="small")

    _run("mintkey", "--client", "alice", "--scope", "manage", "--tier", "small")

    key = cast["alice"].keys.get()
    assert (key.scope, key.tier) == ("manage", tier)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--client", "Bad Name"), "lower-case"),
        (("--client", "search", "--tier", "gone"), "no tier 'gone'"),
    ],
)
def test_mintkey_says_what_is_wrong_and_makes_nothing(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        _run("mintkey", *words)

    assert not ApiKey.objects.exists()
    assert not Client.objects.exists()


def test_mintkey_refuses_an_inactive_client(cast: dict[str, Client]) -> None:
    Client.objects.filter(name="charlie").update(is_active=False)

    with pytest.raises(CommandError, match="inactive"):
        _run("mintkey", "--client", "charlie")


def test_addprovider_reads_the_key_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", StringIO("sk-canary-1234567890\n"))
    models = ["--model", "one", *_PRICED, "--model", "two", "--input-price", "0", "--output-price", "0.5"]

    said = _run("addprovider", "--name", "OpenAI (Europe)", "--kind", "openai", *models, "--api-key-stdin")

    provider = Provider.objects.get(slug="openai-europe")
    assert "sk-canary" not in said
    assert provider.credentials.get().reveal() == Secret("sk-canary-1234567890")
    prices = provider.deployments.values_list("name", "prices__input_per_million", "prices__output_per_million")
    assert sorted(prices) == [("one", 2.5, 10), ("two", 0, 0.5)]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--kind", "openai", "--model", "one", *_PRICED), "api_key"),
        (("--kind", "custom", "--model", "one", *_PRICED), "base_url"),
        (("--kind", "demo", "--model", "one", "--model", "two", *_PRICED), "Each --model needs"),
        (("--kind", "demo", "--model", "one", "--input-price", "a", "--output-price", "1"), "dollars per million"),
        (("--kind", "demo", "--model", "one", "--input-price", "-1", "--output-price", "1"), "input_per_million"),
        (("--kind", "spectral", "--model", "one", *_PRICED), "spectral"),
    ],
)
def test_addprovider_says_what_is_wrong_and_makes_nothing(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        _run("addprovider", "--name", "Any", *words)

    assert not Provider.objects.exists()


def test_probeproviders_says_how_each_is_doing() -> None:
    assert _run("probeproviders") == "No provider is active.\n"
    with ModelHost() as host:
        for name, address in (("up", host.url), ("down", "http://127.0.0.1:9/v1")):
            Provider.objects.create(name=name, slug=name, kind="custom", base_url=address)
        lines = _run("probeproviders").splitlines()
    assert [line.split(":")[0] for line in lines] == ["unhealthy  down", "healthy  up"]
    assert "Nothing answers at that address" in lines[0]
