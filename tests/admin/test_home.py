"""The home page: figures when there are calls, what to do next when there are none."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client as Browser
from django.utils import timezone

from providers.models import Deployment, Health, Provider, Route
from tests.usage.rows import book, hold, record
from usage import ledger, queries
from usage.ledger import Note
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
    linked = set(re.findall(r'href="(/admin/[^"]*)"', text)) - {"/admin/logout/"}
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
