"""Channels: where alerts and reports go, each with a Test button."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import Prefetch, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.decorators import action
from unfold.decorators import display as column
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from accounts.admin_looking import to_look_at
from accounts.admin_meanwhile import EditedAdmin
from alerts import operations, outbox
from alerts.admin.pages import DELIVERY_TONES, ago, back, only_post
from alerts.channels import CHANNELS, CHOICES
from alerts.models import Channel, Delivery
from alerts.models.channels import without_query
from core import display
from core.vault import Secret
from providers.admin.fields import NewKeyField


class ChannelForm(forms.ModelForm):  # type: ignore[type-arg]  # generic only in the stubs
    kind = forms.ChoiceField(choices=CHOICES, widget=UnfoldAdminSelectWidget)
    address = forms.CharField(
        required=False,
        widget=UnfoldAdminTextareaWidget({"rows": 2}),
        help_text="For e-mail: addresses, parted by commas. For a webhook: where it listens. For Slack: nothing.",
    )
    new_secret = NewKeyField(
        label="Secret",
        help_text="For Slack: the webhook's address. For a webhook: its signing secret; left empty, one is made.",
    )

    class Meta:
        model = Channel
        fields = ("name", "kind", "address", "gets_alerts", "is_active")

    made: Secret | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if "new_secret" in self.fields:
            self.fields["new_secret"].widget.attrs["placeholder"] = "paste it here"

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or self.cleaned_data
        kind = CHANNELS.get(data.get("kind", ""))
        given = data.get("new_secret")
        if given is None and kind is not None and kind.new_secret is not None and not self.instance.secret:
            given = self.made = kind.new_secret()
        if given is not None:
            self.instance.take(given)
        return data

    def add_error(self, field: str | None, error: Any) -> None:
        """What the model says of its secret is said where a secret is typed."""
        if field is None and "secret" in getattr(error, "error_dict", {}):
            error.error_dict["new_secret"] = error.error_dict.pop("secret")
        super().add_error(field, error)


@admin.register(Channel)
class ChannelAdmin(EditedAdmin):
    when_empty = (
        "Nobody is told anything yet. Add a channel: an e-mail address, a Slack webhook or a webhook of your own."
    )
    form = ChannelForm
    list_display = ("channel", "leads_to", "gets", "last", "is_active", "test")
    list_filter = ("is_active",)
    search_fields = ("name", "address")
    list_before_template = "alerts/admin/channels.html"
    actions_detail = ("send_test",)
    actions_row = ("send_test",)
    readonly_fields = ("stored",)
    fieldsets = (
        (None, {"fields": ("name", "kind", "address", "new_secret", "stored")}),
        ("What it gets", {"fields": ("gets_alerts", "is_active")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Channel]:
        rows: QuerySet[Channel] = super().get_queryset(request)
        newest = Delivery.objects.order_by("-id")
        return rows.prefetch_related(Prefetch("deliveries", queryset=newest[:1], to_attr="newest"))

    def get_fieldsets(self, request: HttpRequest, obj: Channel | None = None) -> Any:
        """The query of an address may hold a token: who may change the address sees it."""
        if obj is None or self.has_change_permission(request, obj):
            return self.fieldsets
        shown = ((None, {"fields": ("name", "kind", "leads_to", "stored")}), *self.fieldsets[1:])
        return to_look_at(shown, self.form, self.model)

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        """Nor is it found by others, who could guess it letter by letter."""
        return self.search_fields if self.has_change_permission(request) else ("name",)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Nor by a filter of the page's address."""
        return lookup.partition("__")[0] != "address" and super().lookup_allowed(lookup, value, request)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        context = {
            "no_mail_server": settings.MAIL_SERVER is None,
            "guessed_url": settings.PUBLIC_URL if settings.PRODUCTION and settings.PUBLIC_URL_IS_GUESSED else "",
            **(extra_context or {}),
        }
        return super().changelist_view(request, context)

    @column(description="Channel", ordering="name")
    def channel(self, row: Channel) -> str:
        kind = CHANNELS.get(row.kind)
        return display.two_lines(row.name, kind.label if kind else row.kind)

    @column(description="Leads to")
    def leads_to(self, row: Channel) -> str:
        return without_query(row.address) or f"an address that is kept secret ({row.hint})"

    @column(description="Gets")
    def gets(self, row: Channel) -> str:
        return "Every alert" if row.gets_alerts else "Only what names it"

    @column(description="Last message")
    def last(self, row: Any) -> str:
        if not row.newest:
            return "none yet"
        newest: Delivery = row.newest[0]
        label = display.label(newest.get_state_display(), DELIVERY_TONES[newest.state], title=newest.last_error)
        return display.two_lines(label, ago(newest.created_at))

    @column(description="Stored secret")
    def stored(self, row: Channel) -> str:
        return row.hint or "none"

    @column(description="")
    def test(self, row: Channel) -> str:
        url = reverse("admin:alerts_channel_send_test", args=[row.pk])
        return format_html('<a class="aip-button" data-post href="{}">Test</a>', url)

    @action(description="Send a test", permissions=["change"], icon="send", attrs={"data-post": ""})
    def send_test(self, request: HttpRequest, object_id: str) -> HttpResponse:
        channel = self.get_object(request, object_id)
        refused = only_post(request)
        if refused is not None or channel is None:
            return refused or back(request, reverse("admin:alerts_channel_changelist"))
        now = timezone.now()
        sent = outbox.send_now(outbox.queue_test(channel, by=request.user.get_username(), now=now), now=now)
        url = reverse("admin:alerts_delivery_change", args=[sent.pk])
        if sent.state == Delivery.State.DELIVERED:
            attempt = sent.log.latest("at")
            text = display.with_link(f"{channel}: {attempt.detail}", url, "See the delivery")
            messages.success(request, text)
        else:
            messages.error(request, display.with_link(f"{channel}: {sent.last_error}", url, "See the delivery"))
        return back(request, reverse("admin:alerts_channel_changelist"))

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        found, counts, lacking, protected = super().get_deleted_objects(objs, request)
        left = operations.rules_with_only(objs)
        told = [f"the rule {rule}, which would name no channel any more, and tell every one" for rule in left]
        return found, counts, lacking, [*protected, *told]

    # --- a signing secret that was made, once ---------------------------------------------------------------------

    def save_model(self, request: HttpRequest, obj: Channel, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's
        super().save_model(request, obj, form, change)
        request.made_secret = form.made  # type: ignore[attr-defined]  # for the answer to this request alone

    def response_add(self, request: HttpRequest, obj: Channel, post_url_continue: str | None = None) -> HttpResponse:
        return self._shown_once(request, obj) or super().response_add(request, obj, post_url_continue)

    def response_change(self, request: HttpRequest, obj: Channel) -> HttpResponse:
        return self._shown_once(request, obj) or super().response_change(request, obj)

    def _shown_once(self, request: HttpRequest, channel: Channel) -> HttpResponse | None:
        made: Secret | None = getattr(request, "made_secret", None)
        if made is None:
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": f"The signing secret of {channel}",
            "secret": made.reveal(),
            "list_url": reverse("admin:alerts_channel_changelist"),
        }
        return TemplateResponse(request, "alerts/admin/secret.html", context)
