"""The home page: figures when there are calls, what to do next when there are none."""

from __future__ import annotations

import html
import json
import re
import shlex
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client as Browser
from django.utils import timezone

from accounts.models import ApiKey, Client
from aiplatform import dashboard
from alerts.models import Incident, Rule
from providers.models import Deployment, Health, Provider, Route
from tests.usage.rows import book, hold, record
from usage import ledger, queries
from usage.ledger import Note, Reserve
from usage.models import UsageRecord


def home(staff: Browser) -> tuple[dict[str, Any], str]:
    answer = staff.get("/admin/")
    assert answer.status_code == 200
    return answer.context["home"], answer.content.decode()


def test_an_empty_installation_says_what_to_do_next(staff: Browser) -> None:
    figures, text = home(staff)
    assert [step.done for step in figures["steps"]] == [False, False, False]
    assert "Add a provider" in text
    assert "curl ADDRESS/v1/chat/completions" in text


def test_steps_that_are_done_are_ticked(staff: Browser, filled: None) -> None:
    figures, _ = home(staff)
    assert figures["steps"] == []


def test_the_figures_are_those_of_the_books(staff: Browser, filled: None) -> None:
    figures, text = home(staff)
    chart = json.loads(re.findall(r'<script id="aip-chart-data" type="application/json">(.*?)</script>', text)[0])
    since = timezone.localdate() - timedelta(days=29)
    rows = [row for row in UsageRecord.objects.all() if timezone.localdate(row.started_at) >= since]
    assert len(chart["days"]) == 30
    assert sum(sum(line["calls"]) for line in chart["lines"]) == len(rows)
    drawn = sum(sum(line["cost"]) for line in chart["lines"])
    assert abs(drawn - sum(row.cost_pico or 0 for row in rows) / 10**12) < 1e-9
    assert [card.value for card in figures["cards"]][-1] == "3"


def test_notices_tell_of_stale_checks_unknown_costs_and_the_catch_all_route(staff: Browser, filled: None) -> None:
    Health.objects.update(checked_at=timezone.now() - timedelta(hours=2))
    Route.objects.update(catch_all=True)
    row = UsageRecord.objects.filter(status="ok").latest("id")
    book(_copy(row, cost_pico=None))
    _, text = home(staff)
    for told in ("last checked 2 hours ago", "is unknown", "answers calls for any unknown model name"):
        assert told in text


def test_who_may_see_calls_alone_is_led_nowhere_that_is_closed(filled: None) -> None:
    Route.objects.update(catch_all=True)
    Deployment.objects.create(provider=Provider.objects.filter(is_active=True)[0], name="unpriced")
    reader = User.objects.create_user("bea", password="a-long-password", is_staff=True)
    reader.user_permissions.set(Permission.objects.filter(codename="view_usagerecord"))
    browser = Browser()
    browser.force_login(reader)

    _, text = home(browser)

    assert "No price for" in text
    linked = set(map(html.unescape, re.findall(r'href="(/admin/[^"]*)"', text))) - {"/admin/logout/"}
    assert {path: browser.get(path).status_code for path in linked if browser.get(path).status_code != 200} == {}


def _copy(row: UsageRecord, **changes: Any) -> UsageRecord:
    from core.ids import uuid7

    values = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    now = timezone.now()
    return UsageRecord(**{**values, "id": uuid7(), "started_at": now, "ended_at": now, **changes})


def test_a_provider_that_is_down_is_told_first_hand(staff: Browser, filled: None) -> None:
    figures, _ = home(staff)
    states = {card.name: card.state for card in figures["providers"]}
    assert states["Our own machines"] == "Not answering"
    assert states["OpenAI"] == "Healthy"
    assert states["Demo"] == "Never checked"
    assert len(states) == Provider.objects.filter(is_active=True).count()


def test_calls_of_today_that_failed_and_that_were_refused_are_counted_apart(staff: Browser, filled: None) -> None:
    row = UsageRecord.objects.filter(status="ok").latest("id")
    nowhere = {"provider": "", "provider_id": None, "deployment": "", "deployment_id": None, "evidence": "none"}
    before = queries.totals(*_today())
    book(*(_copy(row, status="error", error_code="PROVIDER_UNAVAILABLE", cost_pico=0, **nowhere) for _ in range(2)))
    book(*(_copy(row, status="refused", error_code="RATE_LIMITED", cost_pico=0, **nowhere) for _ in range(23)))

    figures, _ = home(staff)

    note = next(card.note for card in figures["cards"] if card.title == "Calls today")
    assert note == f"{before.errors + 2:,} failed, {before.refused + 23:,} refused"


@pytest.mark.parametrize(
    ("calls", "note", "listed"),
    [
        ({"ok": 1}, "none failed", ""),
        ({"ok": 1, "interrupted": 2}, "2 interrupted", "&status__exact=interrupted"),
        ({"error": 1, "interrupted": 2, "refused": 3}, "1 failed, 2 interrupted, 3 refused", "&status__exact=error"),
    ],
)
def test_the_link_of_the_calls_that_failed_leads_to_them(
    staff: Browser, calls: dict[str, int], note: str, listed: str
) -> None:
    for status, number in calls.items():
        ledger.apply([Note(record(hold(started_at=timezone.now()), status=status)) for _ in range(number)])

    card = next(card for card in home(staff)[0]["cards"] if card.title == "Calls today")

    assert card.note == note
    assert card.url == f"/admin/usage/usagerecord/?period=today{listed}"


def test_calls_that_are_swept_meanwhile_leave_no_fewer_than_none_that_failed(staff: Browser) -> None:
    is_sweeping = False

    def sweep_first(execute: Any, sql: str, params: Any, many: Any, context: Any) -> Any:
        nonlocal is_sweeping
        if not is_sweeping and "usage_" in sql:
            is_sweeping = True
            ledger.apply([Note(record(hold(started_at=timezone.now()), status="interrupted"))])
            is_sweeping = False
        return execute(sql, params, many, context)

    with connection.execute_wrapper(sweep_first):
        card = next(card for card in home(staff)[0]["cards"] if card.title == "Calls today")

    assert "interrupted" in card.note
    assert "-" not in card.note


def _today() -> tuple[datetime, datetime]:
    zone = timezone.get_default_timezone()
    midnight = queries.bucket_start(timezone.now(), "day", zone)
    return midnight, queries.next_bucket(midnight, "day", zone)


# --- at a known moment --------------------------------------------------------------------------------------------

KATHMANDU = ZoneInfo("Asia/Kathmandu")
NOW = datetime(2026, 11, 10, 12, tzinfo=KATHMANDU)
CALLS = "10 calls of the last 5 minutes"


@pytest.fixture
def ada(db: None) -> User:
    return User.objects.create_superuser("ada")


def of(ada: User) -> dict[str, Any]:
    return dashboard._home(ada, now=NOW, zone=KATHMANDU)


def called(at: datetime, *, calls: int = 1, status: str = "ok", **given: Any) -> None:
    """Calls for a dollar each, unless told otherwise."""
    figures = {"status": status, "cost_pico": 10**12} | {
        name: given.pop(name) for name in ("cost_pico", "input_tokens", "output_tokens") if name in given
    }
    at = at.astimezone(UTC)
    ledger.apply([Note(record(hold(started_at=at, **given), **figures)) for _ in range(calls)])


def test_each_card_tells_its_own_time(ada: User) -> None:
    midnight = NOW.replace(hour=0)
    called(midnight, calls=2, cost_pico=1_250_000_000_001, input_tokens=700, output_tokens=30)
    called(midnight - timedelta(milliseconds=1), calls=3, cost_pico=10 * 10**12, input_tokens=1, output_tokens=0)
    called(midnight.replace(day=1), cost_pico=0, input_tokens=0, output_tokens=0)
    called(midnight.replace(day=1) - timedelta(milliseconds=1), calls=50)
    ledger.apply([Reserve(hold(amount_pico=5 * 10**11))])

    cards = [(card.title, card.value, card.note, card.exact) for card in of(ada)["cards"]]

    assert cards == [
        ("Spent today", "$2.50", "2 calls, 1,460 tokens", "$2.500000000002"),
        ("Spent in November", "$32.50", "6 calls, 1,463 tokens", "$32.500000000002"),
        ("Calls today", "2", "none failed", ""),
        ("In flight now", "1", "at most $0.50", ""),
    ]
    urls = [card.url.rpartition("/")[2] for card in of(ada)["cards"]]
    assert urls == ["?period=today", "?period=month", "?period=today", ""]


@pytest.mark.parametrize(("failed", "tone"), [(1, ""), (2, "bad")])
def test_more_than_one_call_of_twenty_that_fails_is_bad(ada: User, failed: int, tone: str) -> None:
    called(NOW, calls=20 - failed)
    called(NOW, calls=failed, status="error", cost_pico=0)

    assert of(ada)["cards"][2].tone == tone


def test_each_days_costs_are_drawn_on_it_by_the_dearest_provider_first(ada: User) -> None:
    Provider.objects.create(name="OpenAI (Europe)", slug="openai", kind="demo")
    first = datetime(2026, 10, 12, tzinfo=KATHMANDU)
    called(first - timedelta(milliseconds=1), calls=9)
    called(first, calls=1)
    called(NOW, calls=2)
    called(NOW, calls=2, provider="gone", cost_pico=5 * 10**12)
    called(NOW, provider="", provider_id=None, status="refused", cost_pico=0)

    chart = of(ada)["chart"]

    assert (chart["days"][0], chart["days"][-1], len(chart["days"])) == ("12 Oct", "10 Nov", 30)
    none = [0] * 28
    assert [(line["name"], line["cost"], line["calls"]) for line in chart["lines"]] == [
        ("gone", [0, *none, 10], [0, *none, 2]),
        ("OpenAI (Europe)", [1, *none, 2], [1, *none, 2]),
        ("no provider", [0, *none, 0], [0, *none, 1]),
    ]


@pytest.mark.parametrize(("clock", "said"), [("Europe/Berlin", "Asia/Kathmandu"), ("Asia/Kathmandu", "")])
def test_whose_midnights_part_the_days_is_said_where_the_reader_has_others(ada: User, clock: str, said: str) -> None:
    with timezone.override(ZoneInfo(clock)):
        assert of(ada)["days_of"] == said


def test_the_dearest_six_of_the_month_are_told_against_the_dearest(ada: User) -> None:
    for number in range(1, 8):
        called(NOW.replace(day=2), calls=number, client=f"client-{number}", deployment=f"model-{number}")
    called(NOW.replace(month=10), calls=99, client="october", deployment="october")

    found = of(ada)

    shares = [100, 86, 71, 57, 43, 29]
    for name, rows in (("client", found["clients"]), ("model", found["models"])):
        assert [(row.name, row.calls, row.cost, row.share) for row in rows] == [
            (f"{name}-{number}", str(number), f"${number}.00", share)
            for number, share in zip(range(7, 1, -1), shares, strict=True)
        ]


def test_what_callers_and_operators_have_named_is_text_on_the_page(staff: Browser) -> None:
    evil = "<script>alert(1)</script>"
    provider = Provider.objects.create(name=f"Provider {evil}", slug="openai", kind="demo")
    Deployment.objects.create(provider=provider, name=f"Deployment {evil}")
    called(timezone.now(), client=f"Client {evil}", deployment=f"Model {evil}")

    _, text = home(staff)

    assert evil not in text
    for what in ("Provider", "Deployment", "Client", "Model"):
        assert f"{what} &lt;script&gt;alert(1)&lt;/script&gt;" in text


@pytest.mark.parametrize(
    ("status", "checked", "failed", "told"),
    [
        ("healthy", 2, 0, ("Healthy", "good", "240 ms, 2 minutes ago")),
        ("unhealthy", 2, 0, ("Not answering", "bad", "Refused. Checked 2 minutes ago.")),
        ("healthy", 6, 0, ("Not known", "", "Last checked 6 minutes ago. Is the background worker running?")),
        ("healthy", 2, 2, ("Failing at times", "bad", f"2 of the {CALLS} failed. Checked 2 minutes ago.")),
        ("healthy", 6, 10, ("Not answering", "bad", f"10 of the {CALLS} failed.")),
        ("", 0, 0, ("Never checked", "", "")),
        ("", 0, -1, ("Healthy", "good", "")),
        ("unhealthy", 2, -1, ("Healthy", "good", f"All {CALLS} were answered. Checked 2 minutes ago.")),
    ],
)
def test_a_provider_is_said_to_do_as_its_calls_and_its_check_tell(
    ada: User, status: str, checked: int, failed: int, told: tuple[str, str, str]
) -> None:
    """`status` "": there was no check. `failed`: of ten calls; -1: all went well; 0: there were none."""
    row = Provider.objects.create(name="OpenAI", slug="openai", kind="openai")
    Provider.objects.create(name="Off", slug="off", kind="openai", is_active=False)
    at, latency_ms = NOW - timedelta(minutes=checked), 240 if status == "healthy" else None
    if status:
        Health.objects.create(provider=row, status=status, detail="Refused.", latency_ms=latency_ms, checked_at=at)
    if failed:
        for number in range(10):
            answer = {"status": "error", "error_code": "PROVIDER_ERROR"} if number < failed else {}
            at = (NOW - timedelta(minutes=1)).astimezone(UTC)
            held = hold(started_at=at, provider_id=row.pk)
            ledger.apply([Note(record(held, ended_at=at, **answer))])

    [card] = of(ada)["providers"]

    assert (card.state, card.tone, card.note) == told


def test_a_step_is_done_where_what_it_made_is_of_use(ada: User) -> None:
    demo = Provider.objects.create(name="Demo", slug="demo", kind="demo")
    Deployment.objects.create(provider=demo, name="demo")
    off = Provider.objects.create(name="OpenAI", slug="openai", kind="openai", is_active=False)
    ApiKey.mint(client=Client.objects.create(name="shop"), name="production")
    ApiKey.objects.update(is_active=False)
    first, *others = of(ada)["steps"]
    assert (first.text, first.hint[-28:]) == ("Add a provider of your own", "Until then the demo answers.")
    assert not any(step.done for step in (first, *others))

    Provider.objects.filter(pk=off.pk).update(is_active=True)
    ApiKey.objects.update(is_active=True)

    assert [step.done for step in of(ada)["steps"]] == [True, True, False]


def told(ada: User) -> str:
    return "\n".join(notice.text for notice in of(ada)["notices"])


@pytest.mark.parametrize(
    ("severities", "state", "said"),
    [
        (["info"], "open", ""),
        (["info", "warning"], "open", "2 incidents are open."),
        (["critical"], "resolved", ""),
    ],
)
def test_of_open_incidents_the_page_tells_where_one_needs_somebody(
    ada: User, severities: list[str], state: str, said: str
) -> None:
    for severity in severities:
        rule = Rule.objects.create(name=severity, measure="cost", scope="all", limit=1)
        Incident.objects.create(
            rule=rule, severity=severity, state=state, value=1, worst=1, limit=1, since=NOW, opened_at=NOW, seen_at=NOW
        )

    assert told(ada) == said


def test_what_is_switched_off_brings_no_notice(ada: User) -> None:
    off = Provider.objects.create(name="OpenAI", slug="openai", kind="openai", is_active=False)
    Deployment.objects.create(provider=off, name="unpriced")
    Health.objects.create(provider=off, status="healthy", checked_at=NOW - timedelta(days=9))
    Route.objects.create(name="anything", catch_all=True, is_active=False)
    Route.objects.create(name="nowhere")

    assert told(ada) == ""


def test_routes_that_lead_nowhere_are_named_up_to_three_the_default_first(ada: User) -> None:
    active = Provider.objects.create(name="OpenAI", slug="openai", kind="openai")
    Deployment.objects.create(provider=active, name="gpt")
    for name in ("a", "b", "c", "default"):
        Route.objects.create(name=name)
    assert "No active model stands behind 1 more route: its calls fail." in told(ada)
    Route.objects.create(name="d")

    said = told(ada)

    assert "No active chat model stands behind the route “default”" in said
    assert [name for name in "abcd" if f"the route “{name}”" in said] == ["a", "b"]
    assert "No active model stands behind 2 more routes: their calls fail." in said


def test_one_check_of_late_says_that_the_worker_runs(ada: User) -> None:
    for slug, minutes in (("old", 60), ("new", 1)):
        row = Provider.objects.create(name=slug, slug=slug, kind="demo")
        Health.objects.create(provider=row, status="healthy", checked_at=NOW - timedelta(minutes=minutes))

    assert "background worker" not in told(ada)


def test_the_first_call_to_paste_names_what_answers_and_survives_the_shell(ada: User) -> None:
    """The first routes by name lead to a model that is off, to one for texts' vectors, or are off."""
    provider = Provider.objects.create(name="OpenAI", slug="openai", kind="openai")
    off = Deployment.objects.create(provider=provider, name="a-off", is_active=False)
    vectors = Deployment.objects.create(provider=provider, name="b", type=Deployment.Type.EMBEDDING)
    assert _pasted(ada)["model"] == "default"
    chat = Deployment.objects.create(provider=provider, name="""Bea's "own" model""")
    for name, model, is_active in (("a-off", off, True), ("b-vectors", vectors, True), ("c-off", chat, False)):
        Route.objects.create(name=name, is_active=is_active).targets.create(deployment=model)
    assert _pasted(ada)["model"] == chat.name

    Route.objects.create(name="it's").targets.create(deployment=chat)

    assert _pasted(ada)["model"] == "it's"


def _pasted(ada: User) -> Any:
    """The body that the shell makes of it."""
    return json.loads(shlex.split(of(ada)["curl"].replace("\\\n", " "))[-1])
