"""A provider's life through specification D's flat body."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from core.vault import Secret
from providers.models import Credential, Deployment, Health, Price, Provider, Route, RouteTarget
from tests.admin.modelhost import ModelHost
from tests.api.conftest import GPT4, NewRecord
from usage.models import UsageRecord

URL = "/api/ai-providers"


def test_registering_makes_provider_key_model_and_price(api: APIClient, gpt4: dict[str, Any]) -> None:
    provider = Provider.objects.get(pk=gpt4["id"])
    credential = provider.credentials.get()
    deployment = provider.deployments.get()
    price = deployment.prices.get()

    assert (provider.name, provider.slug, provider.kind) == ("OpenAI GPT-4", "openai-gpt-4", "openai")
    assert (provider.priority, provider.is_active) == (10, True)
    assert credential.reveal().reveal() == GPT4["apiKey"]
    assert (deployment.name, deployment.max_output_tokens) == ("gpt-4", 2000)
    assert deployment.defaults == {"temperature": 0.7}
    assert (price.input_per_million, price.output_per_million, price.currency) == (Decimal(30), Decimal(60), "USD")


def test_what_was_registered_reads_back_as_it_was_sent(api: APIClient, gpt4: dict[str, Any]) -> None:
    read = api.get(f"{URL}/{gpt4['id']}").json()
    listed = api.get(URL).json()["results"]

    sent = {key: value for key, value in GPT4.items() if key != "apiKey"}
    assert {key: read[key] for key in sent} == sent
    assert listed == [read]
    assert read["retryAttempts"] == 3
    assert (read["retryDelay"], read["failureThreshold"], read["successThreshold"]) == (1000, 5, 2)
    assert (read["circuitTimeout"], read["monitoringPeriod"]) == (60_000, 120_000)
    assert read["rateLimit"] is None


def test_a_longer_list_costs_no_more_queries(
    api: APIClient, gpt4: dict[str, Any], django_assert_num_queries: Any
) -> None:
    for number in range(3):
        api.post(URL, GPT4 | {"name": f"Another {number}"}, format="json")

    with django_assert_num_queries(5):  # the caller's key, providers, credentials, deployments, prices
        rows = api.get(URL).json()["results"]

    assert len(rows) == 4


def test_the_key_is_never_shown(api: APIClient, gpt4: dict[str, Any]) -> None:
    texts = [api.get(f"{URL}/{gpt4['id']}").content, api.get(URL).content, api.get(f"{URL}/credentials").content]

    assert "apiKey" not in gpt4
    assert gpt4["apiKeyHint"] == "••••cdef"
    assert not any(b"1234567890" in text for text in texts)


def test_every_setting_is_kept(api: APIClient) -> None:
    body = GPT4 | {
        "type": "CUSTOM",
        "endpoint": "https://llm.example.com/v1",
        "topP": 0.9,
        "topK": 40,
        "frequencyPenalty": -1.5,
        "presencePenalty": 2,
        "stopSequences": ["\n\n", "END"],
        "timeout": 30_000,
        "retryAttempts": 5,
        "retryDelay": 250,
        "rateLimit": {
            "requestsPerMinute": 60,
            "tokensPerMinute": 90_000,
            "requestsPerHour": 600,
            "tokensPerHour": 900_000,
        },
        "failureThreshold": 3,
        "successThreshold": 1,
        "circuitTimeout": 5_000,
        "monitoringPeriod": 10_000,
    }

    answer = api.post(URL, body, format="json")

    assert answer.status_code == 201, answer.content
    read = answer.json()
    assert {key: read[key] for key in body if key != "apiKey"} == {k: v for k, v in body.items() if k != "apiKey"}
    assert Deployment.objects.get().defaults == {
        "temperature": 0.7,
        "top_p": 0.9,
        "top_k": 40,
        "frequency_penalty": -1.5,
        "presence_penalty": 2,
        "stop": ["\n\n", "END"],
    }


@pytest.mark.parametrize(
    ("per_1k", "per_million"),
    [
        (0.03, "30"),
        (0.0000025, "0.0025"),
        ("0.0000025", "0.0025"),
        ("0.0000000000001", "0.0000000001"),
        (0.1, "100"),
        (0, "0"),
        ("12.0000000000001", "12000.0000000001"),
    ],
)
def test_prices_per_1k_are_stored_exactly(api: APIClient, per_1k: Any, per_million: str) -> None:
    pricing = {"inputTokenCost": per_1k, "outputTokenCost": per_1k}

    answer = api.post(URL, GPT4 | {"pricing": pricing}, format="json")

    assert answer.status_code == 201, answer.content
    assert Price.objects.get().input_per_million == Decimal(per_million)
    assert answer.json()["pricing"]["inputTokenCost"] == float(per_1k)


@pytest.mark.parametrize("cost", ["0.00000000000001", "1234567.0000000001"])
def test_a_finer_price_than_every_database_keeps_is_refused(api: APIClient, cost: str) -> None:
    pricing = {"inputTokenCost": cost, "outputTokenCost": 1}

    answer = api.post(URL, GPT4 | {"pricing": pricing}, format="json")

    assert answer.status_code == 400
    assert list(answer.json()["fields"]["pricing"]) == ["inputTokenCost"]


def test_a_changed_price_is_a_new_row_and_the_same_price_is_not(api: APIClient, gpt4: dict[str, Any]) -> None:
    dearer = GPT4 | {"pricing": {"inputTokenCost": 0.04, "outputTokenCost": 0.06}}

    same = api.put(f"{URL}/{gpt4['id']}", GPT4, format="json")
    rows_after_same = Price.objects.count()
    changed = api.put(f"{URL}/{gpt4['id']}", dearer, format="json")

    assert (same.status_code, rows_after_same) == (200, 1)
    assert changed.json()["pricing"]["inputTokenCost"] == 0.04
    history = api.get(f"{URL}/prices?deployment=openai-gpt-4/gpt-4&ordering=validFrom").json()["results"]
    assert [row["inputPerMillion"] for row in history] == ["30.0000000000", "40.0000000000"]


def test_put_replaces_settings_and_keeps_key_and_price(api: APIClient, gpt4: dict[str, Any]) -> None:
    api.patch(f"{URL}/{gpt4['id']}", {"timeout": 5000, "rateLimit": {"requestsPerMinute": 7}}, format="json")
    body = {"name": "Ours", "type": "OPENAI", "model": "gpt-4"}

    answer = api.put(f"{URL}/{gpt4['id']}", body, format="json")

    read = answer.json()
    assert answer.status_code == 200, answer.content
    assert (read["name"], read["temperature"], read["maxTokens"], read["timeout"]) == ("Ours", None, None, 600_000)
    assert read["rateLimit"] is None
    assert read["apiKeyHint"] == "••••cdef"
    assert read["pricing"]["inputTokenCost"] == 0.03


def test_what_is_read_can_be_put_back(api: APIClient, gpt4: dict[str, Any]) -> None:
    answer = api.put(f"{URL}/{gpt4['id']}", gpt4, format="json")

    assert answer.status_code == 200, answer.content
    assert answer.json() == gpt4
    assert Price.objects.count() == 1


def test_patch_changes_only_what_it_names(api: APIClient, gpt4: dict[str, Any]) -> None:
    gpt4 = api.patch(f"{URL}/{gpt4['id']}", {"rateLimit": {"requestsPerHour": 8}}, format="json").json()
    changes = {"temperature": 0.1, "pricing": {"outputTokenCost": 0.07}, "rateLimit": {"tokensPerMinute": 9}}

    answer = api.patch(f"{URL}/{gpt4['id']}", changes, format="json")

    assert answer.status_code == 200, answer.content
    expected = gpt4 | {
        "temperature": 0.1,
        "pricing": {"inputTokenCost": 0.03, "outputTokenCost": 0.07, "currency": "USD"},
        "rateLimit": {"requestsPerMinute": None, "tokensPerMinute": 9, "requestsPerHour": 8, "tokensPerHour": None},
    }
    assert answer.json() == expected
    unlimited = api.patch(f"{URL}/{gpt4['id']}", {"rateLimit": None}, format="json")
    assert unlimited.json() == expected | {"rateLimit": None}


@pytest.mark.parametrize("method", ["patch", "put"])
def test_what_the_flat_body_has_no_words_for_stays(api: APIClient, gpt4: dict[str, Any], method: str) -> None:
    further = {"context_window": 8192, "upstream_name": "gpt-4-0613", "capabilities": ["tools"]}
    Deployment.objects.update(**further)
    tier = {"aboveTokens": 9, "inputPerMillion": 1, "outputPerMillion": 2}
    body = {"deployment": "openai-gpt-4/gpt-4", "inputPerMillion": 30, "outputPerMillion": 60, "tiers": [tier]}
    api.post("/api/ai-providers/prices", body | {"cachedInputPerMillion": 3, "perRequest": 1}, format="json")

    pricing = {"inputTokenCost": 0.04, "outputTokenCost": 0.06, "currency": "EUR"}
    answer = getattr(api, method)(f"{URL}/{gpt4['id']}", GPT4 | {"maxTokens": 7, "pricing": pricing}, format="json")

    assert (answer.status_code, answer.json()["pricing"], answer.json()["maxTokens"]) == (200, pricing, 7)
    assert Deployment.objects.values(*further).get() == further
    price = Price.objects.latest("valid_from")
    assert (price.input_per_million, price.cached_input_per_million, price.per_request) == (40, 3, 1)
    assert [step.above_tokens for step in price.tiers.all()] == [9]


def test_an_endpoint_is_taken_back_by_null(api: APIClient, gpt4: dict[str, Any]) -> None:
    url = f"{URL}/{gpt4['id']}"
    api.patch(url, {"endpoint": "https://proxy.example.com/v1"}, format="json")

    assert api.patch(url, {"endpoint": None}, format="json").json() == gpt4


def test_of_several_keys_the_main_one_is_told(api: APIClient, gpt4: dict[str, Any]) -> None:
    url, main = f"{URL}/{gpt4['id']}", Credential.objects.get()
    other = Credential(provider=main.provider, label="older", created_at=main.created_at - timedelta(days=1))
    other.take(Secret("sk-of-the-other-key"))
    other.save()
    told = [api.get(url).json()["apiKeyHint"]]
    Credential.objects.filter(pk=main.pk).update(is_active=False)
    told.append(api.get(url).json()["apiKeyHint"])

    assert told == ["••••cdef", "••••-key"]
    api.patch(url, {"apiKey": "sk-the-main-key-again"}, format="json")
    assert api.get(url).json()["apiKeyHint"] == "••••gain"


def test_patch_with_a_new_key_replaces_the_key(api: APIClient, gpt4: dict[str, Any]) -> None:
    answer = api.patch(f"{URL}/{gpt4['id']}", {"apiKey": "sk-another-key-of-theirs"}, format="json")

    assert answer.json()["apiKeyHint"] == "••••eirs"
    assert Credential.objects.get().reveal().reveal() == "sk-another-key-of-theirs"


def test_another_model_takes_the_place_on_routes_and_not_the_price(api: APIClient, gpt4: dict[str, Any]) -> None:
    old = Deployment.objects.get()
    RouteTarget.objects.create(route=Route.objects.create(name="smart"), deployment=old)

    answer = api.patch(f"{URL}/{gpt4['id']}", {"model": "gpt-4o"}, format="json")

    read = answer.json()
    assert (read["model"], read["pricing"], read["temperature"], read["maxTokens"]) == ("gpt-4o", None, 0.7, 2000)
    assert RouteTarget.objects.get(route__name="smart").deployment.name == "gpt-4o"
    assert Deployment.objects.get(name="gpt-4").is_active is False
    back = api.patch(f"{URL}/{gpt4['id']}", {"model": "gpt-4"}, format="json").json()
    assert back["pricing"]["inputTokenCost"] == 0.03


def test_another_model_is_the_main_one_whatever_else_is_in_use(api: APIClient, gpt4: dict[str, Any]) -> None:
    provider = Provider.objects.get()
    for name in ("gpt-4-mini", "gpt-4-nano"):
        Deployment.objects.create(provider=provider, name=name)
    url = f"{URL}/{gpt4['id']}"

    for model in ("gpt-5", "gpt-4-nano", "gpt-5"):
        told = [api.put(url, GPT4 | {"model": model}, format="json").json() for _ in range(2)]
        assert [each["model"] for each in (*told, api.get(url).json())] == [model] * 3

    in_use = Deployment.objects.filter(is_active=True).values_list("name", flat=True)
    assert sorted(in_use) == ["gpt-4-mini", "gpt-5"]


def test_a_model_that_is_used_again_is_not_the_main_one(api: APIClient, gpt4: dict[str, Any]) -> None:
    """Else the next PUT of the same body would put it out of use."""
    url, body = f"{URL}/{gpt4['id']}", GPT4 | {"model": "gpt-4-mini"}
    api.put(url, GPT4 | {"model": "gpt-5"}, format="json")
    Deployment.objects.update(is_active=False)
    Deployment.objects.create(provider=Provider.objects.get(), name="gpt-4-mini")
    api.put(url, body, format="json")
    Deployment.objects.update(is_active=True)

    told = [api.put(url, body, format="json").json()["model"] for _ in range(2)]

    assert told == ["gpt-4-mini"] * 2
    assert not Deployment.objects.filter(is_active=False).exists()


def test_a_first_price_needs_both_rates(api: APIClient) -> None:
    made = api.post(URL, {k: v for k, v in GPT4.items() if k != "pricing"}, format="json").json()

    answer = api.patch(f"{URL}/{made['id']}", {"pricing": {"inputTokenCost": 1}}, format="json")

    assert made["pricing"] is None
    assert answer.status_code == 400
    assert "pricing" in answer.json()["fields"]


@pytest.mark.parametrize("method", ["patch", "put"])
def test_a_model_that_is_priced_later_joins_the_default_route(api: APIClient, method: str) -> None:
    route = Route.objects.create(name="default")
    made = api.post(URL, {k: v for k, v in GPT4.items() if k != "pricing"}, format="json").json()
    assert not route.targets.exists()

    assert getattr(api, method)(f"{URL}/{made['id']}", GPT4, format="json").status_code == 200
    assert [target.deployment.name for target in route.targets.all()] == ["gpt-4"]


def test_one_that_takes_the_place_of_an_unpriced_one_joins_too(api: APIClient) -> None:
    route = Route.objects.create(name="default")
    made = api.post(URL, {k: v for k, v in GPT4.items() if k != "pricing"}, format="json").json()

    api.patch(f"{URL}/{made['id']}", {"model": "gpt-5", "pricing": GPT4["pricing"]}, format="json")

    assert [target.deployment.name for target in route.targets.all()] == ["gpt-5"]


def test_a_price_cannot_be_taken_back(api: APIClient) -> None:
    made = api.post(URL, GPT4, format="json").json()

    for method in (api.patch, api.put):
        refused = method(f"{URL}/{made['id']}", GPT4 | {"pricing": None}, format="json")
        assert (refused.status_code, list(refused.json()["fields"])) == (400, ["pricing"])
    assert api.get(f"{URL}/{made['id']}").json()["pricing"] == made["pricing"]


def test_delete_deactivates(api: APIClient, gpt4: dict[str, Any]) -> None:
    answer = api.delete(f"{URL}/{gpt4['id']}")

    assert (answer.status_code, answer.content) == (204, b"")
    assert [row["isActive"] for row in api.get(URL).json()["results"]] == [False]
    assert api.get(URL, {"isActive": "true"}).json()["results"] == []
    assert Price.objects.count() == 1


def test_a_provider_without_a_key_or_price(api: APIClient) -> None:
    answer = api.post(URL, {"name": "Here", "type": "OLLAMA", "model": "llama3"}, format="json")

    assert answer.status_code == 201, answer.content
    assert (answer.json()["apiKeyHint"], answer.json()["pricing"], answer.json()["isActive"]) == (None, None, True)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": None}, "name"),
        ({"type": "openai!"}, "type"),
        ({"type": "CUSTOM"}, "endpoint"),
        ({"apiKey": ""}, "apiKey"),
        ({"apiKey": "with\nnewline"}, "apiKey"),
        ({"endpoint": "ftp:/nowhere"}, "endpoint"),
        ({"model": "a\0b"}, "model"),
        ({"maxTokens": 0}, "maxTokens"),
        ({"maxTokens": 10**30}, "maxTokens"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "nan"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"topP": -0.1}, "topP"),
        ({"stopSequences": "END"}, "stopSequences"),
        ({"stopSequences": ["END"] * 17}, "stopSequences"),
        ({"timeout": 1}, "timeout"),
        ({"retryAttempts": 99}, "retryAttempts"),
        ({"retryDelay": 10_001}, "retryDelay"),
        ({"failureThreshold": 32_768}, "failureThreshold"),
        ({"successThreshold": 0}, "successThreshold"),
        ({"rateLimit": {"requestsPerMinute": 0}}, "rateLimit"),
        ({"rateLimit": {"perMinute": 1}}, "rateLimit"),
        ({"pricing": {"inputTokenCost": -1, "outputTokenCost": 1}}, "pricing"),
        ({"pricing": {"inputTokenCost": 1}}, "pricing"),
        ({"pricing": {"inputTokenCost": 1, "outputTokenCost": 1, "currency": "dollars"}}, "pricing"),
        ({"isactive": False}, "isactive"),
    ],
)
def test_a_bad_field_is_named_and_nothing_is_made(api: APIClient, change: dict[str, Any], field: str) -> None:
    answer = api.post(URL, GPT4 | change, format="json")

    body = answer.json()
    assert answer.status_code == 400, body
    assert body["error_code"] == "INVALID_REQUEST"
    assert list(body["fields"]) == [field]
    assert field in body["error"]
    assert not Provider.objects.exists()
    assert not Deployment.objects.exists()


def test_a_missing_field_is_named(api: APIClient) -> None:
    answer = api.post(URL, {"type": "OPENAI"}, format="json")

    assert set(answer.json()["fields"]) == {"name", "model"}


def test_a_name_is_taken_once(api: APIClient, gpt4: dict[str, Any]) -> None:
    answer = api.post(URL, GPT4, format="json")

    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == ["name"]


def test_an_unknown_provider_is_not_found(api: APIClient) -> None:
    answers = [api.get(f"{URL}/{uuid4()}"), api.get(f"{URL}/no-such-thing"), api.get(f"{URL}/{'-' * 36}")]

    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert {answer.json()["error_code"] for answer in answers} == {"NOT_FOUND"}


def test_health_tells_what_the_last_probes_found(api: APIClient, gpt4: dict[str, Any]) -> None:
    unprobed = api.get(f"{URL}/health/check").json()
    now = timezone.now()
    Health.objects.create(provider_id=gpt4["id"], status="healthy", latency_ms=12.5, checked_at=now)

    probed = api.get(f"{URL}/health/check").json()

    assert (unprobed["status"], unprobed["providers"][0]["checkedAt"]) == ("unknown", None)
    [row] = probed["providers"]
    assert (probed["status"], row["name"], row["status"], row["latency"]) == ("healthy", GPT4["name"], "healthy", 12.5)
    assert row["checkedAt"] == now.isoformat().replace("+00:00", "Z")


@pytest.mark.parametrize(
    ("found", "overall"),
    [
        (("healthy", "healthy"), "healthy"),
        (("healthy", "unhealthy"), "degraded"),
        (("unhealthy", "unhealthy"), "unhealthy"),
        (("unhealthy", None), "unhealthy"),
        (("healthy", None), "healthy"),
    ],
)
def test_the_whole_is_as_well_as_its_active_providers(
    api: APIClient, found: tuple[str | None, ...], overall: str
) -> None:
    for number, status in enumerate((*found, "unhealthy")):
        facts = {"name": f"P {number}", "slug": f"p-{number}", "kind": "demo", "is_active": number < len(found)}
        provider = Provider.objects.create(**facts)
        if status is not None:
            Health.objects.create(provider=provider, status=status, checked_at=timezone.now())

    told = api.get(f"{URL}/health/check").json()

    assert (told["status"], len(told["providers"])) == (overall, len(found))


def test_metrics_count_what_was_sent_to_each_provider(
    api: APIClient, gpt4: dict[str, Any], new_record: NewRecord
) -> None:
    at = timezone.now() - timedelta(hours=1)
    here = UUID(gpt4["id"])
    new_record(at, provider_id=here)
    new_record(at, provider_id=here, status="error", is_final=False, cost_pico=None, evidence="none", latency_ms=None)
    new_record(at, provider_id=here, kind=UsageRecord.Kind.ADJUSTMENT, cost_pico=1, input_tokens=1, output_tokens=0)
    new_record(at - timedelta(days=2), provider_id=here)

    day = api.get(f"{URL}/metrics/{here}").json()
    week = api.get(f"{URL}/metrics", {"window": "7d"}).json()

    assert day == {
        "providerId": str(here),
        "name": GPT4["name"],
        "totalRequests": 2,
        "successfulRequests": 1,
        "failedRequests": 1,
        "refusedRequests": 0,
        "cancelledRequests": 0,
        "averageLatency": 200.0,
        "totalTokensUsed": 31,
        "totalCost": 0.000001234568,
        "totalCostUsd": "0.000001234568",
        "unknownCostRequests": 0,
        "errorRate": 50.0,
        "uptime": 100.0,
    }
    assert week["window"] == "7d"
    assert [row["totalRequests"] for row in week["providers"]] == [3]
    minutes = api.get(f"{URL}/metrics", {"window": "90m"}).json()
    assert (minutes["window"], [row["totalRequests"] for row in minutes["providers"]]) == ("90m", [2])


@pytest.mark.parametrize("status", ["refused", "error"])  # the latter is how older rows have it
def test_what_a_provider_rejects_is_not_its_failure(
    api: APIClient, gpt4: dict[str, Any], new_record: NewRecord, status: str
) -> None:
    at, here = timezone.now() - timedelta(hours=1), UUID(gpt4["id"])
    new_record(at, provider_id=here)
    for _ in range(3):
        new_record(at, provider_id=here, status=status, error_code="PROVIDER_REJECTED", cost_pico=0, evidence="none")

    told = api.get(f"{URL}/metrics/{here}").json()

    assert [told[f"{name}Requests"] for name in ("total", "successful", "failed", "refused")] == [4, 1, 0, 3]
    assert (told["errorRate"], told["uptime"], told["averageLatency"]) == (0.0, 100.0, 200.0)


def test_an_unknown_cost_is_null_in_the_metrics_too(
    api: APIClient, gpt4: dict[str, Any], new_record: NewRecord
) -> None:
    at, here = timezone.now() - timedelta(hours=1), UUID(gpt4["id"])
    new_record(at, provider_id=here, cost_pico=None)
    new_record(at, provider_id=here, status="cached", cost_pico=0, evidence="none")

    told = api.get(f"{URL}/metrics/{here}").json()

    assert (told["totalCostUsd"], told["totalCost"], told["unknownCostRequests"]) == (None, None, 1)


def test_metrics_of_a_provider_without_calls(api: APIClient, gpt4: dict[str, Any]) -> None:
    metrics = api.get(f"{URL}/metrics/{gpt4['id']}").json()

    assert (metrics["totalRequests"], metrics["errorRate"], metrics["uptime"]) == (0, 0.0, None)
    assert metrics["totalCostUsd"] == "0"
    for status, uptime in (("healthy", 100.0), ("unhealthy", 0.0)):
        Health.objects.update_or_create(
            provider_id=gpt4["id"], defaults={"status": status, "checked_at": timezone.now()}
        )
        assert api.get(f"{URL}/metrics/{gpt4['id']}").json()["uptime"] == uptime


@pytest.mark.parametrize("window", ["", "24", "0h", "9999d", "1w", "١h"])
def test_a_bad_window_is_named(api: APIClient, gpt4: dict[str, Any], window: str) -> None:
    answer = api.get(f"{URL}/metrics", {"window": window})

    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == ["window"]


# --- what it offers -----------------------------------------------------------------------------------------------


@pytest.fixture
def offering(api: APIClient) -> Iterator[tuple[ModelHost, str]]:
    """A host, and the address of its models here."""
    with ModelHost() as host:
        house = GPT4 | {"name": "House", "type": "CUSTOM", "endpoint": host.url, "model": "house-small"}
        made = api.post("/api/ai-providers", house, format="json").json()
        yield host, f"/api/ai-providers/{made['id']}/models"


def test_offered_models_are_listed_and_added(api: APIClient, offering: tuple[ModelHost, str]) -> None:
    _, url = offering
    listed = api.get(url).json()
    assert listed["ok"]
    assert [(each["name"], each["verdict"]) for each in listed["models"]] == [
        ("house-large", "new"),
        ("house-small", "here"),
    ]
    assert listed["models"][0]["inputPerMillion"] is None

    added = api.post(url, {"models": ["house-large"]}, format="json")
    assert (added.status_code, added.json()) == (201, {"added": ["house/house-large"]})
    assert {each["verdict"] for each in api.get(url).json()["models"]} == {"here"}


def test_what_is_not_offered_cannot_be_added(api: APIClient, offering: tuple[ModelHost, str]) -> None:
    host, url = offering
    refused = api.post(url, {"models": ["made-up"]}, format="json")
    assert refused.status_code == 400
    assert "made-up" in refused.json()["fields"]["models"][0]
    host.status = 500
    assert api.get(url).json()["ok"] is False


def test_only_managers_may_ask(caller: APIClient, offering: tuple[ModelHost, str]) -> None:
    assert caller.get(offering[1]).status_code == 403
