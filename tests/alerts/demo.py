"""Alerts of a busy installation, for pictures: on top of `tests.admin.demo`."""

from __future__ import annotations

from datetime import datetime, timedelta

from alerts import messages, outbox
from alerts.channels import Message, webhook
from alerts.measures import MEASURES
from alerts.models import Attempt, Channel, Delivery, Incident, ReportSchedule, Rule
from alerts.reports import schedules, writing
from usage import spending
from usage.models import Budget


def fill(*, now: datetime) -> None:
    """Channels, incidents in every state, reports, and what was sent."""
    oncall = Channel.objects.create(name="On-call", kind="email", address="oncall@example.com")
    finance = Channel.objects.create(
        name="Finance", kind="email", address="cfo@example.com, controlling@example.com", gets_alerts=False
    )
    pager = Channel(name="Pager", kind="webhook", address="https://pager.example.com/hooks/ai")
    assert webhook.CHANNEL.new_secret is not None
    pager.take(webhook.CHANNEL.new_secret())
    pager.save()
    for name, scope, subject, cap in (("Everything", "all", "", 12), ("Search", "client", "search-backend", 3)):
        budget = Budget(
            name=name, scope=scope, subject=subject, cap_pico=cap * 10**12, created_at=now - timedelta(days=60)
        )
        spending.save(budget, count_so_far=True, now=now)
    for name, period, client in (
        ("AI costs", "week", ""),
        ("Daily costs", "day", ""),
        ("Costs", "month", "search-backend"),
    ):
        ReportSchedule.objects.create(name=name, period=period, client=client).channels.add(finance)
    _incidents(now, oncall, pager)


def _incidents(now: datetime, oncall: Channel, pager: Channel) -> None:
    for name, subject, message, value, minutes, lasted, state in (
        ("High cost", "openai", "openai: $112.40 was spent in the last 24 hours (1,204 calls). The limit is $100.00.",
         112.4, 60 * 30, 60 * 9, "resolved"),
        ("Slow answers", "anthropic", ("anthropic: answers took 12.6 seconds on average in the last 15 minutes "
         "(48 calls). The limit is 10 seconds."), 12.6, 190, None, "acknowledged"),
        ("Provider not answering", "rack-7", "Our own machines: it does not answer as it should.", 1, 48, None,
         "silenced"),
        ("Most calls fail", "openai-europe", ("openai-europe: 62% of 143 calls failed in the last 15 minutes. "
         "The limit is 50%."), 62, 12, None, "open"),
    ):  # fmt: skip
        rule = Rule.objects.get(name=name)
        since = now - timedelta(minutes=minutes)
        incident = Incident.objects.create(
            rule=rule, title=name, measure=rule.measure, scope=rule.scope, subject=subject, severity=rule.severity,
            state=state, value=value, worst=value, limit=float(rule.limit), message=message, since=since, seen_at=now,
            opened_at=since, told_at=since, handled_by="ada" if state in ("acknowledged", "silenced") else "",
            resolved_at=since + timedelta(minutes=lasted) if lasted else None,
            silenced_until=now + timedelta(minutes=12) if state == "silenced" else None,
        )  # fmt: skip
        outbox.notify(incident, rule, "opened", now=since, due_at=since)
    for number, row in enumerate(Delivery.objects.select_related("channel")):
        ok = row.channel == oncall or number > 2
        detail = "Accepted for oncall@example.com." if ok else "It answered with status 503."
        Attempt.objects.create(delivery=row, at=row.created_at, took_ms=84.0, ok=ok, detail=detail)
        Delivery.objects.filter(pk=row.pk).update(
            state="delivered" if ok else "waiting",
            attempts=1,
            delivered_at=row.created_at if ok else None,
            last_error="" if ok else detail,
        )


def mails(*, now: datetime) -> dict[str, Message]:
    """One e-mail of each kind."""
    incident = Incident.objects.get(state="open")
    facts = messages.incident_facts(incident)
    over = facts | {"resolvedAt": now.isoformat(), "state": "resolved"}
    found = {
        "alert": _written("opened", facts, now),
        "all-clear": _written("resolved", over, now),
        "closed": _written("lapsed", over | {"unjudged": MEASURES["error_share"].unjudged}, now),
        "test": messages.write(Delivery(kind="test", subject=messages.TEST_SUBJECT, facts={"by": "ada"})),
    }
    for name, schedule in (("report-week", "AI costs"), ("report-day", "Daily costs"), ("report-month", "Costs")):
        row = ReportSchedule.objects.get(name=schedule)
        known = writing.facts(row, schedules.last_span(row, now=now))
        found[name] = writing.message_of(known, message_id=name, subject=writing.subject(known), delivery_url="#")
    return found


def _written(kind: str, facts: dict[str, object], now: datetime) -> Message:
    subject = messages.incident_subject(kind, facts)
    return messages.write(Delivery(kind=kind, subject=subject, facts=facts, created_at=now))
