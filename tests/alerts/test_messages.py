"""What the message of an incident says, and that it says each fact by its own name."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from alerts import messages
from alerts.channels import Message
from alerts.models import Delivery, Incident
from tests.environment import ROOT

SINCE = datetime(2026, 3, 10, 12, tzinfo=UTC)
EVIL = "<b>R&D</b>"


def an_incident(**given: Any) -> Incident:
    usual: dict[str, Any] = {
        "id": UUID(int=7),
        "title": "Most calls fail",
        "measure": "error_share",
        "scope": "provider",
        "subject": "openai",
        "severity": "critical",
        "state": "open",
        "value": 62.0,
        "worst": 90.0,
        "limit": 50.0,
        "message": "62% of 143 calls failed.",
        "since": SINCE,
        "opened_at": SINCE + timedelta(minutes=5),
    }
    return Incident(**usual | given)


def written(kind: str, incident: Incident) -> Message:
    facts = messages.incident_facts(incident)
    subject = messages.incident_subject(kind, facts)
    return messages.write(Delivery(id=UUID(int=8), kind=kind, subject=subject, facts=facts))


def test_programs_are_told_each_fact_by_its_own_name() -> None:
    told = written("resolved", an_incident(state="resolved", resolved_at=SINCE + timedelta(hours=1)))

    assert told.kind == "incident.resolved"
    assert told.data == {
        "incident": str(UUID(int=7)),
        "title": "Most calls fail",
        "message": "62% of 143 calls failed.",
        "severity": "critical",
        "measure": "error_share",
        "scope": "provider",
        "subject": "openai",
        "value": 62.0,
        "worst": 90.0,
        "limit": 50.0,
        "state": "resolved",
        "since": "2026-03-10T12:00:00+00:00",
        "openedAt": "2026-03-10T12:05:00+00:00",
        "resolvedAt": "2026-03-10T13:00:00+00:00",
        "unjudged": "",
        "url": told.url,
    }
    assert told.url.endswith(f"/admin/alerts/incident/{UUID(int=7)}/change/")


def test_what_programs_are_told_is_documented() -> None:
    page = set(re.findall(r"`([\w.]+)`", (ROOT / "docs/alerts.md").read_text()))

    assert written("opened", an_incident()).data.keys() <= page
    assert {f"incident.{kind}" for kind in messages._STATE_WORDS} <= page


@pytest.mark.parametrize(
    ("kind", "subject", "tone", "badge", "said"),
    [
        ("opened", "Alert: Most calls fail (openai)", "critical", "Critical", "62% of 143 calls failed."),
        ("reminder", "Still open: Most calls fail (openai)", "critical", "Critical", "62% of 143 calls failed."),
        ("resolved", "All clear: Most calls fail (openai)", "good", "All clear", "This is over. It lasted 1\xa0hour."),
        ("lapsed", "Closed: Most calls fail (openai)", "info", "Closed", "There are no calls any more to judge by"),
    ],
)
def test_each_kind_of_news_reads_as_what_it_is(kind: str, subject: str, tone: str, badge: str, said: str) -> None:
    ended: dict[str, Any] = {"state": "resolved", "resolved_at": SINCE + timedelta(hours=1)}
    ended |= {"unknown_since": SINCE} if kind == "lapsed" else {}

    told = written(kind, an_incident(**ended if kind in ("resolved", "lapsed") else {}))

    assert (told.subject, told.tone) == (subject, tone)
    assert told.summary.startswith(said)
    assert f">{badge}</span>" in told.html
    assert ("This is still so" in told.text) == ("This is still so" in told.html) == (kind == "reminder")
    assert "Since: 10 Mar 2026, 12:00 UTC" in told.text
    assert f"/admin/alerts/delivery/{UUID(int=8)}/change/" in told.text


def test_what_was_over_at_once_did_not_last_for_nothing() -> None:
    told = written("resolved", an_incident(state="resolved", resolved_at=SINCE + timedelta(seconds=59)))

    assert told.summary == "This is over. It lasted less than a minute."


@pytest.mark.parametrize("kind", ["opened", "resolved"])
def test_names_are_text_in_the_html_and_as_they_are_elsewhere(kind: str) -> None:
    given = {"title": EVIL, "subject": EVIL, "message": f"{EVIL}: 62% failed."}
    told = written(kind, an_incident(**given, resolved_at=SINCE + timedelta(hours=1) if kind == "resolved" else None))

    assert EVIL not in told.html
    assert told.html.count("&lt;b&gt;R&amp;D&lt;/b&gt;") >= 3
    assert told.text.count(EVIL) == 3


def test_who_pressed_the_test_button_is_text_in_the_html() -> None:
    told = messages.write(Delivery(id=UUID(int=8), kind="test", subject="Test", facts={"by": EVIL}))

    assert EVIL not in told.html
    assert f"{EVIL} pressed the Test button." in told.text
    assert (told.tone, told.summary) == ("good", f"Sent by {EVIL} with the Test button.")
