"""Public names behind which models stand."""

from __future__ import annotations

from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Exists, OuterRef, Prefetch, Q
from django.utils import timezone

from accounts.audit import Audited, AuditedRows
from core.models import Identified
from providers.models.provider import Deployment
from providers.routing import DEFAULT_ROUTE


class RouteQuerySet(AuditedRows["Route"]):
    def dead_ends(self) -> RouteQuerySet:
        """Active routes whose calls all fail; the route `default` also where its chats fail, and need not."""
        reached = RouteTarget.objects.filter(
            route=OuterRef("pk"), deployment__is_active=True, deployment__provider__is_active=True
        )
        chat = Deployment.Type.CHAT
        chats = Deployment.objects.filter(type=chat, is_active=True, provider__is_active=True)
        default = Q(~Exists(reached.filter(deployment__type=chat)), Exists(chats), name=DEFAULT_ROUTE)
        return self.filter(~Exists(reached) | default, is_active=True)

    def with_targets(self) -> RouteQuerySet:
        """Joined: a prefetch of the models compares each id by itself, and SQLite compares at most a thousand."""
        joined = RouteTarget.objects.select_related("deployment__provider")
        return self.prefetch_related(Prefetch("targets", queryset=joined))


class Route(Audited, Identified):
    """A public name behind which several deployments stand."""

    class Strategy(models.TextChoices):
        PRIORITY = "priority", "Highest priority first, equals by weight"
        WEIGHTED = "weighted", "By weight, as for an A/B split"
        ROUND_ROBIN = "round_robin", "In turn"
        LEAST_LATENCY = "least_latency", "Fastest of late"
        LEAST_COST = "least_cost", "Cheapest for the call"
        SCORE = "score", "Best score of success, speed and health"

    name = models.CharField(
        max_length=128, unique=True, help_text="What callers put in their model field, for example default."
    )
    strategy = models.CharField(
        "how equals share",
        max_length=16,
        choices=Strategy.choices,
        default=Strategy.PRIORITY,
        help_text="Among models of equal priority: a higher priority is always tried first.",
    )
    sticky = models.BooleanField(
        "keep end users",
        default=False,
        db_default=False,
        help_text="The same end user always gets the same model, as long as it answers. Where shared by weight.",
    )
    catch_all = models.BooleanField(
        "answer unknown names", default=False, help_text="Also answers calls for model names that nobody knows."
    )
    is_active = models.BooleanField("active", default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = RouteQuerySet.as_manager()  # type: ignore[assignment,misc]  # the same, with words of its own

    class Meta:
        ordering: ClassVar = ["name"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["catch_all"], condition=Q(catch_all=True), name="one_catch_all_route"),
        ]

    def __str__(self) -> str:
        return self.name


class RouteTarget(Audited):
    """A deployment's place in a route."""

    route = models.ForeignKey(Route, on_delete=models.CASCADE, related_name="targets")
    deployment = models.ForeignKey(
        Deployment, on_delete=models.CASCADE, related_name="route_targets", verbose_name="model"
    )
    priority = models.IntegerField(default=10, help_text="Higher is tried first.")
    weight = models.PositiveIntegerField(default=1, validators=[MinValueValidator(1), MaxValueValidator(1000)])

    class Meta:
        ordering: ClassVar = ["-priority", "pk"]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["route", "deployment"],
                name="target_once_a_route",
                violation_error_message="This route has that model already.",
            )
        ]

    def __str__(self) -> str:
        return str(self.deployment)
