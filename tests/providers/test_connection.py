"""What a connection test finds, against a real server that misbehaves in every way that people meet."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from core import blocking_http
from core.egress import USUAL_PORTS, Policy
from core.vault import Secret
from providers import connection
from providers.connection import Target, Trouble, check, target_of
from providers.listings import Listing
from providers.models import Credential, Deployment, Provider
from tests.admin.modelhost import ModelHost

KEY = "sk-canary-of-the-connection-test-5d5d"


@pytest.fixture
def host() -> Iterator[ModelHost]:
    with ModelHost() as running:
        yield running


def target(host: ModelHost, kind: str = "custom", *keys: str, models: tuple[str, ...] = ()) -> Target:
    address = host.url if kind in ("custom", "openai", "deepseek") else host.url.removesuffix("/v1")
    pairs = tuple((f"key {number}", Secret(key)) for number, key in enumerate(keys or (KEY,)))
    return Target(kind=kind, address=address, keys=pairs, models=models)


KINDS_WITH_LISTS = ["custom", "openai", "deepseek", "ollama", "anthropic", "google", "azure"]


@pytest.mark.parametrize("kind", KINDS_WITH_LISTS)
def test_each_kind_lists_models_with_its_own_sdk(host: ModelHost, kind: str) -> None:
    host.key = KEY
    finding = check(target(host, kind))
    names = [offer.name for offer in finding.offers]
    assert (finding.ok, names, finding.warnings) == (True, ["house-large", "house-small"], ())
    assert finding.latency_ms is not None
    assert "2 models offered" in finding.summary
    assert KEY not in repr(finding)


def test_the_demo_provider_answers_at_once() -> None:
    assert check(Target(kind="demo", address="")).ok


def test_a_provider_is_asked_with_its_keys_in_use_for_its_models_in_use(db: None, host: ModelHost) -> None:
    provider = Provider.objects.create(name="House", slug="house", kind="custom", base_url=host.url)
    for name, is_active in (("kept", True), ("gone", False)):
        Deployment.objects.create(provider=provider, name=name, is_active=is_active)
        credential = Credential(provider=provider, label=name, is_active=is_active)
        credential.take(Secret(f"{KEY}-{name}"))
        credential.save()

    asked = target_of(provider)

    assert asked == Target(kind="custom", address=host.url, keys=(("kept", Secret(f"{KEY}-kept")),), models=("kept",))


@pytest.mark.parametrize(("kind", "asked"), [("anthropic", "limit=1000"), ("google", "pageSize=1000")])
def test_a_page_of_the_list_is_asked_for_at_its_longest(host: ModelHost, kind: str, asked: str) -> None:
    assert check(target(host, kind)).ok
    assert [asked in path for path, _ in host.seen] == [True]


def test_the_organization_is_said(host: ModelHost) -> None:
    assert check(Target(kind="openai", address=host.url, organization="org-7", keys=(("main", Secret(KEY)),))).ok
    assert host.seen[0][1]["openai-organization"] == "org-7"


def test_no_key_is_sent_where_there_is_none(host: ModelHost) -> None:
    assert check(Target(kind="custom", address=host.url)).ok
    assert "authorization" not in host.seen[0][1]


@pytest.mark.parametrize("kind", KINDS_WITH_LISTS)
def test_nothing_of_our_own_environment_is_sent(host: ModelHost, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """The SDKs read it, wherever the provider is: what is meant for OpenAI's own API would go to any host."""
    for name in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_ADMIN_KEY", "ANTHROPIC_AUTH_TOKEN", "GOOGLE_API_KEY"):
        monkeypatch.setenv(name, "ours alone")
    for name in ("OPENAI_CUSTOM_HEADERS", "ANTHROPIC_CUSTOM_HEADERS"):
        monkeypatch.setenv(name, "x-gateway-key: ours alone")

    check(target(host, kind))

    assert host.seen
    assert "ours alone" not in repr(host.seen)


def test_a_kind_that_needs_a_key_says_so() -> None:
    assert check(Target(kind="openai", address="http://127.0.0.1:9")).trouble is Trouble.NO_KEY


@pytest.mark.parametrize("status", [401, 403])
def test_a_host_that_asks_for_a_key_where_none_is_stored_refuses_no_key(host: ModelHost, status: int) -> None:
    host.status = status
    finding = check(Target(kind="custom", address=host.url))
    told = "No key is stored for this provider, and it asks for one."
    assert (finding.trouble, finding.text) == (Trouble.KEY_WANTED, f"{told} (It answered with status {status}.)")


def test_an_unreadable_key_is_told() -> None:
    finding = check(Target(kind="openai", address="http://127.0.0.1:9", keys=(("main", None),)))
    assert finding.trouble is Trouble.UNREADABLE_KEY


@pytest.mark.parametrize(
    ("status", "trouble"),
    [
        (302, Trouble.NO_MODEL_LIST),
        (400, Trouble.REFUSED),
        (401, Trouble.KEY_REFUSED),
        (403, Trouble.NOT_ALLOWED),
        (404, Trouble.NO_MODEL_LIST),
        (405, Trouble.NO_MODEL_LIST),
        (408, Trouble.TOO_SLOW),
        (429, Trouble.TOO_MANY_CALLS),
        (500, Trouble.PROVIDER_FAILS),
        (529, Trouble.PROVIDER_FAILS),
    ],
)
@pytest.mark.parametrize("kind", ["custom", "anthropic", "google", "ollama", "azure"])
def test_statuses(host: ModelHost, kind: str, status: int, trouble: Trouble) -> None:
    host.status, host.body = status, "{}"
    finding = check(target(host, kind))
    assert (finding.ok, finding.trouble) == (False, trouble)
    assert len(host.seen) == 1  # neither retried nor redirected


NO_LISTS = ["<html>Welcome</html>", "[]", '{"data": 7}', '{"data": [7]}', "null", "", '"x"']


@pytest.mark.parametrize("body", [*NO_LISTS, "[" * 100_000, r'{"data": [{"id": "half \ud800"}]}'])
def test_what_is_no_model_list(host: ModelHost, body: str) -> None:
    host.body = body
    assert check(target(host)).trouble is Trouble.NOT_AN_API


def test_an_empty_list_is_a_list(host: ModelHost) -> None:
    host.body = '{"data": null}'
    assert check(target(host)).offers == ()


def test_an_address_that_does_not_exist() -> None:
    finding = check(Target(kind="custom", address="http://no-such-host.invalid/v1"))
    assert finding.trouble is Trouble.ADDRESS_NOT_FOUND


def test_a_port_where_nothing_listens() -> None:
    assert check(Target(kind="custom", address="http://127.0.0.1:9/v1")).trouble is Trouble.NOTHING_LISTENS


def test_plain_http_behind_an_https_address(host: ModelHost) -> None:
    address = host.url.replace("http://", "https://")
    assert check(Target(kind="custom", address=address)).trouble is Trouble.BAD_CERTIFICATE


@pytest.mark.parametrize("kind", KINDS_WITH_LISTS)
def test_an_address_that_settings_forbid_is_told_with_the_setting(host: ModelHost, settings: Any, kind: str) -> None:
    settings.EGRESS = Policy.parse(networks="none", ports=USUAL_PORTS)
    finding = check(target(host, kind))
    assert finding.trouble is Trouble.ADDRESS_NOT_ALLOWED
    assert "EGRESS_ALLOWED_NETWORKS" in finding.summary
    assert host.seen == []


@pytest.mark.parametrize("kind", KINDS_WITH_LISTS)
def test_the_time_is_the_requests_alone(host: ModelHost, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Importing an SDK takes a second and more, once: nobody should read that as the provider's."""
    load = Listing.load

    def slowly(listing: Listing) -> object:
        time.sleep(0.5)
        return load(listing)

    monkeypatch.setattr(Listing, "load", slowly)
    began = time.monotonic()
    finding = check(target(host, kind))
    taken_ms = (time.monotonic() - began) * 1000
    assert finding.latency_ms is not None
    assert 0 < finding.latency_ms <= taken_ms - 500


def test_an_answer_without_end_is_cut(host: ModelHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocking_http, "MAX_ANSWER_BYTES", 1000)
    host.models = ["x" * 100] * 100
    assert check(target(host)).trouble is Trouble.NOT_AN_API


def test_azure_lists_what_there_is_and_not_what_is_deployed(host: ModelHost) -> None:
    assert check(target(host, "azure", models=("our-own-deployment",))).warnings == ()


def test_an_address_that_is_none() -> None:
    for address in ("http://[broken/v1", "http://host:port/v1", "ftp://example.com/v1", "nonsense"):
        assert check(Target(kind="custom", address=address)).trouble is Trouble.BAD_ADDRESS


def test_silence_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        finding = check(Target(kind="custom", address=f"http://127.0.0.1:{silent.getsockname()[1]}/v1"))
    assert finding.trouble is Trouble.TOO_SLOW


def test_one_good_key_of_several_is_enough_and_the_others_are_named(host: ModelHost) -> None:
    host.key = KEY
    finding = check(target(host, "custom", "sk-revoked-since-a-while", KEY))
    assert finding.ok
    assert finding.warnings == (f"Key “key 0”: {Trouble.KEY_REFUSED.value}",)


def test_of_many_keys_the_first_are_tried_each_for_a_trouble_of_its_own(host: ModelHost) -> None:
    host.status = 429
    assert check(target(host, "custom", *[KEY] * 7)).trouble is Trouble.TOO_MANY_CALLS
    assert len(host.seen) == connection.MAX_KEYS == 5


def test_a_trouble_that_every_key_would_meet_is_met_once(host: ModelHost) -> None:
    host.status, host.body = 500, "{}"
    assert check(target(host, "custom", KEY, "sk-another-key-of-the-same", "sk-a-third-one-of-them")).trouble
    assert len(host.seen) == 1


def test_models_that_are_not_offered_are_named(host: ModelHost) -> None:
    host.models = ["llama3:latest"]
    finding = check(target(host, "ollama", models=("llama3", "b", "c")))
    assert finding.warnings == ("Not offered there: b, c.",)
    assert "1 model offered" in finding.summary


def test_five_models_that_are_not_offered_are_named_and_the_rest_are_counted(host: ModelHost) -> None:
    told = [check(target(host, models=tuple("abcdefg"[:count]))).warnings for count in (5, 7)]
    assert told == [("Not offered there: a, b, c, d, e.",), ("Not offered there: a, b, c, d, e and 2 more.",)]
