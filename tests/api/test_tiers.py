"""Tiers and limits, as administrators and the management API set them, and as calls will meet them."""

from __future__ import annotations

import pytest
from rest_framework.test import APIClient

from accounts.models import ApiKey, Client, EndpointLimit, Tier
from accounts.tiers import make_first_tiers, save_tier
from gateway.limits import reading
from gateway.loading.deployments import Deployments
from gateway.loading.pace import Pace
from providers.models import Deployment, Provider

pytestmark = pytest.mark.django_db
URL = "/api/accounts/tiers"
AT_GENERATE = {"endpoint": "/v1/llm/generate", "requestsPerMinute": 10}


def limits_of(key: ApiKey, endpoint: str = "/v1/chat/completions") -> dict[str, int]:
    found = reading.of_key(key, reading.tiers()).at(endpoint, "openai.chat").limits
    return {f"{limit.whose}: {limit}".partition(": ")[2]: limit.most for limit in found}


def capacity() -> reading.Capacity:
    found = Deployments()
    found.refresh(Pace(is_hurried=True))
    return found.capacity


def key_in(tier: Tier | None, **client: int) -> ApiKey:
    return ApiKey.mint(client=Client.objects.create(name="shop", **client), tier=tier)[0]


def test_the_first_tiers_are_made_once_and_then_left_alone() -> None:
    make_first_tiers()
    Tier.objects.get(name="basic").delete()
    Tier.objects.filter(name="premium").update(requests_per_hour=5)

    make_first_tiers()

    assert set(Tier.objects.values_list("name", "requests_per_hour")) == {("premium", 5), ("standard", 100)}
    assert EndpointLimit.objects.count() == 6


def test_a_tier_is_made_with_its_endpoints_and_these_are_replaced_together(api: APIClient) -> None:
    body = {"name": "gold", "tokensPerHour": 5000, "endpoints": [AT_GENERATE]}
    made = api.post(URL, body, format="json").json()
    assert (made["tokensPerHour"], made["requestsPerHour"]) == (5000, None)
    assert made["endpoints"] == [
        {**AT_GENERATE, "requestsPerHour": None, "tokensPerMinute": None, "tokensPerHour": None}
    ]

    kept = api.patch(f"{URL}/{made['id']}", {"requestsPerHour": 7}, format="json").json()
    assert [each["endpoint"] for each in kept["endpoints"]] == ["/v1/llm/generate"]

    emptied = api.patch(f"{URL}/{made['id']}", {"endpoints": []}, format="json").json()
    assert (emptied["endpoints"], emptied["requestsPerHour"]) == ([], 7)


def test_two_who_change_different_fields_of_a_tier_at_once_lose_nothing() -> None:
    Tier.objects.create(name="gold")
    first, second = Tier.objects.get(), Tier.objects.get()

    save_tier(first, requests_per_hour=7)
    save_tier(second, tokens_per_hour=9)

    assert Tier.objects.values_list("requests_per_hour", "tokens_per_hour").get() == (7, 9)


@pytest.mark.parametrize(
    "endpoints",
    [
        [AT_GENERATE, AT_GENERATE],
        [{"endpoint": "two words"}],
        [{"endpoint": "/v1/chat/completion", "requestsPerMinute": 1}],
        [{"endpoint": "/v1/chat", "requestsPerMinute": 1}],
        [{"endpoint": "openai", "requestsPerMinute": 1}],
        [{"endpoint": "/v1/models", "requestsPerMinute": 1}],
        [{"endpoint": "/v1beta/models/", "requestsPerMinute": 1}],
        [{"endpoint": "/v1beta/models/gemini 3", "requestsPerMinute": 1}],
        [{"endpoint": "/v1beta/models/gemini\u200b", "requestsPerMinute": 1}],
        [{**AT_GENERATE, "requestsPerMinute": 0}],
        [{**AT_GENERATE, "perDay": 1}],
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_kept(api: APIClient, endpoints: object) -> None:
    answer = api.post(URL, {"name": "gold", "endpoints": endpoints}, format="json")
    assert answer.status_code == 400
    assert not Tier.objects.filter(name="gold").exists()


@pytest.mark.parametrize(
    "endpoint",
    [
        *("/v1/chat/completions", "/v1/llm/generate/", "/v1beta/models/gemini-3:generateContent", "/ws/complete"),
        *("/api/v1/providers/openai/completion", "/v1/vector/collections/docs", "openai.chat", "spec_c.grpc"),
    ],
)
def test_what_is_counted_by_that_name_can_be_limited(api: APIClient, endpoint: str) -> None:
    body = {"name": "gold", "endpoints": [{"endpoint": endpoint, "requestsPerMinute": 1}]}
    assert api.post(URL, body, format="json").status_code == 201


def test_who_names_no_endpoint_hears_what_there_is(api: APIClient) -> None:
    answer = api.post(URL, {"name": "gold", "endpoints": [{"endpoint": "/v1/chat"}]}, format="json").json()
    assert "anthropic.messages" in str(answer["fields"]["endpoints"])


def test_clients_keys_and_models_carry_limits_too(api: APIClient) -> None:
    client = api.post("/api/accounts/clients", {"name": "shop", "tokensPerMinute": 9}, format="json").json()
    key = api.post("/api/accounts/keys", {"client": "shop", "requestsPerHour": 3}, format="json").json()
    provider = Provider.objects.create(name="Own", slug="own", kind="demo", tokens_per_hour=100)
    body = {"provider": "own", "name": "gpt", "maxConcurrent": 2, "requestsPerMinute": 8}
    model = api.post("/api/ai-providers/deployments", body, format="json").json()

    assert (client["tokensPerMinute"], key["requestsPerHour"], model["maxConcurrent"]) == (9, 3, 2)
    assert limits_of(ApiKey.objects.get(pk=key["id"])) == {"9 tokens a minute": 9, "3 calls an hour": 3}
    found = capacity()
    deployment = Deployment.objects.get(provider=provider)
    assert found.slots == {deployment.pk: 2}
    assert [limit.most for limit in found.limits[deployment.pk].limits] == [8, 100]


def test_what_nobody_limits_has_no_limits() -> None:
    Deployment.objects.create(provider=Provider.objects.create(name="Own", slug="own", kind="demo"), name="gpt")
    assert limits_of(key_in(None)) == {}
    assert capacity() == reading.Capacity()


def test_a_key_answers_to_its_client_its_tier_and_the_endpoint() -> None:
    make_first_tiers()
    key = key_in(Tier.objects.get(name="basic"), tokens_per_minute=500)
    everywhere = {"500 tokens a minute": 500, "10 calls an hour": 10}
    assert limits_of(key) == everywhere
    assert limits_of(key, "/v1/llm/generate") == {**everywhere, "10 calls a minute": 10}
