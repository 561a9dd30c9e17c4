"""Routes: the public names behind which several models stand."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from unfold.admin import TabularInline
from unfold.decorators import display as column

from accounts.admin_meanwhile import EditedAdmin
from core import display
from providers.admin.paged import PER_PAGE, PagedFormSet
from providers.models import Deployment, Route, RouteTarget
from providers.operations import DEFAULT_ROUTE

_MAY_VIEW = "providers.view_route"


class TargetFormSet(PagedFormSet):
    unique = "deployment"
    taken = "Another page of this route has this model."


class TargetInline(TabularInline):
    model = RouteTarget
    formset = TargetFormSet
    per_page = PER_PAGE
    hide_title = True
    fields = ("deployment", "priority", "weight")
    autocomplete_fields = ("deployment",)
    verbose_name = "model"
    verbose_name_plural = "Models: the highest priority is tried first, equals share the calls"

    def get_extra(self, request: HttpRequest, obj: Any = None, **_: Any) -> int:
        return 0 if obj is not None and obj.targets.exists() else 1


@admin.register(Route)
class RouteAdmin(EditedAdmin):
    when_empty = "A route is a name that callers use instead of a model's; behind it stand the models that take turns."
    inlines = (TargetInline,)
    warn_unsaved_form = True
    list_display = ("name", "tried", "strategy", "catches_all", "is_active")
    list_filter = ("is_active",)
    search_fields = ("name", "targets__deployment__name")
    fieldsets = (
        (
            None,
            {
                "description": "Callers put a route's name where they would put a model's. "
                "The route called “default” also takes the calls that name no model.",
                "fields": ("name", "strategy", "sticky", "is_active", "catch_all"),
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Route]:
        rows: QuerySet[Route] = super().get_queryset(request).with_targets()
        return rows

    @column(description="Models, in the order they are tried")
    def tried(self, row: Route) -> str:
        targets = list(row.targets.all())
        shown = ", ".join(str(target) for target in targets[:3])
        more = f" and {len(targets) - 3} more" if len(targets) > 3 else ""
        if not any(target.deployment.is_active and target.deployment.provider.is_active for target in targets):
            return display.label("no active model: calls fail" if targets else "no model: calls fail", "danger")
        return shown + more

    @column(description="Unknown names")
    def catches_all(self, row: Route) -> str:
        if not row.catch_all:
            return "–"
        return display.label("Answers any", "warning", title="Calls for model names that nobody knows come here.")


def dead_end(route: Route) -> str:
    """What is wrong with one of `Route.objects.dead_ends()`, and what to do."""
    if route.name == DEFAULT_ROUTE:
        return "No active chat model stands behind the route “default”: calls that name no model fail. Put one there."
    return f"No active model stands behind the route “{route.name}”: its calls fail. Put another there."


def tell_who_joined(request: HttpRequest, added: Collection[Deployment]) -> None:
    """Which of the new models answer calls that name no model, as of now, and which do not, for want of a price."""
    route = Route.objects.filter(name=DEFAULT_ROUTE).first()
    if route is None or not added:
        return
    inside = set(route.targets.filter(deployment__in=added).values_list("deployment", flat=True))
    joined = ", ".join(each.name for each in added if each.pk in inside)
    others = ", ".join(each.name for each in added if each.pk not in inside)
    if joined:
        _tell(
            request, route, f"Joined the route “{DEFAULT_ROUTE}”, so that calls that name no model reach it: {joined}."
        )
    if others:
        _tell(request, route, f"Not in the route “{DEFAULT_ROUTE}”, for want of a price: {others}.")


def _tell(request: HttpRequest, route: Route, text: str) -> None:
    url = reverse("admin:providers_route_change", args=[route.pk])
    messages.info(request, display.with_link(text, url, "The route") if request.user.has_perm(_MAY_VIEW) else text)
