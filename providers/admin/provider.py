"""One page makes a provider: what it is, its keys, its models and what they cost."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.db.models import Count, Prefetch, Q, QuerySet, prefetch_related_objects
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from unfold.decorators import action
from unfold.decorators import display as column

from accounts.admin_locked import lock
from accounts.admin_meanwhile import EditedAdmin
from core import display
from providers import circuits, health, operations
from providers.admin import circuit, condition, discovery, rates, route
from providers.admin.provider_form import KeyForm, KeyInline, ModelInline, ProviderForm
from providers.connection import Finding
from providers.kinds import KINDS
from providers.models import Deployment, Health, Price, Provider, Route, RouteTarget
from providers.tasks import probe_soon
from usage import queries


class HealthFilter(admin.SimpleListFilter):
    title = "health"
    parameter_name = "health"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [*((str(value), str(text)) for value, text in Health.Status.choices), ("never", "Never checked")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Provider]) -> QuerySet[Provider]:
        if self.value() == "never":
            return queryset.filter(health=None)
        return queryset.filter(health__status=self.value()) if self.value() else queryset


class KindFilter(admin.SimpleListFilter):
    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, kind.label) for name, kind in KINDS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Provider]) -> QuerySet[Provider]:
        return queryset.filter(kind=self.value()) if self.value() else queryset


@admin.register(Provider)
class ProviderAdmin(EditedAdmin):
    when_empty = "Add one: its key, its models and their prices, all on one page."
    form = ProviderForm
    inlines = (KeyInline, ModelInline)
    change_form_template = "admin/providers/provider/change_form.html"
    prepopulated_fields: ClassVar = {"slug": ("name",)}
    warn_unsaved_form = True
    fieldsets = (
        (None, {"fields": ("name", "kind", "base_url", "organization", "slug", "is_active")}),
        ("Which provider is tried first", {"fields": (("priority", "weight"),), "classes": ["collapse"]}),
        (
            "How long to wait",
            {
                "classes": ["collapse"],
                "fields": (
                    ("connect_timeout_ms", "first_token_timeout_ms"),
                    ("between_chunks_timeout_ms", "timeout_ms"),
                    "on_disconnect",
                ),
            },
        ),
        (
            "How much it takes",
            {
                "description": "Beyond it calls go to another provider, or are refused. An empty field is no limit.",
                "classes": ["collapse"],
                "fields": (("requests_per_minute", "requests_per_hour"), ("tokens_per_minute", "tokens_per_hour")),
            },
        ),
        (
            "How often to try",
            {"classes": ["collapse"], "fields": (("retry_attempts", "retry_delay_ms"),)},
        ),
        (
            "When it keeps failing",
            {
                "classes": ["collapse"],
                "fields": (("failure_threshold", "monitoring_period_ms"), ("open_ms", "success_threshold")),
            },
        ),
    )
    list_display = (
        "provider",
        "state",
        "traffic",
        "priority",
        "model_count",
        "key_count",
        "prices",
        "spend",
        "test",
    )
    list_filter = (KindFilter, HealthFilter, "is_active")
    ordering = ("-priority", "name")  # said again: where rows are counted, a model's own is left out
    list_per_page = 50
    search_fields = ("name", "slug", "deployments__name")
    actions = ("test_all", "reset_circuits", "activate", "deactivate")
    actions_detail = ("test_connection", "find_models", "reset_circuit", "activate_one", "deactivate_one")
    actions_row = ("test_connection", "activate_one", "deactivate_one")

    def get_readonly_fields(self, request: HttpRequest, obj: Provider | None = None) -> tuple[str, ...]:
        """It stays by its slug in usage rows, budgets and rules."""
        return ("slug",) if obj is not None else ()

    def get_form(self, request: HttpRequest, obj: Provider | None = None, **options: Any) -> Any:
        """Who may not change its keys does not say either where they are sent."""
        form = super().get_form(request, obj, **options)
        if obj is not None and not request.user.has_perm("providers.change_credential"):
            lock(form, "kind", "base_url", why="Its keys are sent there: who may change those may change this.")
        return form

    def get_prepopulated_fields(self, request: HttpRequest, obj: Provider | None = None) -> dict[str, Any]:
        return self.prepopulated_fields if obj is None else {}

    def also_seen(self, row: Provider) -> Any:
        """Prices: a new one is a new row."""
        return list(Price.objects.filter(deployment__provider=row).order_by("pk").values_list("pk"))

    # --- the list -------------------------------------------------------------------------------------------------

    def get_queryset(self, request: HttpRequest) -> QuerySet[Provider]:
        rows: QuerySet[Provider] = super().get_queryset(request)
        active_keys = Count("credentials", filter=Q(credentials__is_active=True), distinct=True)
        return rows.select_related("health").annotate(active_keys=active_keys)

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        now = timezone.now()
        spend = _spend_today(now)
        changelist.result_list = list(changelist.result_list)
        active = Deployment.objects.filter(is_active=True).prefetch_related("prices")
        models = Prefetch("deployments", queryset=active, to_attr="active_models")
        prefetch_related_objects(changelist.result_list, models)  # a provider's own page needs none of them
        standings = health.standings(changelist.result_list, now=now)
        seen = circuits.standing(model.pk for row in changelist.result_list for model in row.active_models)
        for row in changelist.result_list:
            row.standing = standings[row.pk]
            row.circuit_label = circuit.label(row.active_models, seen, now=now.timestamp())
            row.spend_today = spend.get(row.slug, queries.Totals())
            row.price_range = _price_range(row.active_models, now)
        return changelist

    @column(description="Provider", ordering="name")
    def provider(self, row: Provider) -> str:
        return display.two_lines(row.name, kind_name(row))

    @column(description="Health", ordering="health__status")
    def state(self, row: Any) -> str:
        if not row.is_active:
            return display.label("Inactive", "default", title="It gets no calls and is not checked.")
        return condition.shown(row, row.standing, now=timezone.now())

    @column(description="Calls")
    def traffic(self, row: Any) -> str:
        shown: str = row.circuit_label
        return shown if row.is_active else "–"

    @column(description="Models")
    def model_count(self, row: Any) -> str:
        return str(len(row.active_models)) if row.active_models else display.label("none", "warning")

    @column(description="Keys", ordering="active_keys")
    def key_count(self, row: Any) -> str:
        needed = row.kind in KINDS and KINDS[row.kind].needs_key
        return display.label("none", "danger") if needed and not row.active_keys else str(row.active_keys)

    @column(description="Per million tokens")
    def prices(self, row: Any) -> str:
        shown: str = row.price_range
        return shown

    @column(description="Spent today")
    def spend(self, row: Any) -> str:
        spent: queries.Totals = row.spend_today
        return display.dollars_rounded(spent.cost_pico)

    @column(description="")
    def test(self, row: Provider) -> str:
        url = reverse("admin:providers_provider_test_connection", args=[row.pk])
        return format_html('<a class="aip-button" data-post href="{}">Test</a>', url)

    # --- the form -------------------------------------------------------------------------------------------------

    def has_delete_permission(self, request: HttpRequest, obj: Provider | None = None) -> bool:
        """Only what was never priced can go: prices are history. Everything else is deactivated."""
        if obj is not None and Price.objects.filter(deployment__provider=obj).exists():
            return False
        allowed: bool = super().has_delete_permission(request, obj)
        return allowed

    def get_actions(self, request: HttpRequest) -> Any:
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def get_actions_detail(self, request: HttpRequest, object_id: str) -> Any:
        """Of activating and deactivating, the one that there is to do."""
        provider = self.get_object(request, object_id)
        idle = "activate_one" if provider is None or provider.is_active else "deactivate_one"
        return [each for each in super().get_actions_detail(request, object_id) if each.path != idle]

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], **options: Any) -> Any:
        context["kinds"] = {
            name: {"label": kind.label, "url": kind.base_url, "needsKey": kind.needs_key, "example": kind.example}
            for name, kind in KINDS.items()
        }
        context["provider_notes"] = condition.notes(options.get("obj"))
        rows = (row for each in context["inline_admin_formsets"] for row in each.formset.forms)
        for key in (row for row in rows if context["errors"] and isinstance(row, KeyForm)):
            key.ask_again()
        return super().render_change_form(request, context, **options)

    def save_model(self, request: HttpRequest, obj: Provider, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's
        super().save_model(request, obj, form, change)
        if change and "priority" in form.changed_data:
            default = RouteTarget.objects.filter(route__name=operations.DEFAULT_ROUTE, deployment__provider=obj)
            default.update(priority=obj.priority)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:  # noqa: FBT001 - Django's
        super().save_formset(request, form, formset, change)
        if formset.model is Deployment:
            now = timezone.now()
            changed = [row for row in formset.forms if row.has_changed() and row not in formset.deleted_forms]
            joined = [row.instance for row in changed if _save_price(row, now)]
            route.tell_who_joined(request, dict.fromkeys([*formset.new_objects, *joined]))

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:  # noqa: FBT001 - Django's
        super().save_related(request, form, formsets, change)
        for warning in _warnings(form.instance):
            messages.warning(request, warning)
        _tell_of_dead_ends(request)
        probe_soon(form.instance.pk)

    # --- actions --------------------------------------------------------------------------------------------------

    @action(description="Test connection", permissions=["change"], icon="network_check", attrs={"data-post": ""})
    def test_connection(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        provider = self.get_object(request, object_id)
        if provider is not None:
            _tell(request, provider, health.check(provider, now=timezone.now()))
        return _back(request)

    @action(description="Find models", permissions=["change"], icon="search", url_path="find-models")
    def find_models(self, request: HttpRequest, object_id: str) -> HttpResponse:
        provider = self.get_object(request, object_id)
        return discovery.find_models(request, provider, self) if provider is not None else _back(request)

    @action(description="Reset circuit", permissions=["change"], icon="restart_alt", attrs={"data-post": ""})
    def reset_circuit(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        provider = self.get_object(request, object_id)
        self._reset(request, [provider] if provider is not None else [])
        return _back(request)

    @action(description="Activate", permissions=["change"], icon="play_arrow", attrs={"data-post": ""})
    def activate_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._switch_one(request, object_id, is_active=True)

    @action(description="Deactivate", permissions=["change"], icon="pause", attrs={"data-post": ""})
    def deactivate_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._switch_one(request, object_id, is_active=False)

    @admin.action(description="Test connection", permissions=["change"])
    def test_all(self, request: HttpRequest, queryset: QuerySet[Provider]) -> None:
        chosen = queryset.prefetch_related("credentials", "deployments")
        for provider, finding in health.check_all(chosen, now=timezone.now()):
            _tell(request, provider, finding)

    @admin.action(description="Reset circuit", permissions=["change"])
    def reset_circuits(self, request: HttpRequest, queryset: QuerySet[Provider]) -> None:
        self._reset(request, list(queryset))

    def _reset(self, request: HttpRequest, providers: list[Provider]) -> None:
        circuits.reset(providers, now=timezone.now())
        for provider in providers:
            self.log_change(request, provider, "Circuit reset.")
            messages.success(request, f"{provider.name} gets calls again, with all its keys, within a second.")

    @admin.action(description="Activate", permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[Provider]) -> None:
        self._switch(request, list(queryset), is_active=True)

    @admin.action(description="Deactivate", permissions=["change"])
    def deactivate(self, request: HttpRequest, queryset: QuerySet[Provider]) -> None:
        self._switch(request, list(queryset), is_active=False)

    def _switch_one(self, request: HttpRequest, object_id: str, *, is_active: bool) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        provider = self.get_object(request, object_id)
        self._switch(request, [provider] if provider is not None else [], is_active=is_active)
        return _back(request)

    def _switch(self, request: HttpRequest, providers: list[Provider], *, is_active: bool) -> None:
        done = "is active: it gets calls again." if is_active else "is inactive: it gets no more calls."
        for provider in providers:
            Provider.objects.filter(pk=provider.pk).update(is_active=is_active)
            self.log_change(request, provider, "Activated." if is_active else "Deactivated.")
            messages.success(request, f"{provider.name} {done}")
        _tell_of_dead_ends(request)

    def delete_model(self, request: HttpRequest, obj: Provider) -> None:
        super().delete_model(request, obj)
        _tell_of_dead_ends(request)


def kind_name(row: Provider) -> str:
    """The kind's label without its explanation."""
    return KINDS[row.kind].label.split(" (")[0] if row.kind in KINDS else row.kind


def _save_price(row: Any, now: datetime) -> bool:
    """Whether the model joined the default route with it."""
    new = row.new_rates()
    if new is None:
        return False
    operations.set_price(row.instance, new, now=now)
    return operations.join_with_first_price(row.instance)


def _spend_today(now: datetime) -> dict[str, queries.Group]:
    """By slug: so it is read from the sums."""
    zone = timezone.get_default_timezone()
    start = queries.bucket_start(now, "day", zone)
    end = queries.next_bucket(start, "day", zone)
    return {row.key: row for row in queries.grouped(start, end, by="provider")}


def _price_range(models: list[Deployment], now: datetime) -> str:
    """`$0.15 - $10`: the lowest and the highest rate of its active models."""
    prices = [rates.in_force(model, now) for model in models]
    known = [price for price in prices if price is not None]
    if not known:
        return display.label("no price", "warning", title="Cost unknown") if models else "–"
    spans = [_span(known, currency) for currency in sorted({price.currency for price in known})]
    span = ", ".join(spans)
    missing = len(prices) - len(known)
    return display.two_lines(span, f"{missing} without price") if missing else span


def _span(prices: list[Price], currency: str) -> str:
    """Of those in `currency`: amounts of two cannot be compared."""
    used = [price for price in prices if price.currency == currency]
    amounts: list[Decimal] = [rate for price in used for rate in (price.input_per_million, price.output_per_million)]
    low, high = display.rate(min(amounts), currency), display.rate(max(amounts), currency)
    return low if low == high else f"{low} – {high}"


def _warnings(provider: Provider) -> list[str]:
    """What a person should know after saving."""
    now = timezone.now()
    found = []
    if KINDS[provider.kind].needs_key and not provider.credentials.filter(is_active=True).exists():
        found.append(f"{provider.name} has no active key yet: its calls will be refused.")
    own = condition.kind_of_its_own(provider)
    if own:
        found.append(f"That is {own}'s address: the kind {own} knows what is special about it.")
    models = list(provider.deployments.filter(is_active=True).prefetch_related("prices"))
    troubles = {model.name: rates.trouble(rates.in_force(model, now), now) for model in models}
    found += [f"{name}: {trouble}." for name, trouble in troubles.items() if trouble]
    if not models:
        found.append(f"{provider.name} has no model yet: it gets no calls.")
    return found


def _tell(request: HttpRequest, provider: Provider, finding: Finding) -> None:
    tone = messages.ERROR if not finding.ok else messages.WARNING if finding.warnings else messages.SUCCESS
    messages.add_message(request, tone, f"{provider.name}: {finding.text}")


def _tell_of_dead_ends(request: HttpRequest) -> None:
    """The demo has left a route for the provider that goes, and does not come back: made-up answers are no failover."""
    for found in Route.objects.dead_ends():
        messages.warning(
            request,
            display.with_link(
                route.dead_end(found), reverse("admin:providers_route_change", args=[found.pk]), "The route"
            ),
        )


def _back(request: HttpRequest) -> HttpResponse:
    """To the page where the button was."""
    came_from = request.headers.get("Referer", "")
    safe = url_has_allowed_host_and_scheme(came_from, {request.get_host()})
    return HttpResponseRedirect(came_from if safe else reverse("admin:providers_provider_changelist"))
