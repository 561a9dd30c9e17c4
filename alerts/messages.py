"""What a delivery says, in every form: e-mail, a line for chats, data for programs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string
from django.utils.timesince import timesince

from alerts.channels.base import Message
from alerts.links import page
from alerts.models import Delivery, Incident
from alerts.reports import writing
from core.display import minute

TEST_SUBJECT = "Test: this channel works"
_STATE_WORDS = {"opened": "Alert", "reminder": "Still open", "resolved": "All clear", "lapsed": "Closed"}
_TONES = {"resolved": "good", "lapsed": "info"}


def incident_facts(incident: Incident) -> dict[str, Any]:
    """What is told of an incident, as of now, as JSON."""
    return {
        "incident": str(incident.pk),
        "title": incident.title,
        "message": incident.message,
        "severity": incident.severity,
        "measure": incident.measure,
        "scope": incident.scope,
        "subject": incident.subject,
        "value": incident.value,
        "worst": incident.worst,
        "limit": incident.limit,
        "state": incident.state,
        "since": _iso(incident.since),
        "openedAt": _iso(incident.opened_at),
        "resolvedAt": _iso(incident.resolved_at),
        "unjudged": incident.unjudged,
    }


def incident_subject(kind: str, facts: dict[str, Any]) -> str:
    """`Alert: Most calls fail (openai)`."""
    about = f" ({facts['subject']})" if facts["subject"] else ""
    return f"{_STATE_WORDS[kind]}: {facts['title']}{about}"


def write(delivery: Delivery) -> Message:
    """The message of a delivery. Reports are computed now: the figures of a past period stand."""
    if delivery.kind == Delivery.Kind.REPORT:
        return writing.message(delivery)
    return _test(delivery) if delivery.kind == Delivery.Kind.TEST else _incident(delivery)


def _incident(delivery: Delivery) -> Message:
    facts = delivery.facts
    url = page("alerts_incident_change", facts["incident"])
    has_ended = delivery.kind in _TONES
    since, ended = datetime.fromisoformat(facts["since"]), facts["resolvedAt"]
    context = {
        "subject": delivery.subject,
        "kind": delivery.kind,
        "badge": _STATE_WORDS[delivery.kind] if has_ended else facts["severity"].capitalize(),
        "tone": _TONES.get(delivery.kind, facts["severity"]),
        "facts": facts,
        "since": minute(since),
        "ending": _ending(delivery.kind, facts, _between(since, datetime.fromisoformat(ended))) if ended else "",
        "url": url,
        "delivery_url": page("alerts_delivery_change", delivery.pk),
        "zone": settings.TIME_ZONE,
    }
    return Message(
        id=str(delivery.pk),
        kind=f"incident.{delivery.kind}",
        subject=delivery.subject,
        text=render_to_string("alerts/incident.txt", context),
        html=render_to_string("alerts/incident.html", context),
        summary=str(context["ending"]) if has_ended else facts["message"],
        data={**facts, "url": url},
        url=url,
        tone=str(context["tone"]),
    )


def _ending(kind: str, facts: dict[str, Any], lasted: str) -> str:
    if kind == Delivery.Kind.LAPSED:
        return f"{facts['unjudged']} Whether this is over is not known: should it be so again, you are told anew."
    return f"This is over. It lasted {lasted}."


def _between(since: datetime, ended: datetime) -> str:
    return timesince(since, ended) if ended - since >= timedelta(minutes=1) else "less than a minute"


def _test(delivery: Delivery) -> Message:
    url = page("alerts_channel_changelist")
    context = {
        "subject": delivery.subject,
        "by": delivery.facts["by"],
        "url": url,
        "delivery_url": page("alerts_delivery_change", delivery.pk),
    }
    return Message(
        id=str(delivery.pk),
        kind="test",
        subject=delivery.subject,
        text=render_to_string("alerts/test.txt", context),
        html=render_to_string("alerts/test.html", context),
        summary=f"Sent by {delivery.facts['by']} with the Test button.",
        data={"by": delivery.facts["by"], "url": url},
        url=url,
        tone="good",
    )


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
