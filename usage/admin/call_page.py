"""What the page of one call says of it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from unfold.decorators import display as column

from core import display
from usage import routing
from usage.models import UsageRecord

_EVIDENCE = {
    UsageRecord.Evidence.REPORTED: "The provider said how many tokens it used: the cost is exact.",
    UsageRecord.Evidence.ESTIMATED: "The provider did not say: tokens are estimated from what was sent and received.",
    UsageRecord.Evidence.UPPER_BOUND: "It is not known what the call used: this is the most it can have cost.",
    UsageRecord.Evidence.NONE: "Nothing was used.",
}


def served_by(row: UsageRecord) -> str:
    return f"{row.provider}/{row.deployment}" if row.provider else row.deployment


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


class CallPage:
    """The part of a `ModelAdmin` that shows one row."""

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

    def get_object(self, request: HttpRequest, *args: Any) -> Any:
        """With who reads it: nobody is led to a page that is not for him."""
        row = super().get_object(request, *args)  # type: ignore[misc]  # ModelAdmin's
        if row is not None:
            row.reader = request.user
        return row

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

    @column(description="What went wrong")
    def what_went_wrong(self, row: UsageRecord) -> str:
        return " · ".join(part for part in (row.error_code, row.error_detail) if part)

    @column(description="Corrects")
    def correction(self, row: UsageRecord) -> str:
        return _linked(row, "usage_usagerecord", row.adjusts_id, "an earlier row") if row.adjusts_id else "nothing"

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
        return _linked(row, "accounts_client", row.client_id, row.client)

    @column(description="API key")
    def key_text(self, row: UsageRecord) -> str:
        return _linked(row, "accounts_apikey", row.key_id, f"{row.key_prefix}…" if row.key_prefix else "–")

    @column(description="Tags")
    def tags_text(self, row: UsageRecord) -> str:
        return ", ".join(f"{name} = {value}" for name, value in (row.tags or {}).items()) or "–"

    @column(description="Served by")
    def served(self, row: UsageRecord) -> str:
        return _linked(row, "providers_deployment", row.deployment_id, served_by(row)) if row.deployment else "no model"

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
        return (
            _linked(row, "providers_price", row.price_id, "the price in force then") if row.price_id else _unpriced(row)
        )

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


def _unpriced(row: UsageRecord) -> str:
    return "no price" if row.cost_pico is None else "no price needed"


def _linked(row: Any, page: str, key: UUID | None, text: str) -> str:
    """A link to what the row names; plain text where it names nothing, or what its reader may not see."""
    app, _, model = page.partition("_")
    if key is None or not row.reader.has_perm(f"{app}.view_{model}"):
        return text or "–"
    return display.link(reverse(f"admin:{page}_change", args=[key]), text)
