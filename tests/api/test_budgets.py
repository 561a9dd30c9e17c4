"""`/api/usage/budgets`: made, read with what is left, raised, and never turned into another budget."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from rest_framework.test import APIClient

from accounts.models import ApiKey, Client
from providers.models import Provider
from tests.meanwhile import deleted_once_found
from tests.usage.rows import hold, record
from usage import ledger
from usage.ledger import Note
from usage.models import Budget, BudgetWindow

pytestmark = pytest.mark.django_db
_BODY: dict[str, Any] = {"name": "Search", "scope": "client", "subject": "alice", "amountUsd": "100", "period": "total"}


@pytest.fixture(autouse=True)
def _alice(db: None) -> None:
    Client.objects.create(name="alice")


def _make(api: APIClient, **given: Any) -> Any:
    return api.post("/api/usage/budgets", _BODY | given, format="json")


def test_a_budget_is_read_back_with_what_is_left(api: APIClient) -> None:
    made = _make(api)
    assert made.status_code == 201
    assert made.json()["amountUsd"] == made.json()["leftUsd"] == "100"
    assert (made.json()["heldUsd"], made.json()["settledUsd"], made.json()["hard"]) == ("0", "0", True)
    assert api.get("/api/usage/budgets?scope=client").json()["results"] == [made.json()]


def test_a_longer_list_costs_no_more_queries(api: APIClient, django_assert_num_queries: Any) -> None:
    made = [_make(api, name=f"budget {number}", amountUsd=str(number)).json() for number in range(4)]
    raised = api.post(f"/api/usage/budgets/{made[2]['id']}/raise", {"amountUsd": "1"}, format="json").json()

    with django_assert_num_queries(3):  # the caller's key, budgets, their windows
        rows = api.get("/api/usage/budgets").json()["results"]

    assert rows == [*made[:2], raised, made[3]]


def test_a_new_budget_counts_what_was_spent_only_where_it_is_told_to(api: APIClient) -> None:
    ledger.apply([Note(record(hold(), cost_pico=10**12)), Note(record(hold(client="bob"), cost_pico=10**12))])
    assert _make(api, countSoFar=True).json()["leftUsd"] == "99"
    assert BudgetWindow.objects.get().opening_pico == 10**12
    assert _make(api, name="Later").json()["leftUsd"] == "100"


def test_each_figure_of_a_window_is_that_of_its_name(api: APIClient) -> None:
    made = _make(api).json()
    api.post(f"/api/usage/budgets/{made['id']}/raise", {"amountUsd": "0"}, format="json")
    BudgetWindow.objects.update(
        held_pico=3 * 10**12, settled_pico=5 * 10**12, raised_pico=7 * 10**12, overrun_pico=10**12
    )

    told = api.get(f"/api/usage/budgets/{made['id']}").json()

    figures = [told[f"{name}Usd"] for name in ("held", "settled", "raised", "overrun", "left")]
    assert figures == ["3", "5", "7", "1", "99"]


def test_what_was_spent_is_that_of_the_subject(api: APIClient) -> None:
    key = ApiKey.objects.get()
    ledger.apply([Note(record(hold(tags='{"42":"x"}', key_id=key.pk), cost_pico=10**12)), Note(record(hold()))])

    for scope, subject in (("tag", "42=x"), ("key", str(key.pk))):
        made = _make(api, name=scope, scope=scope, subject=subject, countSoFar=True).json()
        assert made["settledUsd"] == "1"


def test_a_changed_limit_holds_in_the_running_period(api: APIClient) -> None:
    ledger.apply([Note(record(hold(), cost_pico=10**12))])
    made, other = (_make(api, name=name, countSoFar=True).json() for name in ("one", "other"))
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    over = {"starts_at": long_ago, "ends_at": long_ago + timedelta(days=31), "cap_pico": 7}
    BudgetWindow.objects.create(id=UUID(int=1), budget_id=made["id"], **over)

    changed = api.patch(f"/api/usage/budgets/{made['id']}", {"amountUsd": "0.5"}, format="json")

    assert changed.json()["leftUsd"] == "-0.5"
    assert api.get(f"/api/usage/budgets/{other['id']}").json() == other
    assert BudgetWindow.objects.get(pk=UUID(int=1)).cap_pico == 7


def test_a_raise_is_of_the_running_period_alone(api: APIClient) -> None:
    made, other = (_make(api, name=name, countSoFar=True).json() for name in ("one", "other"))
    raised = api.post(f"/api/usage/budgets/{made['id']}/raise", {"amountUsd": "25.5"}, format="json")
    assert (raised.status_code, raised.json()["leftUsd"], raised.json()["raisedUsd"]) == (200, "125.5", "25.5")
    assert Budget.objects.get(pk=made["id"]).cap_pico == 100 * 10**12
    assert BudgetWindow.objects.get(budget_id=made["id"]).raised_pico == 255 * 10**11
    assert api.get(f"/api/usage/budgets/{other['id']}").json() == other
    for amount, status in (("-30", 400), ("-25.5", 200)):
        back = api.post(f"/api/usage/budgets/{made['id']}/raise", {"amountUsd": amount}, format="json")
        assert back.status_code == status


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"amountUsd": "-1"}, "amountUsd"),
        ({"amountUsd": "10000000"}, "amountUsd"),
        ({"subject": ""}, "subject"),
        ({"scope": "all"}, "subject"),
        ({"scope": "tag", "subject": "team"}, "subject"),
        ({"scope": "tag", "subject": " = search"}, "subject"),
        ({"scope": "client", "subject": "alcie"}, "subject"),
        ({"scope": "key", "subject": "aip_12345678"}, "subject"),
        ({"scope": "provider", "subject": "OpenAI"}, "subject"),
        ({"timeZone": "Mars/Olympus"}, "timeZone"),
        ({"period": "year"}, "period"),
    ],
)
def test_what_is_wrong_is_named(api: APIClient, given: dict[str, Any], field: str) -> None:
    refused = _make(api, **given)
    assert refused.status_code == 400
    assert field in refused.json()["fields"]
    assert not Budget.objects.exists()


def test_a_key_and_a_provider_are_named_as_calls_are_counted(api: APIClient) -> None:
    provider = Provider.objects.create(name="Open AI", slug="openai", kind="openai")
    key = ApiKey.objects.get()

    for number, written in enumerate((str(key.pk), str(key.pk).upper(), key.pk.hex)):
        assert _make(api, name=f"key {number}", scope="key", subject=written).json()["subject"] == str(key.pk)
    assert _make(api, name="provider", scope="provider", subject=provider.slug).status_code == 201


def test_a_tag_and_an_end_user_are_kept_as_calls_are_counted(api: APIClient) -> None:
    tag = _make(api, name="tag", scope="tag", subject="team = search ").json()
    user = _make(api, name="user", scope="end_user", subject="u" * 200).json()

    assert (tag["subject"], user["subject"]) == ("team=search", "u" * 128)


def test_a_limit_that_its_raise_makes_too_large_is_refused_by_name(api: APIClient) -> None:
    made = _make(api, amountUsd="100").json()
    url = f"/api/usage/budgets/{made['id']}"
    assert api.post(f"{url}/raise", {"amountUsd": "25.5"}, format="json").status_code == 200

    refused = api.patch(url, {"amountUsd": "9000000"}, format="json")

    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["amountUsd"])


@pytest.mark.parametrize("amount", ["9000000.01", "10000000", "1e30", "-1"])
def test_a_limit_that_cannot_be_is_refused_with_what_can(api: APIClient, amount: str) -> None:
    assert _make(api, amountUsd=amount).json()["fields"] == {"amountUsd": ["From 0 to 9,000,000 dollars."]}
    assert _make(api, amountUsd="9000000").status_code == 201


def test_a_budget_that_is_deleted_during_its_raise_is_not_found(api: APIClient) -> None:
    budget = Budget.objects.create(name="all", scope="all", cap_pico=10**12, period="month")
    with deleted_once_found(budget):
        answer = api.post(f"/api/usage/budgets/{budget.pk}/raise", {"amountUsd": "1"}, format="json")

    assert (answer.status_code, answer.json()["error_code"]) == (404, "NOT_FOUND")
    assert not BudgetWindow.objects.exists()


def test_a_raise_above_what_can_be_counted_is_refused_at_its_field(api: APIClient) -> None:
    made = _make(api, amountUsd="8999999").json()

    refused = api.post(f"/api/usage/budgets/{made['id']}/raise", {"amountUsd": "1.01"}, format="json")

    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["amountUsd"])
    assert "at most $9,000,000" in str(refused.json())


def test_a_period_too_dear_to_count_is_refused_at_its_field(api: APIClient) -> None:
    for _ in range(2):
        ledger.apply([Note(record(hold(), cost_pico=4_550_000 * 10**12))])

    assert list(_make(api, countSoFar=True).json()["fields"]) == ["countSoFar"]


def test_another_subject_or_period_is_another_budget(api: APIClient) -> None:
    made = _make(api).json()
    refused = api.patch(f"/api/usage/budgets/{made['id']}", {"subject": "bob"}, format="json")
    assert (refused.status_code, list(refused.json()["fields"])) == (400, ["subject"])
