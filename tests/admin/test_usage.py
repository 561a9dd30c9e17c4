"""Calls and calls in flight can be read, found and never changed."""

from __future__ import annotations

import csv
import io
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from core.ids import uuid7_at
from tests.api.test_exports import chunks
from tests.usage.rows import book
from usage.models import UsageRecord

LIST = "/admin/usage/usagerecord/"


def call(**facts: Any) -> UsageRecord:
    at = facts.pop("at", timezone.now() - timedelta(seconds=5))
    defaults: dict[str, Any] = {
        "id": uuid7_at(int(at.timestamp() * 1000)),
        "started_at": at,
        "ended_at": at,
        "client": "shop",
        "provider": "openai",
        "deployment": "gpt-5",
        "status": "ok",
        "evidence": "reported",
        "cost_pico": 12_500_000,
        "request_id": "req_1",
    }
    row = UsageRecord(**{**defaults, **facts})
    book(row)
    return row


def listed(staff: Browser, **query: str) -> set[Any]:
    answer = staff.get(LIST, query)
    assert answer.status_code == 200
    return {row.pk for row in answer.context["cl"].result_list}


@pytest.mark.parametrize("name", ["usagerecord", "hold"])
def test_rows_cannot_be_added_changed_or_deleted(staff: Browser, filled: None, name: str) -> None:
    from usage.models import Hold

    model: Any = {"usagerecord": UsageRecord, "hold": Hold}[name]
    row, before = model.objects.first(), model.objects.count()
    assert staff.post(f"/admin/usage/{name}/add/", {}).status_code == 403
    assert staff.post(reverse(f"admin:usage_{name}_change", args=[row.pk]), {"client": "x"}).status_code == 403
    assert staff.post(reverse(f"admin:usage_{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
    staff.post(f"/admin/usage/{name}/", {"action": "delete_selected", "_selected_action": [str(row.pk)], "post": "yes"})
    assert model.objects.count() == before


def test_costs_are_exact_and_an_unknown_one_is_called_so(staff: Browser) -> None:
    call()
    unknown = call(cost_pico=None)
    text = staff.get(LIST).content.decode()
    assert "$0.0000125" in text
    assert "unknown" in text
    assert "unknown" in staff.get(reverse("admin:usage_usagerecord_change", args=[unknown.pk])).content.decode()


def test_the_list_counts_nothing(staff: Browser, filled: None) -> None:
    with CaptureQueriesContext(
        connection,
    ) as ran:
        staff.get(LIST)
    assert [query["sql"] for query in ran if "COUNT(" in query["sql"] and "usage_usagerecord" in query["sql"]] == []


def test_thirty_days_are_shown_unless_another_period_is_asked_for(staff: Browser) -> None:
    now = timezone.now()
    new, old = call(at=now - timedelta(seconds=1)), call(at=now - timedelta(days=40))
    assert listed(staff) == {new.pk}
    assert listed(staff, period="all") == {new.pk, old.pk}
    day = timezone.localdate(old.started_at).isoformat()
    assert listed(staff, started_at_from=day, started_at_to=day) == {old.pk}


def test_the_last_days_are_downloaded_for_a_spreadsheet(staff: Browser) -> None:
    call(request_id="req_downloaded")
    answer = staff.get(f"{LIST}download", follow=True)
    assert answer["Content-Disposition"].startswith('attachment; filename="usage-')


def test_what_is_downloaded_is_what_the_filters_leave(staff: Browser) -> None:
    now = timezone.now()
    old = now - timedelta(days=40)
    call(request_id="req_wanted", client="blog", status="error")
    call(request_id="req_other"), call(request_id="req_fine", client="blog"), call(request_id="req_old", at=old)
    filters = "status__exact=error&client=blog"
    page = staff.get(f"{LIST}?{filters}").content.decode()
    assert f'href="{LIST}download/?{filters.replace("&", "&amp;")}"' in page

    assert _downloaded(staff, filters) == ["req_wanted"]
    assert "req_old" not in _downloaded(staff, "")
    assert "req_old" in _downloaded(staff, "period=all")
    assert _downloaded(staff, f"started_at_from={old:%Y-%m-%d}&started_at_to={old:%Y-%m-%d}") == ["req_old"]
    assert "req_old" not in _downloaded(staff, "period=today")


def _downloaded(staff: Browser, filters: str) -> list[str]:
    answer: Any = staff.get(f"{LIST}download/?{filters}", follow=True)
    return [line["request_id"] for line in csv.DictReader(io.StringIO("".join(chunks(answer))))]


def test_filters_and_search(staff: Browser) -> None:
    ok = call(end_user="ann", requested_model="default")
    failed = call(status="error", client="blog", request_id="req_2", deployment="claude", provider="anthropic")
    assert listed(staff, status__exact="error") == {failed.pk}
    assert listed(staff, client="shop") == {ok.pk}
    assert listed(staff, provider="anthropic") == {failed.pk}
    assert listed(staff, q="req_2") == {failed.pk}
    assert listed(staff, q="ann") == {ok.pk}
    assert listed(staff, q="clau") == {failed.pk}
    assert listed(staff, q=str(ok.pk)) == {ok.pk}
    assert listed(staff, q="nothing like it") == set()


def test_calls_of_administrators_are_found(staff: Browser) -> None:
    call()
    asked = call(client="admin")
    assert '<option value="admin"' in staff.get(LIST).content.decode()
    assert listed(staff, client="admin") == {asked.pk}


@pytest.mark.parametrize("name", ["started_at_from", "started_at_to"])
@pytest.mark.parametrize("day", ["0001-01-01", "1969-12-31", "9999-12-31", "yesterday"])
def test_a_day_at_which_nothing_can_have_happened_hides_nothing(staff: Browser, name: str, day: str) -> None:
    call(request_id="req_seen", end_user="zoe")

    answer = staff.get(LIST, {name: day})

    assert answer.status_code == 200
    assert "zoe" in answer.content.decode()


def test_an_adjustment_says_what_it_corrects_and_why(staff: Browser) -> None:
    row = call(cost_pico=None)
    at = row.started_at + timedelta(milliseconds=1)
    note = call(at=at, kind="adjustment", is_final=False, adjusts_id=row.pk, reason="priced later", author="ann")
    text = staff.get(reverse("admin:usage_usagerecord_change", args=[note.pk])).content.decode()
    assert reverse("admin:usage_usagerecord_change", args=[row.pk]) in text
    assert "priced later · ann" in text


def test_a_good_calls_page_has_no_word_of_what_went_wrong(staff: Browser) -> None:
    def page(row: UsageRecord) -> str:
        return staff.get(reverse("admin:usage_usagerecord_change", args=[row.pk])).content.decode()

    assert "What went wrong" not in page(call())
    assert "What went wrong" in page(call(status="error", error_code="PROVIDER_TIMEOUT", error_detail="Too slow."))
    correction = page(call(kind="adjustment", is_final=False, adjusts_id=call().pk))
    assert "tried again" not in correction
    assert "corrects what an earlier row says" in correction


def test_a_calls_page_explains_itself(staff: Browser, filled: None) -> None:
    row = UsageRecord.objects.filter(status="ok", price_id__isnull=False).first()
    assert row is not None
    text = staff.get(reverse("admin:usage_usagerecord_change", args=[row.pk])).content.decode()
    assert "The provider said how many tokens it used" in text
    assert reverse("admin:providers_price_change", args=[row.price_id]) in text
    assert reverse("admin:providers_deployment_change", args=[row.deployment_id]) in text
