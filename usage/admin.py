"""What was used: calls and calls in flight. For reading only: the ledger's rows are written by `usage.ledger`."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from django.apps import apps
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.utils.dateparse import parse_date
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter, RangeDateFilter, TextFilter
from unfold.decorators import display as column
from unfold.paginator import InfinitePaginator

from accounts.models import Client
from core import display
from core.display import Tone
from core.ids import lower_bound
from usage import (
    admin_books,  # noqa: F401 - it registers its page
    admin_budgets,  # noqa: F401 - it registers its page
    queries,
    routing,
)
from usage.models import Hold, UsageRecord

_RECENT_ROWS = 2_000
_TONES: dict[str, Tone] = {
    UsageRecord.Status.OK: "success",
    UsageRecord.Status.CACHED: "info",
    UsageRecord.Status.CANCELLED: "warning",
    UsageRecord.Status.REFUSED: "warning",
    UsageRecord.Status.ERROR: "danger",
    UsageRecord.Status.INTERRUPTED: "danger",
}
_EVIDENCE = {
    UsageRecord.Evidence.REPORTED: "The provider said how many tokens it used: the cost is exact.",
    UsageRecord.Evidence.ESTIMATED: "The provider did not say: tokens are estimated from what was sent and received.",
    UsageRecord.Evidence.UPPER_BOUND: "It is not known what the call used: this is the most it can have cost.",
    UsageRecord.Evidence.NONE: "Nothing was used.",
}


class ReadOnlyAdmin(ModelAdmin):
    """For tables that people may read and never write."""

    actions = None
    paginator = InfinitePaginator  # no COUNT(*) over a table that only grows
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_filter_submit = True

    def get_list_filter(self, request: HttpRequest) -> list[Any]:
        too_many = ClientFilter in self.list_filter and Client.objects.count() > display.MOST_OFFERED
        return [ClientTypedFilter if too_many and each is ClientFilter else each for each in self.list_filter]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


# --- filters ------------------------------------------------------------------------------------------------------


class PeriodFilter(DropdownFilter):
    """The last 30 days unless another period is asked for, as a range of keys: only that part of the table is read."""

    title = "period"
    parameter_name = "period"
    all_option = None

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("today", "Today"),
            ("yesterday", "Yesterday"),
            ("7", "Last 7 days"),
            ("30", "Last 30 days"),
            ("month", "This month"),
            ("last-month", "Last month"),
            ("all", "Any time"),
        ]

    def value(self) -> str:
        return super().value() or "30"

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageRecord]) -> QuerySet[UsageRecord]:
        if self.value() == "all" or any(request.GET.get(name) for name in DayFilter.parameters):
            return queryset
        start, end = _period(self.value(), timezone.now())
        rows = queryset.filter(id__gte=lower_bound(start))
        return rows.filter(id__lt=lower_bound(end)) if end is not None else rows


class DayFilter(RangeDateFilter):
    """Days from and to, inclusive, in the installation's time zone."""

    parameters = ("started_at_from", "started_at_to")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.title = "days"

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageRecord]) -> QuerySet[UsageRecord]:
        zone = timezone.get_current_timezone()
        first, last = (_day(str(self.used_parameters.get(name, ""))) for name in self.parameters)
        if first is not None:
            queryset = queryset.filter(id__gte=lower_bound(queries.midnight(first, zone)))
        if last is not None:
            queryset = queryset.filter(id__lt=lower_bound(queries.midnight(last + timedelta(days=1), zone)))
        return queryset


class NameFilter(DropdownFilter):
    """Rows that carry one of the names offered."""

    column: str

    def with_asked(self, offered: list[tuple[str, str]], request: HttpRequest) -> list[tuple[str, str]]:
        """A name that has gone since is still on its rows: a link with it must not show everybody's."""
        asked = request.GET.get(self.column, "")
        return [*offered, (asked, asked)] if asked and asked not in dict(offered) else offered

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(**{self.column: self.value()}) if self.value() else queryset


class ClientFilter(NameFilter):
    title = column = parameter_name = "client"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return self.with_asked([(name, name) for name in Client.objects.values_list("name", flat=True)], request)


class ClientTypedFilter(TextFilter):
    """Where there are more clients than anybody would look through."""

    title = parameter_name = "client"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        name = (self.value() or "").strip()
        return queryset.filter(client=name) if name else queryset


class ProviderFilter(NameFilter):
    title = column = parameter_name = "provider"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        # By label: `usage` lies below `providers` and must not import it, and DISTINCT over the ledger is slow.
        providers = apps.get_model("providers", "Provider").objects.order_by("name")
        return self.with_asked(list(providers.values_list("slug", "name")), request)


class SurfaceFilter(NameFilter):
    title = "door"
    column = parameter_name = "surface"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        recent = UsageRecord.objects.order_by("-id").values_list("surface", flat=True)[:_RECENT_ROWS]
        return self.with_asked([(name, name) for name in sorted(set(recent) - {""})], request)


# --- calls --------------------------------------------------------------------------------------------------------


def _dollars(name: str, text: str) -> Any:
    @column(description=text)
    def show(_self: Any, row: UsageRecord) -> str:
        return display.dollars(getattr(row, name))

    return show


def _tokens(name: str, text: str) -> Any:
    @column(description=text)
    def show(_self: Any, row: UsageRecord) -> str:
        return f"{getattr(row, name):,}"

    return show


@admin.register(UsageRecord)
class UsageRecordAdmin(ReadOnlyAdmin):
    when_empty = "Every call appears here with its tokens and its cost, as soon as it is answered."
    list_display = ("when", "caller", "models", "state", "tokens", "cost", "latency")
    list_filter = (
        PeriodFilter,
        ("started_at", DayFilter),
        ("status", ChoicesDropdownFilter),
        ClientFilter,
        ProviderFilter,
        SurfaceFilter,
    )
    search_fields = ("=request_id", "=end_user", "^deployment", "^requested_model")
    search_help_text = "Request id, end user or model"
    ordering = ("-id",)
    sortable_by = ()
    fieldsets = (
        (
            "What happened",
            {"fields": (("state", "what_went_wrong"), ("started", "finish_reason"), ("request_link", "attempt_text"))},
        ),
        ("Who called", {"fields": (("client_link", "key_text"), ("end_user", "tags_text"), "surface")}),
        ("What answered", {"fields": (("requested_model", "served"), ("provider_key", "sent"), "why_there")}),
        (
            "What was used",
            {
                "fields": (
                    ("tokens_in", "tokens_cached"),
                    ("tokens_out", "tokens_reasoning"),
                    ("other_tokens", "evidence_text"),
                )
            },
        ),
        (
            "What it cost",
            {"fields": (("cost", "price"), ("input_cost", "output_cost"), ("request_cost", "cache_savings"))},
        ),
        ("How long it took", {"fields": (("latency", "first_token"), "overhead")}),
        (
            "For engineers",
            {"fields": ("id", "usage_payload", "kind", "adjusts_id", "is_final"), "classes": ["collapse"]},
        ),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[UsageRecord], search_term: str
    ) -> tuple[QuerySet[UsageRecord], bool]:
        """The first of these that finds anything, the indexed ones first: a request id, an end user, a model's name."""
        term = search_term.strip()
        if not term:
            return queryset, False
        everywhere = UsageRecord.objects.all()
        if (key := _uuid(term)) and everywhere.filter(id=key).exists():
            return everywhere.filter(id=key), False
        if everywhere.filter(request_id=term).exists():
            return everywhere.filter(request_id=term), False
        if queryset.filter(end_user=term).exists():
            return queryset.filter(end_user=term), False
        found: tuple[QuerySet[UsageRecord], bool] = super().get_search_results(request, queryset, term)
        return found

    # --- columns --------------------------------------------------------------------------------------------------

    @column(description="When")
    def when(self, row: UsageRecord) -> str:
        at = timezone.localtime(row.started_at)
        return display.two_lines(f"{at:%H:%M:%S}", f"{at:%-d %b %Y}")

    @column(description="Client")
    def caller(self, row: UsageRecord) -> str:
        return display.two_lines(row.client or "–", row.end_user)

    @column(description="Model asked → served")
    def models(self, row: UsageRecord) -> str:
        return display.two_lines(row.requested_model or "(the default)", f"→ {_served(row)}" if row.deployment else "")

    @column(description="Status")
    def state(self, row: UsageRecord) -> str:
        if row.kind == UsageRecord.Kind.ADJUSTMENT:
            return display.label("Adjustment", "info", title="Corrects an earlier row.")
        text, tone = UsageRecord.Status(row.status).label, _TONES.get(row.status, "default")
        shown = display.label(text, tone, title=row.error_detail or row.error_code)
        return shown if row.is_final else display.two_lines(shown, "tried again")

    @column(description="Tokens in / out")
    def tokens(self, row: UsageRecord) -> str:
        return f"{row.input_tokens:,} / {row.output_tokens:,}"

    @column(description="Cost")
    def cost(self, row: UsageRecord) -> str:
        if row.cost_pico is None:
            return display.label("unknown", "warning", title="The model had no price, or its usage is not known.")
        return display.dollars(row.cost_pico)

    @column(description="Took")
    def latency(self, row: UsageRecord) -> str:
        return display.milliseconds(row.latency_ms)

    # --- one call -------------------------------------------------------------------------------------------------

    @column(description="What went wrong")
    def what_went_wrong(self, row: UsageRecord) -> str:
        return " · ".join(part for part in (row.error_code, row.error_detail) if part)

    @column(description="Corrects")
    def correction(self, row: UsageRecord) -> str:
        return _linked("usage_usagerecord", row.adjusts_id, "an earlier row") if row.adjusts_id else "nothing"

    @column(description="Why, and who")
    def correction_reason(self, row: UsageRecord) -> str:
        return " · ".join(part for part in (row.reason, row.author) if part) or "–"

    @column(description="Attempt")
    def attempt_text(self, row: UsageRecord) -> str:
        if row.kind == UsageRecord.Kind.ADJUSTMENT:
            return "none: this corrects what an earlier row says, and calls nobody"
        if not row.is_final:
            return f"number {row.attempt}: it failed, and the call was tried again"
        if row.attempt == 0:
            return "none: no provider was asked"
        if row.status == UsageRecord.Status.INTERRUPTED and row.evidence == UsageRecord.Evidence.NONE:
            return f"none after number {row.attempt}: the call was cut off before it could be tried again"
        return "the first and only one" if row.attempt == 1 else f"number {row.attempt}, the last"

    @column(description="Request id")
    def request_link(self, row: UsageRecord) -> str:
        """Leads to the rows of all its attempts."""
        return display.link(f"{reverse('admin:usage_usagerecord_changelist')}?q={row.request_id}", row.request_id)

    @column(description="Client")
    def client_link(self, row: UsageRecord) -> str:
        return _linked("accounts_client", row.client_id, row.client)

    @column(description="API key")
    def key_text(self, row: UsageRecord) -> str:
        return _linked("accounts_apikey", row.key_id, f"{row.key_prefix}…" if row.key_prefix else "–")

    @column(description="Tags")
    def tags_text(self, row: UsageRecord) -> str:
        return ", ".join(f"{name} = {value}" for name, value in (row.tags or {}).items()) or "–"

    @column(description="Served by")
    def served(self, row: UsageRecord) -> str:
        return _linked("providers_deployment", row.deployment_id, _served(row)) if row.deployment else "no model"

    @column(description="The provider's key")
    def provider_key(self, row: UsageRecord) -> str:
        return row.credential or "–"

    @column(description="Sent")
    def sent(self, row: UsageRecord) -> str:
        return "as a stream, word by word" if row.stream else "in one piece"

    @column(description="Why this provider")
    def why_there(self, row: UsageRecord) -> str:
        return routing.in_words(row.routing) or "–"

    @column(description="Other tokens")
    def other_tokens(self, row: UsageRecord) -> str:
        names = {
            "cache_write_5m_tokens": "written to the cache for 5 minutes",
            "cache_write_1h_tokens": "written to the cache for an hour",
            "audio_input_tokens": "of audio in",
            "audio_output_tokens": "of audio out",
            "image_input_tokens": "of images in",
            "image_output_tokens": "of images out",
        }
        used = {text: getattr(row, name) for name, text in names.items()}
        return ", ".join(f"{number:,} {text}" for text, number in used.items() if number) or "none"

    @column(description="How we know")
    def evidence_text(self, row: UsageRecord) -> str:
        return _EVIDENCE.get(UsageRecord.Evidence(row.evidence), row.evidence)

    @column(description="Priced by")
    def price(self, row: UsageRecord) -> str:
        return _linked("providers_price", row.price_id, "the price in force then") if row.price_id else _unpriced(row)

    @column(description="First word after")
    def first_token(self, row: UsageRecord) -> str:
        return display.milliseconds(row.first_token_ms)

    @column(description="Of that, ours")
    def overhead(self, row: UsageRecord) -> str:
        return display.milliseconds(row.overhead_ms)

    @column(description="When")
    def started(self, row: UsageRecord) -> str:
        return f"{timezone.localtime(row.started_at):%-d %b %Y, %H:%M:%S %Z}"

    tokens_in = _tokens("input_tokens", "Tokens in")
    tokens_cached = _tokens("cached_input_tokens", "Of these from the provider's cache")
    tokens_out = _tokens("output_tokens", "Tokens out")
    tokens_reasoning = _tokens("reasoning_tokens", "Of these for reasoning")
    input_cost = _dollars("input_cost_pico", "For the prompt")
    output_cost = _dollars("output_cost_pico", "For the answer")
    request_cost = _dollars("request_cost_pico", "For the call itself")

    @column(description="Saved by the cache")
    def cache_savings(self, row: UsageRecord) -> str:
        return display.dollars(row.saved_pico) if row.status == UsageRecord.Status.CACHED else "–"

    def get_fieldsets(self, request: HttpRequest, obj: UsageRecord | None = None) -> Any:
        """An adjustment says first what it corrects, and only a call that went wrong what went wrong."""
        shown: list[Any] = list(self.fieldsets)
        if obj is None:
            return shown
        if not (obj.error_code or obj.error_detail):
            title, happened = shown[0]
            shown[0] = (title, {"fields": ("state", *happened["fields"][1:])})
        if obj.kind != UsageRecord.Kind.ADJUSTMENT:
            return shown
        return (("A correction", {"fields": (("correction", "correction_reason"),)}), *shown)

    def get_readonly_fields(self, request: HttpRequest, obj: UsageRecord | None = None) -> list[str]:
        lines = [line for _, options in self.get_fieldsets(request, obj) for line in options["fields"]]
        return [name for line in lines for name in ([line] if isinstance(line, str) else line)]


# --- calls in flight ----------------------------------------------------------------------------------------------


@admin.register(Hold)
class HoldAdmin(ReadOnlyAdmin):
    when_empty = "Calls that wait for their answer appear here, with what they may cost at most."
    list_display = ("since", "caller", "model_name", "provider", "attempt", "at_most", "until")
    list_filter = (ClientFilter, ProviderFilter)
    search_fields = ("=request_id", "=end_user", "^deployment")
    ordering = ("id",)
    sortable_by = ()
    fields = (
        "since",
        "client",
        "end_user",
        "request_id",
        "requested_model",
        "deployment",
        "provider",
        "attempt",
        "at_most",
        "until",
    )
    readonly_fields = fields

    @column(description="Since")
    def since(self, row: Hold) -> str:
        return display.ago(row.started_at, now=timezone.now())

    @column(description="Client")
    def caller(self, row: Hold) -> str:
        return display.two_lines(row.client or "–", row.end_user)

    @column(description="Model")
    def model_name(self, row: Hold) -> str:
        return row.deployment or row.requested_model

    @column(description="Costs at most")
    def at_most(self, row: Hold) -> str:
        return display.dollars(row.amount_pico)

    @column(description="Must end by")
    def until(self, row: Hold) -> str:
        return display.minute(row.deadline_at)


# --- inside -------------------------------------------------------------------------------------------------------


def _period(name: str, now: datetime) -> tuple[datetime, datetime | None]:
    zone = timezone.get_current_timezone()
    today, month = queries.bucket_start(now, "day", zone), queries.bucket_start(now, "month", zone)
    if name == "today":
        return today, None
    if name == "yesterday":
        return queries.midnight(today.date() - timedelta(days=1), zone), today
    if name == "month":
        return month, None
    if name == "last-month":
        return queries.bucket_start(month - timedelta(days=1), "month", zone), month
    days = int(name) if name.isdecimal() else 30
    return queries.midnight(today.date() - timedelta(days=min(days, 3_660) - 1), zone), None


def _day(text: str) -> date | None:
    try:
        return parse_date(text)
    except ValueError:
        return None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _served(row: UsageRecord) -> str:
    return f"{row.provider}/{row.deployment}" if row.provider else row.deployment


def _unpriced(row: UsageRecord) -> str:
    return "no price" if row.cost_pico is None else "no price needed"


def _linked(page: str, key: UUID | None, text: str) -> str:
    """A link to what the row names; plain text where it names nothing."""
    if key is None:
        return text or "–"
    try:
        return display.link(reverse(f"admin:{page}_change", args=[key]), text)
    except NoReverseMatch:
        return format_html("{}", text)
