"""A report as a message: HTML with its chart inside, text, a CSV file, data for programs."""

from __future__ import annotations

import io
import zipfile
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
from django.template.loader import render_to_string

from alerts.channels.base import File, Image, Message
from alerts.links import page
from alerts.models import Delivery, ReportSchedule
from alerts.reports import charts
from alerts.reports.figures import BudgetLine, Report, Span, as_csv, collect
from core import display
from core.money import PICO_PER_USD, usd_text
from usage.queries import Group, Totals
from usage.transactions import snapshot

CHART = "costs"
_BEFORE = {"day": "the day before", "week": "the week before", "month": "the month before"}
_BUDGETS = {"day": "that day", "week": "that week", "month": "that month", "total": "so far"}
_MOST_LABELS = 8  # below the bars: with more bars, only some have one
_FULL = 100
_MOST_PLAIN_BYTES = 2 * 1024 * 1024


class Card(msgspec.Struct, frozen=True):
    """A figure, and how it compares."""

    name: str
    value: str
    note: str
    tone: str = ""


class Line(msgspec.Struct, frozen=True):
    """A line of a list; `share` is its part of the whole, in percent."""

    name: str
    calls: str
    cost: str
    share: int
    tone: str = ""


def facts(schedule: ReportSchedule, span: Span) -> dict[str, Any]:
    """What a report's delivery keeps: which period of what."""
    return {
        "title": schedule.name,
        "client": schedule.client,
        "period": schedule.period,
        "timeZone": schedule.time_zone,
        "startsAt": span.starts_at.isoformat(),
        "endsAt": span.ends_at.isoformat(),
    }


def subject(known: dict[str, Any]) -> str:
    """`AI costs: 2 to 8 November 2026`."""
    about = f" for {known['client']}" if known["client"] else ""
    return f"{known['title']}{about}: {dates(_span(known), ZoneInfo(known['timeZone']))}"


def dates(span: Span, zone: ZoneInfo) -> str:
    """`8 November 2026`, `2 to 8 November 2026`, `November 2026`."""
    first = span.starts_at.astimezone(zone)
    last = (span.ends_at - timedelta(microseconds=1)).astimezone(zone)
    if first.date() == last.date():
        return f"{first:%-d %B %Y}"
    if first.day == 1 and (last + timedelta(days=1)).day == 1 and first.month == last.month:
        return f"{first:%B %Y}"
    if first.month == last.month:
        return f"{first.day} to {last:%-d %B %Y}"
    return f"{first:%-d %B} to {last:%-d %B %Y}"


def report_of(known: dict[str, Any]) -> Report:
    return collect(
        title=known["title"],
        client=known["client"],
        period=known["period"],
        zone=ZoneInfo(known["timeZone"]),
        span=_span(known),
    )


def message(delivery: Delivery) -> Message:
    """The report of a delivery, computed now."""
    return message_of(
        delivery.facts,
        message_id=str(delivery.pk),
        subject=delivery.subject,
        delivery_url=page("alerts_delivery_change", delivery.pk),
    )


def message_of(known: dict[str, Any], *, message_id: str, subject: str, delivery_url: str = "") -> Message:
    """`known` as `facts` has it. Its file adds up to what its text says: both are of one moment."""
    with snapshot():
        return write(report_of(known), message_id=message_id, subject=subject, delivery_url=delivery_url)


def write(report: Report, *, message_id: str, subject: str, delivery_url: str = "") -> Message:
    """`delivery_url` "": a preview, which no delivery is behind."""
    url = page("index")
    context = {**_context(report), "subject": subject, "url": url, "delivery_url": delivery_url}
    return Message(
        id=message_id,
        kind="report",
        subject=subject,
        text=render_to_string("alerts/report.txt", context),
        html=render_to_string("alerts/report.html", context),
        summary="\n".join(f"{card.name}: {card.value} ({card.note})" for card in context["cards"]),
        data=_data(report),
        url=url,
        images=(Image(name=CHART, png=_chart(report)),) if report.bars.parts else (),
        files=(_file(report),),
    )


def _file(report: Report) -> File:
    """The CSV; zipped where mail servers might refuse it for its size."""
    name = f"usage-{report.span.starts_at.astimezone(report.zone):%Y-%m-%d}.csv"
    content = as_csv(report).encode()
    if len(content) <= _MOST_PLAIN_BYTES:
        return File(name=name, mime_type="text/csv", content=content)
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return File(name=f"{name}.zip", mime_type="application/zip", content=zipped.getvalue())


# --- words --------------------------------------------------------------------------------------------------------


def _context(report: Report) -> dict[str, Any]:
    totals = report.totals
    return {
        "title": report.title,
        "client": report.client,
        "dates": dates(report.span, report.zone),
        "zone": report.zone.key,
        "before": _BEFORE[report.period],
        "total": _dollars(totals.cost_pico),
        "cards": _cards(report),
        "lists": [
            (name, _lines(groups, totals))
            for name, groups in (
                ("Models", report.models),
                ("Clients", report.clients),
                ("Providers", report.providers),
            )
            if groups
        ],
        "budgets": [_budget(row) for row in report.budgets],
        "more_budgets": f"and {report.more_budgets:,} more" if report.more_budgets else "",
        "unknown": totals.unknown_cost_requests,
        "has_calls": bool(totals.requests),
        "chart": CHART if report.bars.parts else "",
        "chart_title": "Cost by the hour" if report.bars.bucket == "hour" else "Cost by the day",
        "legend": list(zip(report.bars.parts, charts.COLOURS, strict=False)),
    }


def _cards(report: Report) -> list[Card]:
    totals, before = report.totals, report.before
    failed = f"{totals.errors:,} of {totals.requests:,} calls" if totals.requests else "no calls"
    return [
        Card("Cost", _dollars(totals.cost_pico), _change_of_cost(totals.cost_pico, before.cost_pico)),
        Card("Calls", display.count(totals.requests), _change(totals.requests, before.requests)),
        Card("Failed", f"{totals.error_share:.1%}", failed, "bad" if totals.error_share > 0.05 else ""),
        Card("Saved by caches", _dollars(report.saved_pico), "ours and providers'"),
    ]


def _change_of_cost(now: int | None, before: int | None) -> str:
    """None is a cost of which nothing is known: neither none nor less."""
    if now is None:
        return "cannot be compared"
    return "cannot be compared, unknown before" if before is None else _change(now, before)


def _change(now: int, before: int) -> str:
    """`12% more`, `as before`."""
    if not before:
        return "nothing before" if now else "as before"
    percent = round(_FULL * (now - before) / before)
    if percent > 10 * _FULL:
        return f"{now / before:,.0f} times as much"
    return f"{abs(percent):,}% {'more' if percent > 0 else 'less'}" if percent else "as before"


def _dollars(amount_pico: int | None) -> str:
    """With cents, as bills have them; only what would be less than ten of them is told more exactly."""
    if amount_pico is None or abs(amount_pico) < PICO_PER_USD // 10:
        return display.dollars_rounded(amount_pico)
    return f"{'-' if amount_pico < 0 else ''}${abs(Decimal(amount_pico)) / PICO_PER_USD:,.2f}"


def _lines(groups: list[Group], totals: Totals) -> list[Line]:
    whole = totals.cost_pico or 0
    return [
        Line(
            group.key,
            f"{display.count(group.requests)} call{'' if group.requests == 1 else 's'}",
            _dollars(group.cost_pico),
            round(_FULL * (group.cost_pico or 0) / whole) if whole else 0,
        )
        for group in groups
    ]


def _budget(row: BudgetLine) -> Line:
    spent, cap = _dollars(row.spent_pico), _dollars(row.cap_pico)
    tone = "bad" if row.percent >= _FULL else "warn" if row.percent >= 80 else ""
    return Line(
        f"{row.name} ({_BUDGETS[row.period]})",
        f"{row.percent}% used",
        f"{spent} of {cap}",
        min(row.percent, _FULL),
        tone,
    )


def _chart(report: Report) -> bytes:
    bars, count = report.bars, len(report.bars.starts)
    step = -(-count // _MOST_LABELS)
    return charts.stacked_bars(
        [
            charts.Bar(
                _label(at, bars.bucket) if number % step == 0 else "",
                [part[number] / PICO_PER_USD for part in bars.parts.values()],
            )
            for number, at in enumerate(bars.starts)
        ]
    )


def _label(at: datetime, bucket: str) -> str:
    return f"{at:%H:%M}" if bucket == "hour" else f"{at:%-d %b}"


def _data(report: Report) -> dict[str, Any]:
    """For webhooks: exact dollars as text."""
    totals = report.totals
    return {
        "title": report.title,
        "client": report.client,
        "from": report.span.starts_at.isoformat(),
        "to": report.span.ends_at.isoformat(),
        "timeZone": report.zone.key,
        "costUsd": None if totals.cost_pico is None else usd_text(totals.cost_pico),
        "unknownCostRequests": totals.unknown_cost_requests,
        "requests": totals.requests,
        "failedRequests": totals.errors,
        "inputTokens": totals.input_tokens,
        "outputTokens": totals.output_tokens,
        "models": [_group(group) for group in report.models],
        "clients": [_group(group) for group in report.clients],
        "providers": [_group(group) for group in report.providers],
    }


def _group(group: Group) -> dict[str, Any]:
    cost = None if group.cost_pico is None else usd_text(group.cost_pico)
    return {"name": group.key, "requests": group.requests, "costUsd": cost}


def _span(known: dict[str, Any]) -> Span:
    return Span(datetime.fromisoformat(known["startsAt"]), datetime.fromisoformat(known["endsAt"]))
