"""Rules, the incidents that they opened, and what is known of providers' certificates."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import ClassVar

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.audit import Audited, AuditedRows
from alerts import rules, subjects, wording
from alerts.measures import MEASURES, MOST_BY_CALL, SCOPES, is_counted_by_call
from alerts.models.channels import Channel
from core.models import Identified
from usage.models.budgets import known_time_zone

_WEEK_MINUTES = 7 * 24 * 60
_MONTH_MINUTES = 31 * 24 * 60


class Rule(Audited, Identified):
    """When people must know. `measure` is a name of `alerts.measures.MEASURES`, which knows the limit's unit."""

    class Severity(models.TextChoices):
        INFO = "info", "Info"
        WARNING = "warning", "Warning"
        CRITICAL = "critical", "Critical"

    name = models.CharField(max_length=80, unique=True, help_text="The alert's headline.")
    measure = models.CharField("what is watched", max_length=32)
    limit = models.DecimalField(
        max_digits=14,
        decimal_places=4,
        default=Decimal(0),
        validators=[MinValueValidator(Decimal(0))],
        help_text="In percent, seconds, dollars, calls or days, as the measure has it.",
    )
    scope = models.CharField("for", max_length=12, default="all")
    subject = models.CharField(
        "only for", max_length=200, blank=True, help_text="One of them by its name. Empty: each of them, apart."
    )
    window_minutes = models.PositiveIntegerField(
        "looking back (minutes)",
        default=15,
        validators=[MinValueValidator(1), MaxValueValidator(_MONTH_MINUTES)],
    )
    minimum_calls = models.PositiveIntegerField(
        "needs at least (calls)", default=0, help_text="With fewer calls in that time, nothing is concluded."
    )
    for_minutes = models.PositiveIntegerField(
        "lasting for (minutes)",
        default=0,
        validators=[MaxValueValidator(_WEEK_MINUTES)],
        help_text="It must be so for this long before anybody is told, and be good for as long before the all-clear.",
    )
    severity = models.CharField(max_length=8, choices=Severity.choices, default=Severity.WARNING)
    renotify_minutes = models.PositiveIntegerField(
        "remind every (minutes)", null=True, blank=True, validators=[MinValueValidator(1)], help_text="Empty: never."
    )
    quiet_from = models.TimeField("quiet from", null=True, blank=True)
    quiet_until = models.TimeField(
        "quiet until", null=True, blank=True, help_text="Nobody is told then. What is still so afterwards is told then."
    )
    time_zone = models.CharField(
        max_length=64, default="UTC", validators=[known_time_zone], help_text="Whose clock the quiet hours go by."
    )
    channels = models.ManyToManyField(
        Channel, blank=True, related_name="rules", help_text="Empty: every channel that gets every alert."
    )
    is_active = models.BooleanField("active", default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        measure = MEASURES.get(self.measure)
        if measure is None:
            raise ValidationError({"measure": f"Choose one of {', '.join(MEASURES)}."})
        if not self.is_active and not self._state.adding:
            return  # whoever switches off what makes no sense any more need not mend it first
        if self.scope not in measure.scopes:
            fitting = ", ".join(f"{scope} ({SCOPES[scope]})" for scope in measure.scopes)
            raise ValidationError({"scope": f"This measure is watched for: {fitting}."})
        if self.scope == "all" and self.subject:
            raise ValidationError({"subject": "Everything together has no name: leave it empty."})
        subjects.must_be_known(self.scope, self.subject, field="subject")
        most = MOST_BY_CALL // timedelta(minutes=1)
        if self.window_minutes and self.window_minutes > most and is_counted_by_call(self.measure, self.scope):
            raise ValidationError(
                {"window_minutes": f"At most {most}: this is counted call by call. For a longer time, watch a budget."}
            )
        if (self.quiet_from is None) != (self.quiet_until is None):
            raise ValidationError({"quiet_until": "Quiet hours have a beginning and an end."})

    @property
    def in_words(self) -> str:
        """`When more than 20% of the calls fail within 15 minutes, for each provider.`."""
        if self.measure not in MEASURES:
            return ""
        least = f" (with at least {self.minimum_calls} calls)" if self.minimum_calls else ""
        lasting = f", for {wording.span(self.terms.hold)} without a break" if self.for_minutes else ""
        return f"When {wording.condition(self, float(self.limit))}{lasting}{least}."

    @property
    def terms(self) -> rules.Terms:
        renotify = timedelta(minutes=self.renotify_minutes) if self.renotify_minutes else None
        patience = rules.patience_for(self.window) if MEASURES[self.measure].unjudged else None
        return rules.Terms(hold=timedelta(minutes=self.for_minutes), renotify=renotify, patience=patience)

    @property
    def window(self) -> timedelta:
        return timedelta(minutes=self.window_minutes)


class IncidentQuerySet(AuditedRows["Incident"]):
    def unresolved(self) -> IncidentQuerySet:
        """Also those that are only pending."""
        return self.exclude(state=rules.RESOLVED)

    def live(self) -> IncidentQuerySet:
        """Open, acknowledged or silenced."""
        return self.filter(state__in=[rules.OPEN, rules.ACKNOWLEDGED, rules.SILENCED])


class Incident(Audited, Identified):
    """A rule's limit crossed by one subject, from its beginning to its end (`alerts.rules` decides both).

    The rule's words are copied, so that the incident stays true when the rule is edited or deleted. `revision` grows
    with every change: who changes a row says which one they have seen. One that is resolved and has an `unknown_since`
    ended because too little was known of it.
    """

    class State(models.TextChoices):
        PENDING = rules.PENDING, "Watching"
        OPEN = rules.OPEN, "Open"
        ACKNOWLEDGED = rules.ACKNOWLEDGED, "Acknowledged"
        SILENCED = rules.SILENCED, "Silenced"
        RESOLVED = rules.RESOLVED, "Resolved"

    rule = models.ForeignKey(Rule, on_delete=models.SET_NULL, null=True, related_name="incidents")
    title = models.CharField(max_length=80)
    measure = models.CharField(max_length=32)
    scope = models.CharField(max_length=12)
    subject = models.CharField(max_length=200, blank=True)
    severity = models.CharField(max_length=8, choices=Rule.Severity.choices)
    state = models.CharField(max_length=12, choices=State.choices, default=State.PENDING)
    revision = models.PositiveIntegerField(default=0)
    value = models.FloatField()
    worst = models.FloatField()
    limit = models.FloatField()
    message = models.CharField(max_length=400)
    since = models.DateTimeField()
    seen_at = models.DateTimeField()
    opened_at = models.DateTimeField(null=True)
    clear_since = models.DateTimeField(null=True)
    unknown_since = models.DateTimeField(null=True)
    told_at = models.DateTimeField(null=True)
    silenced_until = models.DateTimeField(null=True)
    resolved_at = models.DateTimeField(null=True)
    handled_by = models.CharField(max_length=150, blank=True)

    untold_fields: ClassVar = ("revision", "handled_by")  # the trail knows who it is

    objects = IncidentQuerySet.as_manager()  # type: ignore[assignment,misc]  # the same, with words of its own

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["rule", "subject"], condition=~Q(state="resolved"), name="one_incident_a_rule_and_subject"
            )
        ]
        indexes: ClassVar = [models.Index(fields=["state", "resolved_at"], name="incident_by_state")]

    def __str__(self) -> str:
        return f"{self.title}: {self.subject}" if self.subject else self.title

    @property
    def unjudged(self) -> str:
        """Why it was closed though nobody knows whether it is over; empty where it is over, or open."""
        measure = MEASURES.get(self.measure)
        return measure.unjudged if measure and self.state == rules.RESOLVED and self.unknown_since else ""

    @property
    def standing(self) -> rules.Standing:
        return rules.Standing(
            state=self.state,  # type: ignore[arg-type]  # the column's choices are these
            since=self.since,
            seen_at=self.seen_at,
            opened_at=self.opened_at,
            clear_since=self.clear_since,
            unknown_since=self.unknown_since,
            told_at=self.told_at,
            silenced_until=self.silenced_until,
        )


class Certificate(models.Model):
    """What the last look at a provider's certificate found; `expires_at` None: nothing could be read."""

    provider = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField(null=True)
    checked_at = models.DateTimeField()

    def __str__(self) -> str:
        return self.provider
