"""The public SQL schema: every query of its page runs, on both databases, and tells what the books tell."""

from __future__ import annotations

import io
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from core.money import PICO_PER_USD
from core.vault import Secret
from providers.models import Deployment
from providers.operations import ModelSpec, Rates, add_provider
from tests.environment import ROOT
from tests.usage.rows import NOW, hold, record
from usage import ledger, queries, reporting
from usage.budgets import BudgetSpec, window_of
from usage.ledger import Note, Reserve, Settle
from usage.models import Budget, BudgetWindow

pytestmark = pytest.mark.django_db
LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)
PAGE = (ROOT / "docs" / "sql-reporting.md").read_text()
QUERIES = dict(re.findall(r"### ([^\n]+)\n[^`]*```sql\n(.*?)```", PAGE, re.DOTALL))


def rows(sql: str) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@pytest.fixture(autouse=True)
def books() -> None:
    """October and November: two clients, three providers, a retry, an adjustment, an unknown cost, a budget."""
    spec = Budget.objects.create(name="everything", scope="all", cap_pico=10**12, period="month")
    window = window_of(BudgetSpec(spec.pk, "everything", "all", "", 10**12, "month", "UTC", True), NOW)
    for number in range(40):
        at = NOW - timedelta(days=20) + timedelta(hours=13 * number)
        windows = (window,) if at >= window.starts_at else ()
        held = hold(
            started_at=at,
            client=["alice", "bob"][number % 2],
            provider=["openai", "rack"][number % 2],
            end_user=f"u{number % 3}",
            windows=f'["{window.id}"]' if windows else "[]",
        )
        ledger.apply([Reserve(held, windows)])
        ledger.apply([Settle(record(held, cost_pico=10**10 + number, latency_ms=100.0))])
    ledger.apply([Note(record(hold(), status="error", is_final=False, cost_pico=3))])
    ledger.apply([Note(record(hold(), cost_pico=None))])
    correction = {"kind": "adjustment", "is_final": False, "reason": "a wrong price", "author": "carol"}
    ledger.apply([Note(record(hold(), cost_pico=-7, **correction))])
    rates = Rates(input_per_million=Decimal("2.5"), output_per_million=Decimal(10))
    add_provider(
        name="OpenAI",
        slug="openai",
        kind="openai",
        base_url="",
        api_key=Secret("sk-x"),
        priority=1,
        now=LONG_AGO,
        models=[ModelSpec(name="gpt", rates=rates)],
    )


def test_the_page_has_a_dozen_queries_and_more() -> None:
    assert len(QUERIES) == PAGE.count("```sql") >= 12


@pytest.mark.parametrize("question", QUERIES)
def test_each_query_runs_and_finds_something(question: str) -> None:
    assert rows(QUERIES[question])


def test_the_page_names_every_view() -> None:
    assert {name for name in re.findall(r"report_\w+", PAGE) if name != reporting.ROLE} == set(reporting.view_names())


def test_a_month_costs_what_the_books_say() -> None:
    start, end = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
    books = queries.totals(start, end)
    [november] = [row for row in rows(QUERIES["What did each month cost?"]) if str(row["month"]) == "2026-11-01"]

    assert november["calls"] == books.requests
    assert november["not_in_it"] == 1
    assert books.cost_pico is not None
    assert float(november["cost_usd"]) == pytest.approx(books.cost_pico / PICO_PER_USD, rel=1e-14)
    [exact] = rows("SELECT sum(cost_pico) AS pico FROM report_cost_daily WHERE day >= '2026-11-01'")
    assert exact["pico"] == books.cost_pico


@pytest.mark.parametrize(
    "view",
    [
        *("report_cost_quarter_hourly", "report_cost_daily", "report_cost_monthly"),
        *("report_end_users_daily", "report_keys_daily"),
    ],
)
def test_each_sum_is_what_its_name_says(view: str) -> None:
    facts = {"client": "carol", "end_user": "eve", "key_prefix": "aip_carol"}
    tokens = {"input_tokens": 30, "cached_input_tokens": 20, "output_tokens": 9, "reasoning_tokens": 4}
    given: list[dict[str, Any]] = [{"latency_ms": latency, "saved_pico": 3, **tokens} for latency in (100.0, 200.0)]
    for number, status in enumerate(("error", "refused", "cancelled", "cached"), 1):
        given += [{"status": status, "cost_pico": 0, "input_tokens": 0, "output_tokens": 0}] * number
    ledger.apply([Note(record(hold(**facts), **each)) for each in given])

    found = rows(f"SELECT * FROM {view} WHERE client = 'carol'")

    def total(name: str) -> int:
        return sum(int(row[name]) for row in found)

    assert total("calls") == 12
    names = ("failed_calls", "refused_calls", "cancelled_calls", "calls_from_cache")
    assert [total(name) for name in names] == [1, 2, 3, 4]
    assert {name: total(name) for name in tokens} == {name: 2 * each for name, each in tokens.items()}
    assert (total("cost_pico"), total("rows_of_unknown_cost")) == (50, 0)
    assert sum(float(row["cache_savings_usd"]) for row in found) == pytest.approx(6e-12)
    assert [float(row["mean_latency_ms"]) for row in found if row["mean_latency_ms"] is not None] == [150]


def test_a_budgets_amounts_add_up() -> None:
    amounts = {"cap_pico": 100, "raised_pico": 20, "held_pico": 7, "settled_pico": 50, "overrun_pico": 3}
    BudgetWindow.objects.update(**amounts)
    [row] = rows("SELECT * FROM report_budgets")
    expected = {"cap": 120, "raised": 20, "held": 7, "settled": 50, "left": 63, "overrun": 3}
    assert {name: round(float(row[f"{name}_usd"]) * 1e12) for name in expected} == expected


def test_a_call_is_its_last_attempt_and_its_cost_has_three_parts() -> None:
    costs = {"cost_pico": 6, "input_cost_pico": 1, "output_cost_pico": 2, "request_cost_pico": 3}
    for is_final in (True, False):
        ledger.apply([Note(record(hold(client="carol"), is_final=is_final, **costs))])
    found = rows("SELECT * FROM report_usage WHERE client = 'carol' ORDER BY is_call")
    assert [bool(row["is_call"]) for row in found] == [False, True]
    for row in found:
        assert {name: round(float(row[f"{name[:-5]}_usd"]) * 1e12) for name in costs} == costs


def test_money_is_exact_on_postgresql_and_nearest_on_sqlite() -> None:
    [row] = rows("SELECT cost_usd, cost_pico FROM report_usage WHERE is_adjustment")
    assert row["cost_pico"] == -7
    if connection.vendor == "postgresql":
        assert row["cost_usd"] == Decimal("-0.000000000007")
    else:
        assert row["cost_usd"] == -7e-12


def test_money_sorts_and_compares_as_a_number() -> None:
    found = rows("SELECT cost_usd FROM report_usage WHERE cost_usd > 0.009 ORDER BY cost_usd")
    costs = [row["cost_usd"] for row in found]
    assert len(costs) == 40
    assert costs == sorted(costs)


def test_a_team_is_found_by_its_tag() -> None:
    assert {row["team"] for row in rows(QUERIES["What does a team cost, by its tag?"])} == {"search"}


def test_a_correction_names_who_and_why() -> None:
    [row] = rows(QUERIES["What was corrected afterwards, by whom and why?"])
    assert (row["reason"], row["author"]) == ("a wrong price", "carol")


def test_a_try_is_what_was_sent() -> None:
    nowhere = hold(provider="", provider_id=None, deployment="", deployment_id=None, attempt=0)
    ledger.apply([Note(record(nowhere, status="error", error_code="PROVIDER_UNAVAILABLE", cost_pico=0))])

    [failed] = rows(QUERIES["What do failed and repeated tries cost us?"])
    assert (failed["provider"], failed["tries"]) == ("openai", 1)


def test_a_refusal_beside_an_unknown_cost_does_not_make_it_known() -> None:
    facts = {"client": "carol", "end_user": "eve", "key_prefix": "aip_carol"}
    ledger.apply([Note(record(hold(**facts), cost_pico=None))])
    ledger.apply([Note(record(hold(**facts), status="refused", evidence="none", cost_pico=0))])

    for view in ("report_keys_daily", "report_end_users_daily"):
        [row] = rows(f"SELECT * FROM {view} WHERE client = 'carol'")
        assert (row["cost_pico"], row["cost_usd"], row["rows_of_unknown_cost"]) == (None, None, 1)


@pytest.mark.parametrize("session_zone", ["UTC", "Asia/Kathmandu", "America/New_York"])
def test_november_is_the_same_whatever_the_sessions_zone(session_zone: str) -> None:
    start, end = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
    just_before = timedelta(milliseconds=1)
    for cost_pico, at in enumerate((start - just_before, start, end - just_before, end), 1):
        at_the_edge = hold(started_at=at, tags='{"team":"edge"}', provider="edge")
        ledger.apply([Note(record(at_the_edge, status="error", cost_pico=cost_pico))])
        ledger.apply([Note(record(hold(started_at=at), kind="adjustment", is_final=False, author="edge"))])
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('TimeZone', %s, true)", [session_zone])

    [team] = [row for row in rows(QUERIES["What does a team cost, by its tag?"]) if row["team"] == "edge"]
    [failed] = [row for row in rows(QUERIES["What do failed and repeated tries cost us?"]) if row["provider"] == "edge"]
    corrected = rows(QUERIES["What was corrected afterwards, by whom and why?"])

    assert float(team["cost_usd"]) == float(failed["cost_usd"]) == pytest.approx((2 + 3) * 1e-12)
    assert len([row for row in corrected if row["author"] == "edge"]) == 2


def test_of_budgets_the_periods_are_told_that_november_ended_in() -> None:
    for name, starts, ends in (("before", 29, 30), ("last", 30, 31), ("next", 31, 32)):
        budget = Budget.objects.create(name=name, scope="all", cap_pico=1, period="day")
        first = datetime(2026, 11, 1, tzinfo=UTC) - timedelta(days=1)
        BudgetWindow.objects.create(
            id=uuid4(),
            budget=budget,
            starts_at=first + timedelta(days=starts),
            ends_at=first + timedelta(days=ends),
            cap_pico=1,
        )

    in_tokyo = Budget.objects.create(name="tokyo", scope="all", cap_pico=1, period="month", time_zone="Asia/Tokyo")
    BudgetWindow.objects.create(
        id=uuid4(),
        budget=in_tokyo,
        starts_at=datetime(2026, 10, 31, 15, tzinfo=UTC),
        ends_at=datetime(2026, 11, 30, 15, tzinfo=UTC),
        cap_pico=1,
    )

    found = rows(QUERIES["Which budgets are nearly spent?"])

    assert {row["budget"] for row in found} == {"everything", "last", "tokyo"}


def test_a_price_is_in_force_from_its_first_moment_until_the_next_ones() -> None:
    prices, today = Deployment.objects.get().prices, timezone.now()
    for days, rate in ((-90, 3), (-60, 4), (60, 5)):
        at = today + timedelta(days=days)
        prices.create(valid_from=at, input_per_million=Decimal(rate), output_per_million=Decimal(rate))

    [row] = rows(QUERIES["Which prices are in force, and since when?"])

    assert float(row["input_per_million"]) == 4


def test_one_models_next_price_ends_no_others() -> None:
    first = Deployment.objects.get()
    other = Deployment.objects.create(provider=first.provider, name="other")
    later = LONG_AGO + timedelta(days=1)
    other.prices.create(valid_from=later, input_per_million=Decimal(1), output_per_million=Decimal(1))
    assert [row["valid_until"] for row in rows("SELECT valid_until FROM report_prices")] == [None, None]


def test_a_price_has_its_tiers_beside_it() -> None:
    price = Deployment.objects.get().prices.get()
    price.tiers.create(above_tokens=200_000, input_per_million=Decimal(5), output_per_million=Decimal(20))
    found = rows(QUERIES["Which prices are in force, and since when?"])
    assert [(row["above_tokens"], float(row["input_per_million"])) for row in found] == [(0, 2.5), (200_000, 5.0)]


def test_views_that_are_as_they_should_be_are_left_alone(django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(20) as ran:
        reporting.install_views()
    assert not [query for query in ran if "CREATE VIEW" in query["sql"]]
    reporting.drop_views()
    reporting.install_views()
    assert rows("SELECT 1 FROM report_usage LIMIT 1")


def test_a_view_of_another_version_is_made_anew() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP VIEW report_exchange_rates")
        cursor.execute("CREATE VIEW report_exchange_rates AS SELECT 1 AS outdated")
        if connection.vendor == "postgresql":
            cursor.execute(f"COMMENT ON VIEW report_exchange_rates IS '{reporting._mark('another')}'")
    reporting.install_views()
    assert rows("SELECT currency, valid_from, usd_per_unit FROM report_exchange_rates") == []


@pytest.mark.django_db(transaction=True)
def test_the_role_reads_the_views_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("one that leaked\na long ' password\n"))
    if connection.vendor != "postgresql":
        with pytest.raises(CommandError, match="SQLite knows no roles"):
            call_command("reportrole")
        return
    for _ in range(2):  # its password is changed
        call_command("reportrole", stdout=io.StringIO())
    reporting.drop_views()
    reporting.install_views()  # its rights come back with the views
    facts = connection.get_connection_params()
    login = {"host": facts["host"], "port": facts["port"], "dbname": facts["dbname"]}
    with psycopg.connect(**login, user=reporting.ROLE, password="a long ' password") as reader:
        assert reader.execute("SHOW default_transaction_read_only").fetchone() == ("on",)
        for name in reporting.view_names():
            reader.execute(f"SELECT * FROM {name} LIMIT 1")
        for forbidden in ("SELECT * FROM usage_usagerecord", "DELETE FROM report_prices", "CREATE TABLE t (y int)"):
            with pytest.raises(psycopg.Error), reader.transaction():
                reader.execute(forbidden)
    with connection.cursor() as cursor:
        cursor.execute(f"DROP OWNED BY {reporting.ROLE}; DROP ROLE {reporting.ROLE}")
