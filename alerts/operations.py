"""Evaluating the rules, and what people do with incidents. Every step is safe to repeat and to make twice at once."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec
import structlog
from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet

from alerts import outbox, rules, wording
from alerts.figures import Figures, Reading
from alerts.measures import MEASURES, is_breached
from alerts.models import Channel, Incident, Rule
from alerts.models.watching import IncidentQuerySet

_CHARS = {"subject": 200, "message": 400}

log = structlog.get_logger(__name__)


def evaluate(*, now: datetime) -> int:
    """Look at every rule as of `now`; returns how many notifications that queued.

    Severe rules come first: a milder one of the same measure and subject is not told of beside them.
    """
    active = sorted(
        Rule.objects.filter(is_active=True).prefetch_related("channels"),
        key=lambda rule: -rules.SEVERITIES.index(rule.severity),
    )
    _drop_orphans(now)
    figures = Figures(now)
    return sum(_evaluated(rule, figures) for rule in active)


def acknowledge(incident: Incident, *, by: str) -> bool:
    """Somebody has seen it: no more reminders. False where it was not open."""
    return _handle(incident, {"state": rules.ACKNOWLEDGED}, by, from_states=(rules.OPEN, rules.SILENCED))


def silence(incident: Incident, *, until: datetime, by: str) -> bool:
    """Not a word of it until then, not even of its end. False where it has ended."""
    change = {"state": rules.SILENCED, "silenced_until": until}
    return _handle(incident, change, by, from_states=(rules.OPEN, rules.ACKNOWLEDGED, rules.SILENCED))


def rules_with_only(channels: Iterable[Channel]) -> QuerySet[Rule]:
    """The rules that name none but these. Without them they would name none, which means every channel."""
    keys = [channel.pk for channel in channels]
    others = Channel.objects.exclude(pk__in=keys)
    return Rule.objects.filter(channels__in=keys).exclude(channels__in=others).distinct()


class Breach(msgspec.Struct, frozen=True, kw_only=True):
    """A rule's limit crossed just now; `incident` is None until the next evaluation has seen it."""

    rule: Rule
    reading: Reading
    message: str
    incident: Incident | None


def current(*, now: datetime) -> list[Breach]:
    """What is over its limit at this moment, the severe first; milder rules beside severe ones are left out."""
    figures = Figures(now)
    known = {(row.rule_id, row.subject): row for row in Incident.objects.live()}
    found: list[Breach] = []
    for rule in Rule.objects.filter(is_active=True):
        for reading in figures.readings(rule):
            if reading.value is not None and is_breached(rule.measure, reading.value, float(rule.limit)):
                incident = known.get((rule.pk, reading.subject))
                found.append(Breach(rule=rule, reading=reading, message=_message(rule, reading), incident=incident))
    found.sort(key=lambda each: -rules.SEVERITIES.index(each.rule.severity))
    return [each for number, each in enumerate(found) if not _is_outranked(each, found[:number])]


def _is_outranked(breach: Breach, before: Iterable[Breach]) -> bool:
    return any(
        (other.rule.measure, other.rule.scope, other.reading.subject)
        == (breach.rule.measure, breach.rule.scope, breach.reading.subject)
        and rules.outranks(other.rule.severity, breach.rule.severity)
        for other in before
    )


# --- evaluating ---------------------------------------------------------------------------------------------------


def _evaluated(rule: Rule, figures: Figures) -> int:
    try:
        return _evaluate_rule(rule, figures)
    except Exception:  # what one rule meets must not keep the others from being looked at; the next minute tries again
        log.exception("a rule could not be looked at", rule=rule.name)
        return 0


def _evaluate_rule(rule: Rule, figures: Figures) -> int:
    if rule.measure not in MEASURES:
        return 0  # it is of another version, which knows what becomes of its incidents
    readings = {reading.subject[: _CHARS["subject"]]: reading for reading in figures.readings(rule)}
    standing = {row.subject: row for row in Incident.objects.unresolved().filter(rule=rule)}
    absent = standing.keys() - readings.keys()
    if MEASURES[rule.measure].absent == "gone":
        _end_silently(Incident.objects.unresolved().filter(rule=rule, subject__in=absent), figures.now)
        absent = set()
    subjects: dict[str, Reading | None] = {**readings, **dict.fromkeys(absent)}
    return sum(
        _evaluate_subject(rule, subject, reading, standing.get(subject), figures.now)
        for subject, reading in subjects.items()
    )


def _evaluate_subject(rule: Rule, subject: str, reading: Reading | None, row: Incident | None, now: datetime) -> int:
    breached = _judged(rule, reading)
    if row is None and not breached:
        return 0
    quiet_until = rules.quiet_until(rule.quiet_from, rule.quiet_until, now=now, zone=ZoneInfo(rule.time_zone))
    withheld = quiet_until is not None or _is_covered(rule, subject, now)
    look = rules.Look(breached=breached, terms=rule.terms, now=now, withheld=withheld)
    step = rules.step(row.standing if row else None, look)
    try:
        with transaction.atomic():
            incident = _write(rule, subject, reading, row, step)
            if incident is None or step.notice is None:
                return 0
            told = outbox.notify(incident, rule, step.notice, now=now, due_at=quiet_until or now)
            if not told and step.notice == "opened":  # there is nobody to tell: who comes later is told then
                Incident.objects.filter(pk=incident.pk).update(told_at=None)
            return told
    except IntegrityError:  # another evaluation has opened it just now
        return 0


def _judged(rule: Rule, reading: Reading | None) -> bool | None:
    """Whether it is over its limit; None where too little is known to say."""
    if reading is None:
        return False if MEASURES[rule.measure].absent == "good" else None
    return None if reading.value is None else is_breached(rule.measure, reading.value, float(rule.limit))


def _is_covered(rule: Rule, subject: str, now: datetime) -> bool:
    """Whether those whom the rule tells have just been told worse of the same subject.

    For one window after that has ended too: its calls are in the milder rule's figures until then.
    """
    worse = [name for name in rules.SEVERITIES if rules.outranks(name, rule.severity)]
    if not worse:
        return False
    same = Incident.objects.filter(measure=rule.measure, scope=rule.scope, subject=subject, severity__in=worse)
    live = Q(state__in=[rules.OPEN, rules.ACKNOWLEDGED, rules.SILENCED])
    return outbox.is_told(rule, same.filter(live | Q(resolved_at__gt=now - rule.window), told_at__isnull=False))


def _write(
    rule: Rule, subject: str, reading: Reading | None, row: Incident | None, step: rules.Step
) -> Incident | None:
    """The incident as it is now; None where there is none, or another evaluation was first."""
    if row is None:
        assert step.standing is not None
        assert reading is not None
        return _insert(rule, subject, reading, step.standing)
    if step.standing is None:
        Incident.objects.filter(pk=row.pk, revision=row.revision).delete()
        return None
    changes = _facts(step.standing)
    if reading is not None and reading.value is not None and _judged(rule, reading):
        message = _message(rule, reading)[: _CHARS["message"]]
        worst = _worse(rule, row.worst, reading.value)
        changes |= {**_words(rule), "value": reading.value, "worst": worst, "message": message}
    if step.standing.state == rules.RESOLVED:
        changes["resolved_at"] = step.standing.seen_at
    seen = Incident.objects.filter(pk=row.pk, revision=row.revision)
    if seen.update(**changes, revision=F("revision") + 1) != 1:
        return None
    return Incident.objects.get(pk=row.pk)


def _insert(rule: Rule, subject: str, reading: Reading, standing: rules.Standing) -> Incident:
    assert reading.value is not None
    return Incident.objects.create(
        rule=rule,
        measure=rule.measure,
        scope=rule.scope,
        subject=subject,
        value=reading.value,
        worst=reading.value,
        message=_message(rule, reading)[: _CHARS["message"]],
        **_words(rule),
        **_facts(standing),
    )


def _words(rule: Rule) -> dict[str, object]:
    """What an incident takes over from its rule, for as long as it lasts."""
    return {"title": rule.name, "severity": rule.severity, "limit": float(rule.limit)}


def _facts(standing: rules.Standing) -> dict[str, object]:
    return msgspec.structs.asdict(standing)


def _worse(rule: Rule, first: float, second: float) -> float:
    return min(first, second) if MEASURES[rule.measure].falls else max(first, second)


def _message(rule: Rule, reading: Reading) -> str:
    assert reading.value is not None
    return wording.finding(
        rule,
        subject=reading.label or reading.subject,
        value=reading.value,
        limit=float(rule.limit),
        calls=reading.calls,
    )


def _drop_orphans(now: datetime) -> None:
    """Incidents of rules that were switched off or deleted, or watch something else by now, end without a word."""
    other = ~Q(measure=F("rule__measure")) | ~Q(scope=F("rule__scope"))
    other |= ~Q(rule__subject="") & ~Q(subject=F("rule__subject"))
    left = Q(rule=None) | Q(rule__is_active=False) | other
    _end_silently(Incident.objects.unresolved().filter(left), now)


def _end_silently(incidents: IncidentQuerySet, now: datetime) -> None:
    incidents.filter(state=rules.PENDING).delete()
    incidents.update(state=rules.RESOLVED, resolved_at=now, unknown_since=None, revision=F("revision") + 1)


# --- people -------------------------------------------------------------------------------------------------------


def _handle(incident: Incident, change: dict[str, object], by: str, *, from_states: tuple[str, ...]) -> bool:
    rows = Incident.objects.filter(pk=incident.pk, state__in=from_states)
    return rows.update(**change, handled_by=by, revision=F("revision") + 1) == 1
