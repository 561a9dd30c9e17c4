"""Keys, models, prices, routes, clients, API keys and tiers; who may; and what all lists share."""

from __future__ import annotations

import base64
import gzip
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import OperationalError, connection
from django.db.models import Model
from django.test import Client as Browser
from django.utils import timezone
from rest_framework.test import APIClient

from accounts import keys
from accounts.models import ApiKey, AuditEntry, Client, Tier
from alerts.models import Rule
from providers.models import Credential, Deployment, ExchangeRate, Provider, Route
from tests.meanwhile import deleted_once_found
from usage.models import Budget

ADDRESSES = [
    "/api/ai-providers",
    "/api/ai-providers/credentials",
    "/api/ai-providers/deployments",
    "/api/ai-providers/prices",
    "/api/ai-providers/routes",
    "/api/ai-providers/metrics",
    "/api/ai-providers/health/check",
    "/api/ai-providers/statistics/usage",
    "/api/ai-providers/statistics/cost",
    "/api/ai-providers/statistics/performance",
    "/api/ai-providers/statistics/requests",
    "/api/accounts/clients",
    "/api/accounts/keys",
    "/api/accounts/tiers",
    "/api/usage/records",
    "/api/schema",
    "/api/docs",
]


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("slash", ["", "/"])
def test_every_address_is_for_managers_only(
    nobody: APIClient, caller: APIClient, api: APIClient, address: str, slash: str
) -> None:
    found = [who.get(address + slash).status_code for who in (nobody, caller, api)]

    assert found == [401, 403, 200]


def test_a_refusal_says_why_in_the_platforms_form(nobody: APIClient, caller: APIClient, db: None) -> None:
    unknown = nobody.get("/api/ai-providers", headers={"X-Request-ID": "abc"})
    lesser = caller.post("/api/ai-providers", {}, format="json")

    assert unknown.json() | {"timestamp": 0} == {
        "error": "Authentication credentials were not provided.",
        "error_code": "UNAUTHENTICATED",
        "timestamp": 0,
        "request_id": "abc",
        "context": {"operation": "list", "provider": None},
    }
    assert lesser.json()["error_code"] == "FORBIDDEN"


@pytest.mark.parametrize("secret", ["", "aip_unknown", "aip_\0", "ü"])
def test_a_wrong_key_is_refused(nobody: APIClient, db: None, secret: str) -> None:
    assert nobody.get("/api/ai-providers", headers={"x-api-key": secret}).status_code == 401


def test_a_key_comes_as_googles_clients_send_it_and_not_in_the_address(nobody: APIClient, db: None) -> None:
    _, secret = ApiKey.mint(client=Client.objects.create(name="alice"), scope="manage")

    assert nobody.get("/api/accounts/keys", headers={"x-goog-api-key": secret}).status_code == 200
    assert nobody.get("/api/accounts/keys", {"key": secret}).status_code == 401


def test_a_keys_use_is_noted_twice_a_minute_and_is_nobodys_change(api: APIClient, admin: User) -> None:
    api.force_login(admin)  # whose browser sends the key: it is the key that counts

    def last_used() -> Any:
        return ApiKey.objects.values_list("last_used_at", flat=True).get()

    api.get("/api/accounts/keys")
    first = last_used()
    api.get("/api/accounts/keys")
    assert first is not None
    assert last_used() == first

    long_ago = first - timedelta(seconds=31)
    ApiKey.objects.update(last_used_at=long_ago)
    api.get("/api/accounts/keys")

    assert last_used() > long_ago
    assert not AuditEntry.objects.exists()


def test_a_compressed_body_is_refused_as_such(api: APIClient) -> None:
    packed = gzip.compress(b'{"name": "acme"}')
    refused = api.post(
        "/api/accounts/clients", packed, content_type="application/json", headers={"Content-Encoding": "gzip"}
    )

    assert (refused.status_code, "'gzip' is not taken" in refused.json()["error"]) == (400, True)


@pytest.mark.parametrize("depth", [101, 900, 100_000])
def test_a_body_that_nests_too_deep_is_refused(api: APIClient, depth: int) -> None:
    """Of those that Python reads some are too deep for what writes them: a page that shows one would break."""
    body = b'{"name": ' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"

    refused = api.post("/api/accounts/tiers", body, content_type="application/json")

    assert refused.status_code == 400
    assert refused.json()["error"] == "The body nests deeper than 100 levels."


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("accounts/keys", rb'{"client": "\ud800"}'),
        ("ai-providers/prices", rb'{"deployment": "openai/gpt\udfff"}'),
        ("ai-providers/deployments", rb'{"defaults": {"\ud800": 1}}'),
        ("accounts/tiers", rb'{"name\ud800": "gold"}'),
    ],
)
def test_a_body_with_half_a_character_is_refused(api: APIClient, path: str, body: bytes) -> None:
    """No database takes one, nor could an answer repeat it."""
    refused = api.post(f"/api/{path}", body, content_type="application/json")

    assert refused.status_code == 400
    assert refused.json()["error"] == "The body holds half a surrogate pair, which is no character."


def test_a_body_may_escape_a_character_as_its_two_halves(api: APIClient) -> None:
    body = rb'{"name": "alice", "description": "\ud83d\ude00"}'

    made = api.post("/api/accounts/clients", body, content_type="application/json")

    assert (made.status_code, made.json()["description"]) == (201, "\N{GRINNING FACE}")


def test_a_revoked_key_is_refused(api: APIClient) -> None:
    [key] = api.get("/api/accounts/keys").json()["results"]

    api.patch(f"/api/accounts/keys/{key['id']}", {"isActive": False}, format="json")

    assert api.get("/api/accounts/keys").status_code == 401


def test_an_administrator_manages_in_a_session_with_csrf(admin: User) -> None:
    browser = Browser(enforce_csrf_checks=True)
    browser.force_login(admin)
    tier = {"name": "gold"}

    without = browser.post("/api/accounts/tiers", tier, content_type="application/json")
    browser.cookies["csrftoken"] = "a" * 32
    given = browser.post(
        "/api/accounts/tiers", tier, content_type="application/json", headers={"X-CSRFToken": "a" * 32}
    )

    assert browser.get("/api/accounts/tiers").status_code == 200
    assert without.status_code == 403
    assert "CSRF" in without.json()["error"]
    assert given.status_code == 201


def test_a_user_who_is_no_administrator_is_refused(db: None, nobody: APIClient) -> None:
    nobody.force_login(User.objects.create_user("charlie", password="correct horse battery"))

    assert nobody.get("/api/ai-providers").status_code == 403


def test_unknown_addresses_answer_in_the_platforms_form(api: APIClient) -> None:
    answer = api.get("/api/nowhere")

    assert (answer.status_code, answer.json()["error_code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("path", ["/api/nowhere", "/api/accounts/keys?nonsense=1"])
def test_a_refusal_that_must_not_be_repeated_says_so(api: APIClient, nobody: APIClient, path: str) -> None:
    answers = [api.get(path), nobody.get(path)]

    assert [answer.headers["x-should-retry"] for answer in answers] == ["false", "false"]


def test_a_keys_secret_is_shown_once(api: APIClient) -> None:
    api.post("/api/accounts/tiers", {"name": "premium", "requestsPerHour": 1000}, format="json")
    client = api.post("/api/accounts/clients", {"name": "search-backend"}, format="json").json()

    made = api.post(
        "/api/accounts/keys", {"client": "search-backend", "name": "production", "tier": "premium"}, format="json"
    ).json()

    row = ApiKey.objects.get(pk=made["id"])
    assert row.digest == keys.digest(made["key"])
    assert made["key"].startswith(made["prefix"])
    assert (made["clientId"], made["scope"], made["tier"]) == (client["id"], "call", "premium")
    assert "key" not in api.get(f"/api/accounts/keys/{made['id']}").json()
    assert made["key"].encode() not in api.get("/api/accounts/keys").content


def test_a_key_keeps_its_client_and_scope(api: APIClient) -> None:
    Client.objects.create(name="other")
    [key] = api.get("/api/accounts/keys").json()["results"]
    url = f"/api/accounts/keys/{key['id']}"

    wider = api.patch(url, {"scope": "call"}, format="json")
    moved = api.patch(url, {"client": "other"}, format="json")
    named = api.put(url, key | {"name": "pipeline"}, format="json")

    assert (wider.status_code, list(wider.json()["fields"])) == (400, ["scope"])
    assert (moved.status_code, list(moved.json()["fields"])) == (400, ["client"])
    assert (named.status_code, named.json()["name"]) == (200, "pipeline")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("expiresAt", "2020-01-01T00:00:00Z"),
        ("allowedModels", ["m" * 201]),
        ("allowedModels", [f"model-{number}" for number in range(501)]),
    ],
    ids=["expired from the start", "a name of no model", "too many names"],
)
def test_a_key_that_the_admin_would_refuse_is_not_made_by_the_api(api: APIClient, field: str, value: Any) -> None:
    before = ApiKey.objects.count()

    answer = api.post("/api/accounts/keys", {"client": Client.objects.get().name, field: value}, format="json")

    assert (answer.status_code, list(answer.json()["fields"])) == (400, [field])
    assert ApiKey.objects.count() == before


def test_a_client_keeps_the_name_by_which_the_books_and_tokens_know_it(api: APIClient) -> None:
    [client] = api.get("/api/accounts/clients").json()["results"]

    renamed = api.patch(f"/api/accounts/clients/{client['id']}", {"name": "another"}, format="json")

    assert (renamed.status_code, list(renamed.json()["fields"])) == (400, ["name"])
    assert Client.objects.get().name == client["name"]


def test_a_credential_is_written_and_never_read(api: APIClient, gpt4: dict[str, Any]) -> None:
    url = "/api/ai-providers/credentials"
    body = {"provider": "openai-gpt-4", "label": "second", "apiKey": "sk-second-secret-wxyz", "weight": 3}

    made = api.post(url, body, format="json")
    row = Credential.objects.get(label="second")
    before = row.reveal().reveal()
    api.patch(f"{url}/{row.pk}", {"apiKey": "sk-third-secret-9876"}, format="json")
    api.patch(f"{url}/{row.pk}", {"weight": 4}, format="json")
    row.refresh_from_db()

    assert made.status_code == 201, made.content
    assert (made.json()["hint"], made.json()["providerId"]) == ("••••wxyz", gpt4["id"])
    assert not {"apiKey", "secret"} & made.json().keys()
    assert (before, row.reveal().reveal(), row.weight) == ("sk-second-secret-wxyz", "sk-third-secret-9876", 4)
    again = api.post(url, body, format="json")
    assert again.status_code == 400, again.content


def test_a_deployment(api: APIClient, gpt4: dict[str, Any]) -> None:
    url = "/api/ai-providers/deployments"
    body = {
        "provider": gpt4["id"],
        "name": "gpt-4o",
        "upstreamName": "gpt-4o-2024-08-06",
        "contextWindow": 128_000,
        "capabilities": ["tools", "vision"],
        "defaults": {"temperature": 0.2, "top_p": 1},
    }

    made = api.post(url, body, format="json")
    row = Deployment.objects.get(name="gpt-4o")
    off = api.patch(f"{url}/{row.pk}", {"isActive": False}, format="json")

    assert made.status_code == 201, made.content
    assert {key: made.json()[key] for key in body} == body | {"provider": "openai-gpt-4"}
    assert off.json()["isActive"] is False
    assert [each["name"] for each in api.get(url, {"isActive": "true"}).json()["results"]] == ["gpt-4"]


@pytest.mark.parametrize("field", ["name", "upstreamName"])
@pytest.mark.parametrize("name", ["x\ny", "x\ty", "x\u2028y"])
def test_a_models_names_are_fit_for_a_header(api: APIClient, gpt4: dict[str, Any], field: str, name: str) -> None:
    url = "/api/ai-providers/deployments"
    body = {"provider": "openai-gpt-4", "name": "Köln 1 (模型)", "upstreamName": "org/m:1@2"}

    answer = api.post(url, body | {field: name}, format="json")
    flat = api.patch(f"/api/ai-providers/{gpt4['id']}", {"model": name}, format="json")

    assert (answer.status_code, list(answer.json()["fields"])) == (400, [field])
    assert (flat.status_code, list(flat.json()["fields"])) == (400, ["model"])
    assert api.post(url, body, format="json").status_code == 201


@pytest.mark.parametrize("defaults", ['{"a": "x\\u0000"}', '{"a": [1e999]}', "[1]", '"text"'])
def test_json_that_a_database_refuses_is_refused_before(api: APIClient, gpt4: dict[str, Any], defaults: str) -> None:
    body = f'{{"provider": "openai-gpt-4", "name": "m", "defaults": {defaults}}}'

    answer = api.post("/api/ai-providers/deployments", body, content_type="application/json")

    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == ["defaults"]


@pytest.mark.parametrize(
    ("defaults", "told"),
    [
        ({"stop": 5}, "`$.stop`"),
        ({"temperature": "hot"}, "`$.temperature`"),
        ({"top_p": 7}, "`$.top_p`"),
        ({"topP": 0.5}, "unknown field `topP`. Known: temperature, top_p"),
    ],
)
def test_defaults_that_calls_would_fail_of_or_never_hear_of_are_refused(
    api: APIClient, gpt4: dict[str, Any], defaults: dict[str, Any], told: str
) -> None:
    body = {"provider": "openai-gpt-4", "name": "m", "defaults": defaults}

    answer = api.post("/api/ai-providers/deployments", body, format="json")

    assert answer.status_code == 400
    assert told in answer.json()["fields"]["defaults"][0]


def test_older_rows_that_hold_such_defaults_are_shown_and_changed_still(api: APIClient, gpt4: dict[str, Any]) -> None:
    older = {"topP": 0.5, "stop": 5, "top_p": 0.3}
    Deployment.objects.update(defaults=older)
    model = Deployment.objects.get()

    shown = api.get("/api/ai-providers")
    changed = api.patch(f"/api/ai-providers/deployments/{model.pk}", {"maxConcurrent": 5}, format="json")

    assert (shown.status_code, changed.status_code) == (200, 200)
    assert Deployment.objects.get().defaults == older
    flat = api.patch(f"/api/ai-providers/{gpt4['id']}", {"temperature": 0.2}, format="json")
    assert flat.status_code == 200
    assert Deployment.objects.get().defaults == {"top_p": 0.3, "temperature": 0.2}


def test_a_model_joins_the_default_route_with_its_first_price(api: APIClient, gpt4: dict[str, Any]) -> None:
    provider = Provider.objects.get()
    Deployment.objects.create(provider=provider, name="new")
    route = Route.objects.create(name="default")
    for model in ("new", "gpt-4"):  # the latter has one, and was left out of the route
        body = {"deployment": f"{provider.slug}/{model}", "inputPerMillion": "1", "outputPerMillion": "2"}
        made = api.post("/api/ai-providers/prices", body, format="json")
        assert made.status_code == 201, made.content
    assert [target.deployment.name for target in route.targets.all()] == ["new"]

    route.targets.all().delete()  # which no price, planned or not, undoes
    for valid_from in ("2099-01-01T00:00:00Z", timezone.now().isoformat()):
        body = {"deployment": f"{provider.slug}/new", "validFrom": valid_from}
        made = api.post("/api/ai-providers/prices", body | {"inputPerMillion": 1, "outputPerMillion": 2}, format="json")
        assert made.status_code == 201, made.content
    assert not route.targets.exists()


def test_a_planned_price_lets_nobody_join_and_keeps_nobody_out(api: APIClient, gpt4: dict[str, Any]) -> None:
    provider, route = Provider.objects.get(), Route.objects.create(name="default")
    Deployment.objects.create(provider=provider, name="new")
    joined = []
    for valid_from in ("2099-01-01T00:00:00Z", timezone.now().isoformat()):
        body = {"deployment": f"{provider.slug}/new", "validFrom": valid_from}
        api.post("/api/ai-providers/prices", body | {"inputPerMillion": 1, "outputPerMillion": 2}, format="json")
        joined.append(route.targets.count())

    assert joined == [0, 1]


def test_prices_are_added_and_never_changed(api: APIClient, gpt4: dict[str, Any]) -> None:
    url = "/api/ai-providers/prices"
    body = {
        "deployment": "openai-gpt-4/gpt-4",
        "validFrom": "2030-01-01T00:00:00Z",
        "currency": "USD",
        "inputPerMillion": "2.50",
        "outputPerMillion": "10",
        "cachedInputPerMillion": "1.25",
        "cacheWrite5mPerMillion": "3",
    }

    made = api.post(url, body, format="json")

    assert made.status_code == 201, made.content
    assert (made.json()["inputPerMillion"], made.json()["cacheWrite5mPerMillion"]) == ("2.5000000000", "3.0000000000")
    assert made.json()["deployment"] == "openai-gpt-4/gpt-4"
    address = f"{url}/{made.json()['id']}"
    assert [api.put(address, body, format="json").status_code, api.delete(address).status_code] == [405, 405]
    again = api.post(url, body, format="json")
    assert (again.status_code, again.json()["error"]) == (
        400,
        "This model has a price from that moment on already.",
    )
    for narrowed in ({"deployment": "openai-gpt-4/gpt-4"}, {"provider": "openai-gpt-4"}):
        assert len(api.get(url, narrowed).json()["results"]) == 2
    assert api.get(f"/api/ai-providers/{gpt4['id']}").json()["pricing"]["inputTokenCost"] == 0.03


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"deployment": "openai-gpt-4/none"}, "deployment"),
        ({"deployment": str(uuid4())}, "deployment"),
        ({"deployment": "nonsense"}, "deployment"),
        ({"deployment": 5}, "deployment"),
        ({"inputPerMillion": -1}, "inputPerMillion"),
        ({"inputPerMillion": "0.00000000001"}, "inputPerMillion"),
        ({"inputPerMillion": "NaN"}, "inputPerMillion"),
        ({"outputPerMillion": "123456789.1234567"}, "outputPerMillion"),
        ({"currency": "Euro"}, "currency"),
        ({"validFrom": "soon"}, "validFrom"),
        ({"validFrom": "9999-12-31T23:59:59Z"}, "validFrom"),
        ({"outputPerMillion": None}, "outputPerMillion"),
    ],
)
def test_a_bad_price_names_its_field(api: APIClient, gpt4: dict[str, Any], change: dict[str, Any], field: str) -> None:
    body = {"deployment": "openai-gpt-4/gpt-4", "inputPerMillion": 1, "outputPerMillion": 2} | change

    answer = api.post("/api/ai-providers/prices", body, format="json")

    assert answer.status_code == 400, answer.content
    assert list(answer.json()["fields"]) == [field]


def test_a_route(api: APIClient, gpt4: dict[str, Any]) -> None:
    url = "/api/ai-providers/routes"
    target = {"deployment": "openai-gpt-4/gpt-4", "weight": 3, "priority": 20}
    body = {"name": "smart", "strategy": "priority", "catchAll": True, "targets": [target]}

    made = api.post(url, body, format="json")
    address = f"{url}/{made.json()['id']}"
    renamed = api.patch(address, {"name": "smarter"}, format="json")
    emptied = api.patch(address, {"targets": []}, format="json")

    assert made.status_code == 201, made.content
    assert {key: made.json()[key] for key in body} == body
    assert (renamed.json()["name"], renamed.json()["targets"]) == ("smarter", [target])
    assert emptied.json()["targets"] == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"strategy": "luck"}, "strategy"),
        ({"targets": [{"deployment": "no/model"}]}, "targets"),
        ({"targets": [{"deployment": "openai-gpt-4/gpt-4"}] * 2}, "targets"),
        ({"targets": [{"deployment": "openai-gpt-4/gpt-4", "wieght": 1}]}, "targets"),
        ({"name": "first"}, "name"),
        ({"catchAll": True}, "catchAll"),
    ],
)
def test_a_bad_route_names_its_field_and_changes_nothing(
    api: APIClient, gpt4: dict[str, Any], change: dict[str, Any], field: str
) -> None:
    Route.objects.create(name="first", catch_all=True)
    body = {"name": "second", "targets": []} | change

    answer = api.post("/api/ai-providers/routes", body, format="json")

    assert answer.status_code == 400, answer.content
    assert list(answer.json()["fields"]) == [field]
    assert Route.objects.count() == 1


def test_a_second_route_for_unknown_names_is_told_of_the_first(api: APIClient) -> None:
    Route.objects.create(name="first", catch_all=True)

    answer = api.post("/api/ai-providers/routes", {"name": "second", "targets": [], "catchAll": True}, format="json")

    assert answer.json()["error"] == "catchAll: The route first answers unknown names already."


def test_pages_follow_one_another_and_miss_nothing(api: APIClient) -> None:
    names = [f"client-{number:02}" for number in range(7)]
    Client.objects.bulk_create(Client(name=name) for name in reversed(names))

    seen: list[str] = []
    address = "/api/accounts/clients?pageSize=3&ordering=name"
    while address:
        page = api.get(address).json()
        seen += [row["name"] for row in page["results"]]
        address = page["next"]

    assert seen == [*names, "operations"]
    assert [row["name"] for row in api.get("/api/accounts/clients?ordering=-name&pageSize=1").json()["results"]] == [
        "operations"
    ]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("pageSize=0", "pageSize"),
        ("pageSize=501", "pageSize"),
        ("ordering=digest", "ordering"),
        ("isActive=perhaps", "isActive"),
        ("clinetId=1", "clinetId"),
        ("clientId=1", "clientId"),
        ("client=%00", "client"),
    ],
)
def test_a_bad_query_names_the_parameter(api: APIClient, query: str, field: str) -> None:
    answer = api.get(f"/api/accounts/keys?{query}")

    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == [field]


@pytest.mark.parametrize("said", ["nonsense", "cD1ub25zZW5zZQ==", "cj0xJnA9JTAw"])
def test_a_bad_cursor_is_refused(api: APIClient, said: str) -> None:
    answer = api.get("/api/accounts/keys", {"cursor": said})

    assert (answer.status_code, answer.json()["error_code"]) == (404, "NOT_FOUND")


@pytest.mark.only_on("sqlite")  # PostgreSQL has times beyond ours, and finds nothing there
@pytest.mark.parametrize("said", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_a_cursor_with_a_time_that_no_clock_reaches_is_refused(api: APIClient, said: str) -> None:
    cursor = base64.b64encode(urlencode({"p": said}).encode()).decode()

    answer = api.get("/api/accounts/keys", {"ordering": "createdAt", "cursor": cursor})

    assert (answer.status_code, answer.json()["error_code"]) == (404, "NOT_FOUND")


@pytest.mark.only_on("postgresql")
def test_a_cursor_with_a_nul_is_refused(api: APIClient) -> None:
    answer = api.get("/api/accounts/clients", {"cursor": base64.b64encode(b"p=%00").decode()})

    assert (answer.status_code, answer.json()["error_code"]) == (404, "NOT_FOUND")


@pytest.mark.parametrize("address", ADDRESSES[:-2])
def test_every_address_describes_itself(api: APIClient, address: str) -> None:
    assert api.options(address).status_code == 200


def test_without_the_database_it_says_so(api: APIClient) -> None:
    def gone(*_query: Any) -> None:
        raise OperationalError("the server closed the connection")

    with connection.execute_wrapper(gone):
        answer = api.get("/api/ai-providers")

    assert (answer.status_code, answer.json()["error_code"]) == (503, "LEDGER_UNAVAILABLE")
    assert answer["Retry-After"] == "5"


def rows_that_can_go() -> dict[str, tuple[Model, str, dict[str, Any]]]:
    """By their names: a row, its address and a change of it."""
    client = Client.objects.create(name="shop")
    provider = Provider.objects.create(name="House", slug="house", kind="demo")
    day = date(2026, 3, 1)
    rule: dict[str, Any] = {"measure": "error_share", "scope": "all", "limit": 5, "severity": "warning"}
    made: dict[str, tuple[Model, str, dict[str, Any]]] = {
        "tier": (Tier.objects.create(name="gold"), "accounts/tiers", {"requestsPerHour": 7}),
        "client": (client, "accounts/clients", {"description": "sells"}),
        "key": (ApiKey.mint(client=Client.objects.create(name="app"))[0], "accounts/keys", {"name": "new"}),
        "provider": (provider, "ai-providers", {"priority": 7}),
        "model": (
            Deployment.objects.create(provider=provider, name="m"),
            "ai-providers/deployments",
            {"isActive": False},
        ),
        "route": (Route.objects.create(name="fast"), "ai-providers/routes", {"sticky": True}),
        "rate": (
            ExchangeRate.objects.create(currency="EUR", day=day, usd_per_unit=Decimal(1)),
            "ai-providers/exchange-rates",
            {"usdPerUnit": "1.1"},
        ),
        "rule": (Rule.objects.create(name="errors", **rule), "alerts/rules", {"limit": 6}),
        "budget": (
            Budget.objects.create(name="all", scope="all", cap_pico=10**12, period="month"),
            "usage/budgets",
            {"amountUsd": "2"},
        ),
    }
    return made


@pytest.mark.parametrize("which", ["tier", "client", "key", "provider", "model", "route", "rate", "rule", "budget"])
def test_what_somebody_deletes_during_its_change_is_not_found(api: APIClient, which: str) -> None:
    row, address, change = rows_that_can_go()[which]
    with deleted_once_found(row):
        answer = api.patch(f"/api/{address}/{row.pk}", change, format="json")

    assert (answer.status_code, answer.json()["error_code"]) == (404, "NOT_FOUND"), answer.content
    assert answer.json()["error"] == "This was deleted just now."
    assert not row._meta.model._base_manager.filter(pk=row.pk).exists()


def test_a_fault_of_ours_answers_in_the_platforms_form(api: APIClient) -> None:
    def broken(*_query: Any) -> None:
        raise RuntimeError

    api.raise_request_exception = False
    with connection.execute_wrapper(broken):
        answer = api.get("/api/ai-providers")

    assert (answer.status_code, answer.json()["error_code"]) == (500, "INTERNAL")


def test_bodies_that_are_not_json_objects_are_refused(api: APIClient) -> None:
    answers = [
        api.post("/api/accounts/tiers", text, content_type="application/json")
        for text in ("[]", "5", "null", "{", '{"name": NaN}', "\xff")
    ]

    assert {answer.status_code for answer in answers} == {400}
    assert {answer.json()["error_code"] for answer in answers} == {"INVALID_REQUEST"}


def test_the_schema_is_valid_and_without_warnings(db: None, tmp_path: Any) -> None:
    call_command("spectacular", validate=True, fail_on_warn=True, file=str(tmp_path / "schema.yml"))

    text = (tmp_path / "schema.yml").read_text()
    assert text.startswith("openapi: 3.1.0")
    assert "/api/ai-providers/{id}" in text
    assert "cacheWrite5mPerMillion" in text


def test_the_documentation_needs_no_other_host(admin: User) -> None:
    browser = Browser()
    browser.force_login(admin)

    page = browser.get("/api/docs").content.decode()

    assert "/static/drf_spectacular_sidecar/" in page
    assert "https://" not in page


def test_a_price_with_a_tier_in_euros(api: APIClient, gpt4: dict[str, Any]) -> None:
    tier = {
        "aboveTokens": 200_000,
        "inputPerMillion": "2.50",
        "outputPerMillion": "15",
        "cachedInputPerMillion": "0.25",
    }
    body = {"deployment": "openai-gpt-4/gpt-4", "currency": "EUR", "inputPerMillion": "1.25", "outputPerMillion": "10"}
    more = {"imageInputPerMillion": "8", "perRequest": "0.01", "tiers": [tier]}

    made = api.post("/api/ai-providers/prices", body | more, format="json")

    assert made.status_code == 201, made.content
    read = api.get(f"/api/ai-providers/prices/{made.json()['id']}").json()
    assert (read["currency"], read["imageInputPerMillion"], read["source"]) == ("EUR", "8.0000000000", "")
    assert read["tiers"][0]["aboveTokens"] == 200_000
    assert read["tiers"][0]["cachedInputPerMillion"] == "0.2500000000"
    assert read["tiers"][0]["cacheWrite5mPerMillion"] is None


@pytest.mark.parametrize(
    "tiers",
    [
        [{"aboveTokens": 0, "inputPerMillion": 1, "outputPerMillion": 1}],
        [{"aboveTokens": 5, "inputPerMillion": 1}],
        [{"aboveTokens": 5, "inputPerMillion": 1, "outputPerMillion": 1}] * 2,
        "many",
    ],
)
def test_bad_tiers_are_refused_and_nothing_is_kept(api: APIClient, gpt4: dict[str, Any], tiers: Any) -> None:
    body = {"deployment": "openai-gpt-4/gpt-4", "inputPerMillion": 1, "outputPerMillion": 2, "tiers": tiers}

    answer = api.post("/api/ai-providers/prices", body, format="json")

    assert answer.status_code == 400, answer.content
    assert next(iter(answer.json()["fields"])).startswith("tiers")
    assert len(api.get("/api/ai-providers/prices").json()["results"]) == 1


def test_an_exchange_rate(api: APIClient) -> None:
    url = "/api/ai-providers/exchange-rates"
    body = {"currency": "EUR", "day": "2026-11-01", "usdPerUnit": "1.0842"}

    made = api.post(url, body, format="json")
    address = f"{url}/{made.json()['id']}"

    assert made.status_code == 201, made.content
    assert api.post(url, body, format="json").status_code == 400
    assert api.post(url, {**body, "currency": "USD"}, format="json").status_code == 400
    nothing = api.post(url, {**body, "day": "2026-11-02", "usdPerUnit": "0"}, format="json")
    assert (nothing.status_code, nothing.json()["error"]) == (
        400,
        "usdPerUnit: More than 0: what one unit costs in dollars.",
    )
    assert api.patch(address, {"usdPerUnit": "1.09"}, format="json").json()["usdPerUnit"] == "1.0900000000"
    assert api.patch(address, {"day": "2026-11-03"}, format="json").status_code == 400
    assert len(api.get(url, {"currency": "EUR"}).json()["results"]) == 1
