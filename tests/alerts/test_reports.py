"""Reports: which period is due, sent once, and adding up to the books in any time zone."""

from __future__ import annotations

import csv
import io
import re
import threading
import zipfile
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from PIL import Image, ImageColor

from alerts import outbox
from alerts.models import Channel, Delivery, ReportSchedule
from alerts.reports import charts, schedules, writing
from alerts.reports.figures import BudgetLine, Report, Span, as_csv, collect
from core.money import pico_from_usd
from providers.models import Deployment, Price, Provider
from tests.alerts.conftest import NOON, Calls, send_all
from tests.alerts.receivers import MailReceiver
from usage import queries, spending
from usage.models import Budget
from usage.periods import Period

BERLIN, KATHMANDU, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kathmandu"), ZoneInfo("America/New_York")


@pytest.fixture
def schedule(email_channel: Channel) -> ReportSchedule:
    return _schedule(email_channel)


def _schedule(channel: Channel, **facts: Any) -> ReportSchedule:
    usual = {"name": "AI costs", "period": "day", "time_zone": "Europe/Berlin", "covered_until": NOON}
    made = ReportSchedule.objects.create(**usual | facts)
    made.channels.add(channel)
    return made


def due(period: Period, zone: ZoneInfo, now: str, send_at: time = time(7)) -> tuple[str, str, str]:
    """(first moment, last moment, when it is sent), by that zone's clock."""
    found = schedules.last_due(period=period, send_at=send_at, zone=zone, now=datetime.fromisoformat(now))
    moments = (found.span.starts_at, found.span.ends_at, found.sent_at)
    return tuple(f"{moment.astimezone(zone):%m-%d %H:%M}" for moment in moments)  # type: ignore[return-value]  # it is three


@pytest.mark.parametrize(
    ("period", "zone", "now", "expected"),
    [
        ("day", BERLIN, "2026-03-11T06:59+01:00", ("03-09 00:00", "03-10 00:00", "03-10 07:00")),
        ("day", BERLIN, "2026-03-11T07:00+01:00", ("03-10 00:00", "03-11 00:00", "03-11 07:00")),
        ("day", BERLIN, "2026-03-30T07:00+02:00", ("03-29 00:00", "03-30 00:00", "03-30 07:00")),
        ("day", BERLIN, "2026-10-26T12:00+01:00", ("10-25 00:00", "10-26 00:00", "10-26 07:00")),
        ("week", BERLIN, "2026-03-09T06:00+01:00", ("02-23 00:00", "03-02 00:00", "03-02 07:00")),
        ("week", BERLIN, "2026-03-09T08:00+01:00", ("03-02 00:00", "03-09 00:00", "03-09 07:00")),
        ("month", BERLIN, "2026-03-01T08:00+01:00", ("02-01 00:00", "03-01 00:00", "03-01 07:00")),
        ("month", BERLIN, "2026-03-01T06:00+01:00", ("01-01 00:00", "02-01 00:00", "02-01 07:00")),
        ("month", KATHMANDU, "2026-01-31T18:14:59+00:00", ("12-01 00:00", "01-01 00:00", "01-01 07:00")),
        ("month", KATHMANDU, "2026-02-01T01:15:00+00:00", ("01-01 00:00", "02-01 00:00", "02-01 07:00")),
    ],
)
def test_which_period_is_due(period: Period, zone: ZoneInfo, now: str, expected: tuple[str, str, str]) -> None:
    assert due(period, zone, now) == expected


def test_a_time_that_the_clocks_skip_is_sent_after_the_gap() -> None:
    """2:30 does not exist on 29 March in Berlin."""
    assert due("day", BERLIN, "2026-03-29T03:29+02:00", time(2, 30))[1] == "03-28 00:00"
    assert due("day", BERLIN, "2026-03-29T03:30+02:00", time(2, 30))[1] == "03-29 00:00"


def test_a_report_is_sent_once_a_period(schedule: ReportSchedule) -> None:
    moments = [NOON + timedelta(minutes=10 * number) for number in range(3 * 24 * 6)]
    queued = [moment for moment in moments if schedules.queue_due(now=moment)]

    assert [f"{moment.astimezone(BERLIN):%m-%d %H:%M}" for moment in queued] == [
        "03-11 07:00",
        "03-12 07:00",
        "03-13 07:00",
    ]
    assert Delivery.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_two_beats_send_one_report(schedule: ReportSchedule) -> None:
    """Row 6 of FAULTS.md."""
    ready = threading.Barrier(4)

    def work() -> None:
        ready.wait()
        schedules.queue_due(now=NOON + timedelta(days=1))
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Delivery.objects.count() == 1


def test_after_a_long_stop_only_the_newest_is_sent(schedule: ReportSchedule) -> None:
    assert schedules.queue_due(now=NOON + timedelta(days=9)) == 1
    assert schedules.queue_due(now=NOON + timedelta(days=9, hours=1)) == 0
    assert Delivery.objects.get().facts["startsAt"].startswith("2026-03-17T23:00")


def test_a_clock_that_once_leapt_ahead_keeps_no_report_back(schedule: ReportSchedule) -> None:
    before = NOON + timedelta(days=1)
    schedules.queue_due(now=before)
    schedules.queue_due(now=NOON + timedelta(days=365))
    assert Delivery.objects.count() == 2
    schedule.refresh_from_db()
    assert schedules.next_due(schedule, now=before) == before

    for day in range(1, 4):
        schedules.queue_due(now=NOON + timedelta(days=day))
    assert Delivery.objects.count() == 2 + 2  # what was sent before the leap is not sent again
    schedule.refresh_from_db()
    assert schedules.next_due(schedule, now=NOON + timedelta(days=3)) == datetime(2026, 3, 14, 7, tzinfo=BERLIN)


def test_clocks_that_differ_a_little_send_nothing_for_a_report_that_was_just_made(schedule: ReportSchedule) -> None:
    assert schedules.queue_due(now=NOON - timedelta(minutes=1)) == 0


def test_a_report_waits_for_a_channel_that_is_off(schedule: ReportSchedule) -> None:
    Channel.objects.update(is_active=False)
    assert schedules.queue_due(now=NOON + timedelta(days=1)) == 0
    schedule.refresh_from_db()
    assert schedule.covered_until == NOON

    Channel.objects.update(is_active=True)
    assert schedules.queue_due(now=NOON + timedelta(days=1, minutes=1)) == 1
    assert schedules.queue_due(now=NOON + timedelta(days=1, minutes=2)) == 0


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        # What has been reported is not sent again at another time of the same day.
        ({"send_at": time(9)}, ["03-12 09:00"]),
        # Another zone's days have other ends, and are sent from the first that ends later on.
        ({"time_zone": "Asia/Kathmandu"}, ["03-12 02:15"]),
        # From days to weeks: the first week that ends after the last day that was reported.
        ({"period": "week"}, []),
        ({"period": "month"}, []),
        ({"is_active": False}, []),
    ],
)
def test_a_schedule_edited_in_mid_period(schedule: ReportSchedule, edit: dict[str, Any], expected: list[str]) -> None:
    assert schedules.queue_due(now=datetime(2026, 3, 11, 6, 5, tzinfo=UTC)) == 1
    ReportSchedule.objects.update(**edit)
    moments = [datetime(2026, 3, 11, 6, 15, tzinfo=UTC) + timedelta(minutes=15 * number) for number in range(108)]
    queued = [moment for moment in moments if schedules.queue_due(now=moment)]

    assert [f"{moment.astimezone(BERLIN):%m-%d %H:%M}" for moment in queued] == expected


def test_when_the_next_one_is_due(schedule: ReportSchedule) -> None:
    schedules.queue_due(now=NOON + timedelta(days=1))

    assert schedules.next_due(schedule, now=NOON) == datetime(2026, 3, 11, 7, tzinfo=BERLIN)
    schedule.refresh_from_db()
    assert schedules.next_due(schedule, now=NOON + timedelta(days=1)) == datetime(2026, 3, 12, 7, tzinfo=BERLIN)
    schedule.period = "month"
    assert schedules.next_due(schedule, now=NOON + timedelta(days=1)) == datetime(2026, 4, 1, 7, tzinfo=BERLIN)


# --- what they say ------------------------------------------------------------------------------------------------


def month_of(zone: ZoneInfo, month: int, client: str = "") -> Report:
    starts_at = queries.midnight(date(2026, month, 1), zone)
    ends_at = queries.midnight(date(2026, month + 1, 1), zone)
    span = Span(starts_at.astimezone(UTC), ends_at.astimezone(UTC))
    return collect(title="AI costs", client=client, period="month", zone=zone, span=span)


def rows_of(report: Report) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(as_csv(report))))


@pytest.mark.parametrize("zone", [BERLIN, KATHMANDU, NEW_YORK], ids=str)
@pytest.mark.parametrize("month", [2, 3, 10])
def test_the_days_add_up_to_the_month(calls: Calls, zone: ZoneInfo, month: int) -> None:
    """Row 38 of FAULTS.md: days of 23 and 25 hours, the ends of months, +05:45."""
    first, last = queries.midnight(date(2026, month, 1), zone), queries.midnight(date(2026, month + 1, 1), zone)
    inside = 0
    at = first - timedelta(hours=3)
    made: Counter[str] = Counter()
    while at < last + timedelta(hours=3):
        calls(at.astimezone(UTC), ok=1, cost_pico=10**12 + inside)
        made[f"{at:%Y-%m-%d}"] += first <= at < last
        inside += first <= at < last
        at = (at.astimezone(UTC) + timedelta(hours=5, minutes=7)).astimezone(zone)
    for edge in (first, last - timedelta(milliseconds=1), last):
        calls(edge.astimezone(UTC), ok=1)
        made[f"{edge:%Y-%m-%d}"] += edge != last

    report = month_of(zone, month)

    assert report.totals.requests == inside + 2
    assert sum(map(sum, report.bars.parts.values())) == report.totals.cost_pico
    assert len(report.bars.starts) == (last.date() - first.date()).days
    rows = rows_of(report)
    assert sum(int(row["calls"]) for row in rows) == report.totals.requests
    assert pico_from_usd(sum(Decimal(row["cost_usd"]) for row in rows)) == report.totals.cost_pico
    assert {row["day"]: int(row["calls"]) for row in rows} == +made


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 5, 5), 24)])
def test_a_day_has_as_many_bars_as_hours(calls: Calls, day: date, hours: int) -> None:
    start, end = queries.midnight(day, BERLIN), queries.midnight(day + timedelta(days=1), BERLIN)
    for number in range(hours):
        calls(start.astimezone(UTC) + timedelta(hours=number, minutes=20), ok=1, cost_pico=10**9)
    calls(start.astimezone(UTC), refused=1, provider="")
    report = collect(title="", client="", period="day", zone=BERLIN, span=Span(start, end))

    assert report.bars.parts == {"openai": [10**9] * hours}
    assert [group.key for group in report.providers] == ["openai"]  # what went nowhere has no line


def test_of_many_providers_the_dearest_four_have_bars_of_their_own(calls: Calls) -> None:
    for number in range(1, 8):
        calls(NOON, ok=1, provider=f"p{number}", cost_pico=number)

    bars = month_of(BERLIN, 3).bars

    assert [(name, sum(part)) for name, part in bars.parts.items()] == [
        *(("p7", 7), ("p6", 6), ("p5", 5), ("p4", 4), ("others", 3 + 2 + 1)),
    ]


def test_a_day_in_which_clocks_go_back_by_half_an_hour_has_its_bars(calls: Calls) -> None:
    lord_howe = ZoneInfo("Australia/Lord_Howe")
    start, end = (queries.midnight(date(2026, 4, day), lord_howe) for day in (5, 6))
    for number in range(24):
        calls(start.astimezone(UTC) + timedelta(hours=number, minutes=20), ok=1, cost_pico=10**9)
    report = collect(title="", client="", period="day", zone=lord_howe, span=Span(start, end))

    assert len(report.bars.starts) == 24  # one of them has 90 minutes
    assert sum(report.bars.parts["openai"]) == 24 * 10**9


def test_a_call_across_midnight_belongs_to_the_day_it_started(calls: Calls) -> None:
    """Row 39 of FAULTS.md."""
    midnight = queries.midnight(date(2026, 3, 1), KATHMANDU).astimezone(UTC)
    calls(midnight - timedelta(seconds=1), ok=1, ended_at=midnight + timedelta(minutes=9))

    assert month_of(KATHMANDU, 2).totals.requests == 1
    assert month_of(KATHMANDU, 3).totals.requests == 0
    assert [row["day"] for row in rows_of(month_of(KATHMANDU, 2))] == ["2026-02-28"]


def test_a_clients_report_tells_of_that_client_alone(calls: Calls) -> None:
    calls(NOON, ok=2)
    calls(NOON, ok=3, client="bob", provider="rack", deployment="llama")
    calls(NOON - timedelta(days=28), ok=4)
    calls(NOON - timedelta(days=39), ok=8)  # as far back as March has days, but not in February

    report = month_of(BERLIN, 3, client="alice")

    assert report.totals.requests == 2
    assert report.before.requests == 4
    assert {row["client"] for row in rows_of(report)} == {"alice"}
    assert [(group.key, group.requests) for group in report.providers] == [("openai", 2)]
    assert [(group.key, group.requests) for group in report.models] == [("openai/gpt", 2)]
    assert (report.clients, list(report.bars.parts)) == ([], ["openai"])


def test_budgets_and_unknown_cost_are_told(calls: Calls) -> None:
    budget = Budget(
        name="All", scope="all", cap_pico=10**12, period="month", time_zone="Europe/Berlin", created_at=NOON
    )
    calls(NOON, ok=90)
    calls(NOON, ok=1, cost_pico=None)
    spending.save(budget, count_so_far=True, now=NOON)

    report = month_of(BERLIN, 3)
    message = writing.write(report, message_id="x", subject="AI costs")

    assert report.budgets[0].percent == 90
    assert "The cost of 1 call is unknown" in message.text
    assert "The cost of 1 call is unknown" in message.html
    assert "All (that month): $0.90 of $1.00, 90% used" in message.text


def test_a_budget_of_nothing_is_used_up() -> None:
    assert BudgetLine(name="None", period="day", spent_pico=0, cap_pico=0).percent == 100


def test_of_budgets_a_report_tells_those_that_were_in_force_for_whom_it_is(calls: Calls) -> None:
    def budget(name: str, **facts: Any) -> Budget:
        usual = {"name": name, "scope": "client", "subject": "alice", "cap_pico": 10**12, "period": "month"}
        made = Budget(**usual | {"created_at": NOON} | facts)
        spending.save(made, count_so_far=True, now=NOON)
        return made

    calls(NOON, ok=50)
    raised = budget("Alice")
    spending.raise_window(raised, amount_pico=10**12, now=NOON)
    budget("Bob", subject="bob")
    budget("A provider of that name", scope="provider")
    budget("Off", is_active=False)
    budget("Of April", created_at=datetime(2026, 4, 1, tzinfo=BERLIN))

    report = month_of(BERLIN, 3, client="alice")

    assert [(row.name, row.spent_pico, row.cap_pico) for row in report.budgets] == [("Alice", 5 * 10**11, 2 * 10**12)]


def test_each_column_of_the_file_has_its_own_figure(calls: Calls) -> None:
    calls(NOON, ok=5, error=4, refused=3, cached=2, input_tokens=30, output_tokens=4)
    calls(NOON, ok=1, cost_pico=None)

    [row] = rows_of(month_of(BERLIN, 3))

    assert row == {
        "day": "2026-03-10",
        "client": "alice",
        "provider": "openai",
        "model": "gpt",
        "calls": "15",
        "failed": "4",
        "refused": "3",
        "from_cache": "2",
        "input_tokens": str(14 * 30),
        "output_tokens": str(14 * 4),
        "cost_usd": "0.05",
        "calls_of_unknown_cost": "1",
    }


def test_a_report_reads_as_people_write_it(calls: Calls) -> None:
    for number in range(1, 8):
        calls(NOON, ok=number, client=f"c{number}", deployment=f"m{number}", provider=f"p{number}", cost_pico=10**12)
    calls(NOON, error=3, client="c7", deployment="m7", provider="p7")
    calls(NOON, refused=9, client="", provider="", deployment="")
    calls(NOON - timedelta(days=28), ok=80, cost_pico=7 * 10**11)
    calls(NOON, cached=0, ok=1, client="c7", deployment="m7", provider="p7", cost_pico=0, saved_pico=5 * 10**10)
    spent = Budget(name="C7", scope="client", subject="c7", cap_pico=7 * 10**12, created_at=NOON)
    near = Budget(name="C6", scope="client", subject="c6", cap_pico=75 * 10**11, created_at=NOON)
    for budget in (spent, near):
        spending.save(budget, count_so_far=True, now=NOON)

    message = writing.write(month_of(BERLIN, 3), message_id="x", subject="AI costs")

    lists = "".join(
        f"\n{name}\n" + "".join(f"  {_of(name, n)}: ${n}.00, {_calls(n)}\n" for n in range(7, 2, -1))
        for name in ("Models", "Clients", "Providers")
    )
    assert message.text.partition("Every day")[0] == (
        "AI costs\nMarch 2026, against the month before\n\n"
        "Cost: $28.00 (50% less)\nCalls: 41 (49% less)\nFailed: 7.3% (3 of 41 calls)\n"
        f"Saved by caches: $0.05 (ours and providers')\n{lists}"
        "\nBudgets\n  C7 (that month): $7.00 of $7.00, 100% used\n  C6 (that month): $6.00 of $7.50, 80% used\n\n"
    )
    assert message.summary.splitlines()[:2] == ["Cost: $28.00 (50% less)", "Calls: 41 (49% less)"]
    assert 'color:#b91c1c;">3 of 41 calls' in message.html
    shares = re.findall(r"width:(\d+)%;height:5px;border-radius:3px;background:(#\w+)", message.html)
    assert shares == [(str(n), "#2563eb") for n in (25, 21, 18, 14, 11)] * 3 + [("100", "#dc2626"), ("80", "#d97706")]
    assert (message.data["from"], message.data["to"]) == ("2026-02-28T23:00:00+00:00", "2026-03-31T22:00:00+00:00")
    for name in ("Models", "Clients", "Providers"):
        first = message.data[name.lower()][0]
        assert first == {"name": _of(name, 7), "requests": 11, "costUsd": "7"}


def _of(name: str, number: int) -> str:
    return {"Models": f"p{number}/m{number}", "Clients": f"c{number}", "Providers": f"p{number}"}[name]


def _calls(number: int) -> str:
    return f"{11 if number == 7 else number} calls"


@pytest.mark.parametrize(
    ("now", "before", "text"),
    [
        *((0, 0, "as before"), (1, 0, "nothing before"), (1_004, 1_000, "as before"), (88, 100, "12% less")),
        *((1_100, 100, "1,000% more"), (1_110, 100, "11 times as much")),
    ],
)
def test_changes_read_as_people_say_them(now: int, before: int, text: str) -> None:
    assert writing._change(now, before) == text


def test_what_was_taken_back_is_less_than_nothing_and_what_is_little_is_told_exactly() -> None:
    told = [writing._dollars(amount) for amount in (-25 * 10**11, -(10**10), 10**10, 10**11, 123_456 * 10**10, None)]

    assert told == ["-$2.50", "-$0.01", "$0.01", "$0.10", "$1,234.56", "unknown"]


def test_programs_are_told_each_figure_by_its_own_name(calls: Calls) -> None:
    calls(NOON, ok=2, input_tokens=30, output_tokens=4)
    calls(NOON, ok=3, cost_pico=None)
    calls(NOON, error=1)

    told = writing.write(month_of(BERLIN, 3), message_id="x", subject="AI costs").data

    names = ("requests", "failedRequests", "unknownCostRequests", "inputTokens", "outputTokens", "costUsd")
    assert [told[name] for name in names] == [6, 1, 3, 60, 8, "0.02"]


def test_a_cost_that_nobody_knows_is_no_zero_beside_what_cost_nothing(calls: Calls) -> None:
    calls(NOON, ok=5, cost_pico=None, evidence="reported")
    calls(NOON, refused=1, cached=2)

    report = month_of(BERLIN, 3)
    message = writing.write(report, message_id="x", subject="AI costs")

    assert report.totals.cost_pico is None
    assert message.data["costUsd"] is None
    [row] = rows_of(report)
    assert (row["cost_usd"], row["calls_of_unknown_cost"]) == ("", "5")


def test_of_many_budgets_the_fullest_are_told(calls: Calls, django_assert_max_num_queries: Any) -> None:
    for number in range(14):
        client = f"c{number}"
        cap = 10**14 if number == 13 else 10**12  # of which most is spent, and the smallest part
        budget = Budget(name=f"Budget {number}", scope="client", subject=client, cap_pico=cap, created_at=NOON)
        calls(NOON, ok=1, client=client, cost_pico=number * 10**10)
        spending.save(budget, count_so_far=True, now=NOON)

    with django_assert_max_num_queries(40) as ran:
        report = month_of(BERLIN, 3)
    message = writing.write(report, message_id="x", subject="AI costs")

    assert [row.name for row in report.budgets] == [f"Budget {number}" for number in range(12, 2, -1)]
    assert "  and 4 more\n" in message.text
    assert ">and 4 more<" in message.html
    assert len([query for query in ran if "usage_budgetwindow" in query["sql"]]) == 1


@pytest.mark.parametrize(
    ("cost", "cost_before", "value", "note"),
    [
        (None, 5 * 10**14, "unknown", "cannot be compared"),
        (None, None, "unknown", "cannot be compared"),
        (9 * 10**12, None, "$9.00", "cannot be compared, unknown before"),
        (9 * 10**12, 6 * 10**12, "$9.00", "50% more"),
        (9 * 10**12, 0, "$9.00", "nothing before"),
        (0, 0, "$0.00", "as before"),
    ],
)
def test_an_unknown_cost_is_not_compared(
    calls: Calls, cost: int | None, cost_before: int | None, value: str, note: str
) -> None:
    calls(NOON, ok=1, cost_pico=cost)
    calls(NOON - timedelta(days=28), ok=1, cost_pico=cost_before)

    card = writing._cards(month_of(BERLIN, 3))[0]

    assert (card.name, card.value, card.note) == ("Cost", value, note)


def test_what_caches_saved(calls: Calls) -> None:
    """Our own, exactly; the providers', by their price in dollars for cached input."""
    provider = Provider.objects.create(name="OpenAI", slug="openai", kind="demo")
    rates = {"input_per_million": Decimal(2), "output_per_million": Decimal(8)}
    cheaper: dict[str, Any] = {"cached_input_per_million": Decimal("0.5")}
    for name, more in (("gpt", cheaper), ("euro", cheaper | {"currency": "EUR"}), ("plain", {})):
        model = Deployment.objects.create(provider=provider, name=name)
        Price.objects.create(deployment=model, valid_from=NOON, **rates, **more)
        calls(NOON, ok=1, deployment=name, input_tokens=1_000_000, cached_input_tokens=400_000)
    calls(NOON, cached=1, saved_pico=3 * 10**11)
    calls(NOON, ok=1, client="bob", input_tokens=1_000_000, cached_input_tokens=200_000)

    report = month_of(BERLIN, 3)
    assert report.saved_pico == pico_from_usd("0.9") + pico_from_usd("0.3")
    assert writing._cards(report)[3].value == "$1.20"
    assert month_of(BERLIN, 3, client="bob").saved_pico == pico_from_usd("0.3")


def test_a_formula_in_a_name_stays_a_text(calls: Calls) -> None:
    calls(NOON, ok=1, deployment="=HYPERLINK(0)")

    assert "'=HYPERLINK(0)" in as_csv(month_of(BERLIN, 3))


def test_a_large_file_is_zipped(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    calls(NOON, ok=1)
    monkeypatch.setattr(writing, "_MOST_PLAIN_BYTES", 10)
    report = month_of(BERLIN, 3)
    [file] = writing.write(report, message_id="x", subject="AI costs").files

    assert (file.name, file.mime_type) == ("usage-2026-03-01.csv.zip", "application/zip")
    assert zipfile.ZipFile(io.BytesIO(file.content)).read("usage-2026-03-01.csv").decode() == as_csv(report)


def test_names_are_escaped_in_the_html(calls: Calls) -> None:
    calls(NOON, ok=1, deployment="<script>alert(1)</script>")
    message = writing.write(month_of(BERLIN, 3), message_id="x", subject="AI costs")

    assert "<script>" not in message.html
    assert "<script>alert(1)</script>" in message.text


@pytest.mark.django_db
def test_an_empty_month_says_so() -> None:
    message = writing.write(month_of(BERLIN, 3), message_id="x", subject="AI costs")

    assert "No calls were made in this time." in message.text
    assert message.images == ()


def test_the_email_has_text_html_chart_and_file(schedule: ReportSchedule, calls: Calls, mail: MailReceiver) -> None:
    calls(NOON - timedelta(days=1), ok=5)
    schedules.queue_due(now=NOON)
    ReportSchedule.objects.update(covered_until=NOON - timedelta(days=5))
    schedules.queue_due(now=NOON)
    send_all(NOON)

    [message] = mail.mails
    assert message["Subject"] == "AI costs: 9 March 2026"
    kinds = [part.get_content_type() for part in message.walk()]
    assert kinds == [
        *("multipart/mixed", "multipart/alternative", "text/plain"),
        *("multipart/related", "text/html", "image/png", "text/csv"),
    ]
    picture = next(part for part in message.walk() if part.get_content_type() == "image/png")
    assert picture["Content-ID"] == "<costs>"
    html = message.get_body(("html",))
    assert html is not None
    assert 'src="cid:costs"' in html.get_content()
    opened = Image.open(io.BytesIO(picture.get_content()))
    assert opened.size == (2 * charts.WIDTH, 2 * charts.HEIGHT)
    [file] = message.iter_attachments()
    assert file.get_filename() == "usage-2026-03-09.csv"
    assert file.get_content().startswith("day,client,provider,model,calls")


def test_parts_are_stacked_in_their_colours_and_what_was_taken_back_is_not_drawn() -> None:
    png = charts.stacked_bars([charts.Bar("Mon", [1.0, 3.0]), charts.Bar("Tue", [2.0, -0.5]), charts.Bar("Wed", [])])
    picture = Image.open(io.BytesIO(png)).convert("RGB")

    def is_drawn(bar: int, value: float, colour: str) -> bool:
        """The axis ends at 4."""
        x, y = 64 + 500 / 3 * (bar + 0.5), 206 - 194 * value / 4
        found = picture.getpixel((round(2 * x), round(2 * y)))
        assert isinstance(found, tuple)
        return max(abs(one - other) for one, other in zip(found, ImageColor.getrgb(colour), strict=True)) < 10

    blue, green, paper = *charts.COLOURS[:2], "#ffffff"
    assert is_drawn(0, 0.5, blue)
    assert is_drawn(0, 1.5, green)
    assert is_drawn(0, 3.8, green)
    assert is_drawn(1, 1.7, blue)
    assert is_drawn(1, 2.3, paper)
    assert is_drawn(2, 0.5, paper)


@pytest.mark.parametrize(
    ("most", "ceiling"),
    [
        *((0, 1), (1e-12, 1e-12), (0.0004, 0.0004), (0.03, 0.032), (sum([0.7, 0.1, 0.1, 0.1]), 1), (1, 1), (1.02, 1.2)),
        *((5, 6), (9.5, 10), (75, 80), (812, 1000)),
    ],
)
def test_axes_end_at_a_round_number(most: float, ceiling: float) -> None:
    assert charts.nice_ceiling(most) == pytest.approx(ceiling)


@pytest.mark.parametrize(("step", "digits"), [(1, 0), (2.5, 2), (0.25, 2), (0.025, 3), (0.008, 3), (0.0001, 4)])
def test_no_line_of_a_chart_is_shown_rounded(step: float, digits: int) -> None:
    assert charts._digits(step) == digits


@pytest.mark.parametrize(
    ("most", "lines"),
    [
        (9_500, ["$2.5k", "$5k", "$7.5k", "$10k"]),
        (75_000, ["$20k", "$40k", "$60k", "$80k"]),
        (950_000, ["$0.25M", "$0.5M", "$0.75M", "$1M"]),
        (1_100_000, ["$0.3M", "$0.6M", "$0.9M", "$1.2M"]),
        (23_000_000, ["$6M", "$12M", "$18M", "$24M"]),
    ],
)
def test_much_money_is_told_in_thousands_and_millions(most: float, lines: list[str]) -> None:
    top = charts.nice_ceiling(most)

    assert [charts._dollars(top * number / 4, top) for number in range(1, 5)] == lines


@pytest.mark.parametrize(
    ("first", "last", "text"),
    [
        ("2026-11-08", "2026-11-09", "8 November 2026"),
        ("2026-11-02", "2026-11-09", "2 to 8 November 2026"),
        ("2026-10-26", "2026-11-02", "26 October to 1 November 2026"),
        ("2026-11-01", "2026-12-01", "November 2026"),
    ],
)
def test_periods_read_as_people_write_them(first: str, last: str, text: str) -> None:
    span = Span(*(queries.midnight(date.fromisoformat(day), KATHMANDU) for day in (first, last)))

    assert writing.dates(span, KATHMANDU) == text
    known = writing.facts(ReportSchedule(name="Costs", client="alice", time_zone="Asia/Kathmandu"), span)
    assert writing.subject(known) == f"Costs for alice: {text}"


# --- the command --------------------------------------------------------------------------------------------------


def test_sendreport_sends_now(schedule: ReportSchedule, mail: MailReceiver, capsys: Any) -> None:
    call_command("sendreport", "AI costs")

    assert len(mail.mails) == 1
    assert "On-call: Delivered" in capsys.readouterr().out
    call_command("sendreport", "AI costs", print=True)
    assert "AI costs" in capsys.readouterr().out
    assert len(mail.mails) == 1


def test_sendreport_fails_where_it_was_not_delivered(schedule: ReportSchedule, mail: MailReceiver) -> None:
    mail.answer = "451 later"

    with pytest.raises(SystemExit):
        call_command("sendreport", "AI costs")
    with pytest.raises(CommandError, match="There are: AI costs"):
        call_command("sendreport", "Nothing")


def test_sendreport_without_a_name_sends_what_is_due(schedule: ReportSchedule, mail: MailReceiver) -> None:
    call_command("sendreport")
    call_command("sendreport")

    assert len(mail.mails) == 1
    assert outbox.due_channels(now=NOON + timedelta(days=3650)) == []


def test_a_report_that_cannot_be_queued_keeps_no_other_from_going_out(schedule: ReportSchedule) -> None:
    ReportSchedule.objects.create(name="A broken one", covered_until=NOON, time_zone="Gone/From_The_List_Of_Zones")

    assert schedules.queue_due(now=NOON + timedelta(days=1)) == 1
