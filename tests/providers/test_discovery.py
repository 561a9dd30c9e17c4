"""Finding a provider's models: what each kind's list says, what is proposed, and that only the chosen is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from core.vault import Secret
from providers import published
from providers.discovery import Verdict, adopt, discover
from providers.listings import Offer, listing_of, type_by_name
from providers.models import Deployment, Health, Price, Provider, Route
from providers.operations import ModelSpec, Rates, add_provider
from providers.published import Published
from tests.admin.modelhost import ModelHost

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.fixture
def host() -> Iterator[ModelHost]:
    with ModelHost() as running:
        yield running


def provider(host: ModelHost, kind: str = "custom", *models: ModelSpec) -> Provider:
    address = host.url if kind == "custom" else host.url.removesuffix("/v1")
    key = Secret("sk-canary-of-discovery")
    return add_provider(name="House", kind=kind, base_url=address, api_key=key, models=models, now=NOW)


# --- what the lists say -------------------------------------------------------------------------------------------


def read(kind: str, body: Any) -> Offer:
    [offer] = listing_of(kind).read(json.dumps(body).encode())
    return offer


def test_openais_list_has_names_alone() -> None:
    offer = read("openai", {"data": [{"id": "gpt-5.4-mini", "object": "model", "created": 1, "owned_by": "system"}]})
    assert offer == Offer(name="gpt-5.4-mini")


@pytest.mark.parametrize(
    "row",
    [
        {"id": "m", "max_model_len": 8192},  # vLLM
        {"id": "m", "context_window": 8192, "owned_by": "Meta"},  # Groq
        {"id": "m", "max_context_length": 8192},  # Mistral
        {"id": "m", "context_length": 8192},  # OpenRouter
    ],
)
def test_what_compatible_hosts_add_is_used(row: dict[str, Any]) -> None:
    assert read("custom", {"data": [row]}).context_window == 8192


@pytest.mark.parametrize("said", ["8192", 0, -1, True, 8192.5, None, [8192]])
def test_a_bound_that_is_no_count_is_passed_over(said: Any) -> None:
    row = {"id": "m", "context_window": said, "max_model_len": 7, "max_completion_tokens": said, "max_output_tokens": 3}
    offer = read("custom", {"data": [row]})
    assert (offer.context_window, offer.max_output_tokens) == (7, 3)


def test_a_host_may_say_that_a_model_embeds_and_when_it_ends() -> None:
    offer = read("custom", {"data": [{"id": "m", "type": "embedding", "shutdown_date": "2027-01-05"}]})
    assert offer == Offer(name="m", type="embedding", note="Ends on 2027-01-05.")


def test_what_models_can_do_is_read_where_hosts_say_it() -> None:
    mistral = {"id": "m", "capabilities": {"completion_chat": True, "function_calling": True, "vision": False}}
    assert read("custom", {"data": [mistral]}).capabilities == ("tools",)
    router = {"supported_parameters": ["tools", "seed"], "architecture": {"input_modalities": ["text", "image"]}}
    assert read("custom", {"data": [{"id": "m", **router}]}).capabilities == ("tools", "vision")


def test_anthropics_list() -> None:
    row = {
        "type": "model",
        "id": "claude-x",
        "display_name": "Claude X",
        "max_input_tokens": 200_000,
        "max_tokens": 64_000,
        "retires_at": "2027-01-05T00:00:00Z",
        "capabilities": {"image_input": {"supported": True}, "thinking": {"supported": False}},
    }
    assert read("anthropic", {"data": [row], "has_more": False}) == Offer(
        name="claude-x",
        context_window=200_000,
        max_output_tokens=64_000,
        capabilities=("tools", "vision"),
        note="Ends on 2027-01-05.",
    )


def test_googles_list() -> None:
    def row(name: str, *does: str) -> dict[str, Any]:
        limits = {"inputTokenLimit": 1_048_576, "outputTokenLimit": 65_536}
        return {"name": f"models/{name}", **limits, "supportedGenerationMethods": list(does)}

    rows = [
        row("gemini-x", "generateContent", "countTokens"),
        row("gemini-embedding-1", "embedContent"),
        row("veo-9", "predictLongRunning"),
        row("gemini-x-image", "generateContent"),
    ]
    rows[0]["thinking"] = True
    offers = listing_of("google").read(json.dumps({"models": rows}).encode())
    assert [offer.capabilities for offer in offers] == [("reasoning",), (), (), ()]
    assert [offer.type for offer in offers] == ["chat", "embedding", "other", "other"]
    assert (offers[0].context_window, offers[0].max_output_tokens) == (1_048_576, 65_536)


def test_ollamas_list() -> None:
    def row(name: str, *families: str) -> dict[str, Any]:
        return {"name": name, "model": name, "size": 1, "details": {"families": list(families)}}

    rows = [row("llama3.2:latest", "llama"), row("all-minilm:l6", "bert"), row("nomic-embed-text:latest", "nomic-bert")]
    offers = listing_of("ollama").read(json.dumps({"models": rows}).encode())
    assert [offer.type for offer in offers] == ["chat", "embedding", "embedding"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("gpt-5.4-mini", "chat"),
        ("o4-mini", "chat"),
        ("gpt-4o-mini-tts", "other"),
        ("text-embedding-3-small", "embedding"),
        ("BAAI/bge-m3", "embedding"),
        ("Snowflake/Arctic-Embed-L", "embedding"),
        ("omni-moderation-latest", "other"),
        ("gpt-image-2", "other"),
        ("llama-guard-4", "other"),
        ("mistral-ocr-latest", "other"),
        ("whisper-large-v3", "other"),
    ],
)
def test_a_bare_name_is_taken_for_what_it_says(name: str, kind: str) -> None:
    assert type_by_name(name) == kind


# --- what is proposed, and what is written ------------------------------------------------------------------------

pytestmark = pytest.mark.django_db
RATES = Rates(input_per_million=Decimal("0.5"), output_per_million=Decimal(2), source="genai-prices 0")


@pytest.fixture
def priced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package knows addresses of the real providers alone: here it knows one model of the house."""

    def find(*, address: str, model: str, now: datetime) -> Published | None:
        return Published("house/large", RATES) if model == "house-large" else None

    monkeypatch.setattr(published, "find", find)


def test_what_is_new_is_proposed_with_its_price_and_nothing_is_written(host: ModelHost, priced: None) -> None:
    house = provider(host, "custom", ModelSpec(name="kept", upstream_name="house-small"))
    host.models += ["house-voice-tts"]

    found = discover(house, now=NOW)

    assert {each.name: each.verdict for each in found.candidates} == {
        "house-large": Verdict.NEW,
        "house-small": Verdict.HERE,
        "house-voice-tts": Verdict.UNSUITABLE,
    }
    assert [each.rates for each in found.new] == [RATES]
    assert (found.gone, house.deployments.count(), Price.objects.count()) == ((), 1, 0)
    assert Health.objects.get().status == "healthy"  # asking has told us that much


def test_the_chosen_are_set_up_priced_and_reachable(host: ModelHost, priced: None) -> None:
    route = Route.objects.create(name="default")
    house = provider(host)

    added = adopt(house, ["house-large", "house-small"], now=NOW)

    assert sorted(each.name for each in added) == ["house-large", "house-small"]
    price = Price.objects.get()
    assert (price.deployment.name, price.output_per_million, price.source) == ("house-large", 2, "genai-prices 0")
    assert [target.deployment.name for target in route.targets.all()] == ["house-large"]  # the priced one alone
    assert discover(house, now=NOW).new == []


def test_what_is_not_offered_is_refused_by_name_and_nothing_is_added(host: ModelHost) -> None:
    house = provider(host, "custom", ModelSpec(name="house-small"))
    for names in (["house-large", "made-up"], ["house-small"]):
        with pytest.raises(ValidationError, match=names[-1]):
            adopt(house, names, now=NOW)
    assert house.deployments.count() == 1


def test_models_that_are_offered_no_more_are_told(host: ModelHost) -> None:
    house = provider(host, "custom", ModelSpec(name="house-small"), ModelSpec(name="last-years"))
    assert [each.name for each in discover(house, now=NOW).gone] == ["last-years"]


def test_a_model_out_of_use_is_taken_up_again_as_it_was(host: ModelHost) -> None:
    house = provider(host, "custom", ModelSpec(name="house-small", defaults={"temperature": 0.2}, context_window=77))
    Deployment.objects.update(is_active=False)
    [added] = adopt(house, ["house-small"], now=NOW)
    assert (added.is_active, added.defaults, added.context_window) == (True, {"temperature": 0.2}, 77)


def test_a_name_that_stands_for_another_model_here_is_not_touched(host: ModelHost) -> None:
    house = provider(host, "custom", ModelSpec(name="house-large", upstream_name="house-small"))
    assert {each.verdict for each in discover(house, now=NOW).candidates} == {Verdict.HERE}


def test_models_of_ones_own_machine_cost_nothing(host: ModelHost) -> None:
    [first, _] = discover(provider(host, "ollama"), now=NOW).new
    assert first.rates is not None
    assert first.rates.input_per_million == first.rates.output_per_million == 0


def test_a_provider_that_cannot_be_asked_says_why(host: ModelHost) -> None:
    host.status = 401
    house = provider(host)
    found = discover(house, now=NOW)
    assert (found.ok, found.candidates) == (False, ())
    assert "refused the key" in found.summary
    with pytest.raises(ValidationError, match="refused the key"):
        adopt(house, ["house-large"], now=NOW)


def test_the_real_price_list_is_asked(host: ModelHost) -> None:
    found = published.find(address="https://api.anthropic.com", model="claude-haiku-4-5", now=NOW)
    assert found is not None
    assert found.rates.source.startswith("genai-prices")
