"""The pages on which people manage who may call: clients, their keys, and tiers."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from unfold.admin import TabularInline
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.decorators import action
from unfold.decorators import display as column

from accounts import (
    admin_audit,  # noqa: F401 - it registers its page
    keys,
)
from accounts.admin_locked import lock
from accounts.admin_meanwhile import EditedAdmin
from accounts.admin_tiers import EMPTY, LIMIT_FIELDS
from accounts.models import ApiKey, Client
from core import display, vault

_SESSION_KEY = "fresh_api_key"
_NOT_REVIVED = "It may manage: only who may do everything makes it usable again, or for longer."
_CURL = """curl ADDRESS/v1/chat/completions \\
  -H "Authorization: Bearer {secret}" \\
  -H "Content-Type: application/json" \\
  -d '{{"messages": [{{"role": "user", "content": "Hello"}}]}}'"""


_LIMITS_OF_KEY = (
    "Limits of this key alone",
    {
        "description": f"Besides those of its tier and its client: the tightest holds. {EMPTY}",
        "fields": LIMIT_FIELDS,
        "classes": ["collapse"],
    },
)


_MODELS_OF_KEY = (
    "Models this key may use",
    {
        "description": "Besides what its client may use: both must allow a model.",
        "fields": ("allowed_models",),
        "classes": ["collapse"],
    },
)


def state_label(key: ApiKey) -> str:
    if not key.is_active:
        return display.label("Revoked", "danger")
    if key.expires_at is not None and key.expires_at <= timezone.now():
        return display.label("Expired", "danger")
    return display.label("Active", "success") if key.client.is_active else display.label("Client inactive", "warning")


class KeysInline(TabularInline):
    """A client's keys at a glance; each has a page of its own."""

    model = ApiKey
    extra = 0
    max_num = 0
    can_delete = False
    hide_title = True
    show_change_link = True
    verbose_name_plural = "API keys"
    fields = ("shown", "name", "scope", "tier", "used", "state")
    readonly_fields = fields

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @column(description="Key")
    def shown(self, key: ApiKey) -> str:
        return display.link(reverse("admin:accounts_apikey_change", args=[key.pk]), f"{key.prefix}…")

    @column(description="Last used")
    def used(self, key: ApiKey) -> str:
        return display.ago(key.last_used_at, now=timezone.now())

    @column(description="State")
    def state(self, key: ApiKey) -> str:
        return state_label(key)


@admin.register(Client)
class ClientAdmin(EditedAdmin):
    when_empty = "A client is a product that calls. Add one, then give it an API key."
    ordering = ("name",)
    actions_detail = ("new_key",)
    fieldsets = (
        (None, {"fields": ("name", "description", "is_active")}),
        (
            "Models all its keys may use",
            {
                "description": "Other models are refused, and are in no list that its keys can see.",
                "fields": ("allowed_models",),
                "classes": ["collapse"],
            },
        ),
        (
            "Limits of all its keys together",
            {
                "description": f"Calls beyond them are refused. {EMPTY}",
                "fields": LIMIT_FIELDS,
                "classes": ["collapse"],
            },
        ),
    )
    list_display = ("name", "description", "active_keys", "is_active", "since")
    list_filter = ("is_active",)
    search_fields = ("name", "description")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Client]:
        rows: QuerySet[Client] = super().get_queryset(request)
        return rows.annotate(key_count=Count("keys", filter=Q(keys__is_active=True)))

    def get_inlines(self, request: HttpRequest, obj: Client | None) -> list[Any]:
        return [KeysInline] if obj else []

    def get_form(self, request: HttpRequest, obj: Client | None = None, **options: Any) -> Any:
        """As a key that may manage, so its client: only who may do everything gives it back its power."""
        form = super().get_form(request, obj, **options)
        if obj is not None and not request.user.is_superuser and obj.keeps_from_managing():
            lock(form, "is_active", why="A key of it may manage: only who may do everything makes it usable again.")
        return form

    def get_readonly_fields(self, request: HttpRequest, obj: Client | None = None) -> tuple[str, ...]:
        """It stays by its name in usage rows, budgets, rules and tokens."""
        return ("name",) if obj is not None else ()

    @column(description="Active keys", ordering="key_count")
    def active_keys(self, row: Any) -> str:
        return str(row.key_count) if row.key_count else display.label("none", "warning", title="It cannot call yet.")

    @column(description="Since", ordering="created_at")
    def since(self, row: Client) -> str:
        return display.day(row.created_at)

    @action(description="New API key", permissions=["change"], icon="add", url_path="new-key")
    def new_key(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(f"{reverse('admin:accounts_apikey_add')}?client={object_id}")


@admin.register(ApiKey)
class ApiKeyAdmin(EditedAdmin):
    when_empty = "A key lets a client call. It is shown once, when it is made."
    list_display = ("shown", "client", "scope_label", "tier", "used", "expires", "state")
    list_filter = (("client", AutocompleteSelectFilter), "scope", "is_active")
    list_filter_submit = True
    list_select_related: ClassVar = ["client", "tier"]
    search_fields = ("=prefix", "name", "client__name")
    autocomplete_fields = ("client", "tier")
    actions = ("revoke",)
    actions_detail = ("revoke_one",)
    actions_row = ("revoke_one",)
    add_fieldsets = (
        (
            None,
            {
                "description": "The key is shown once, on the page after this one. Only a fingerprint of it is kept.",
                "fields": ("client", "name", "scope", "tier", "expires_at"),
            },
        ),
        _MODELS_OF_KEY,
        _LIMITS_OF_KEY,
    )
    fieldsets = (
        (None, {"fields": ("prefix", "client", "name", "scope", "tier", "expires_at", "is_active")}),
        _MODELS_OF_KEY,
        _LIMITS_OF_KEY,
        ("Dates", {"fields": ("created_at", "last_used_at")}),
    )
    readonly_fields = ("prefix", "created_at", "last_used_at")

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> tuple[str, ...]:
        """A key stays its client's: usage rows name both."""
        return ("client", *self.readonly_fields) if obj is not None else self.readonly_fields

    def get_form(self, request: HttpRequest, obj: ApiKey | None = None, **options: Any) -> Any:
        """A key that may manage may do everything: only who may do that gives it, and gives it back its power."""
        form = super().get_form(request, obj, **options)
        scope = form.base_fields.get("scope")
        if scope is not None and not request.user.is_superuser:
            given = {ApiKey.Scope.CALL, obj.scope if obj is not None else ApiKey.Scope.CALL}
            scope.choices = [choice for choice in scope.choices if choice[0] in given]
        if obj is not None and obj.scope == ApiKey.Scope.MANAGE and not request.user.is_superuser:
            lock(form, "expires_at", *(() if obj.is_active else ("is_active",)), why=_NOT_REVIVED)
        return form

    # --- making one -----------------------------------------------------------------------------------------------

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's
        if not change:
            secret = keys.new_secret()
            obj.take(secret)
            # Until the next page has shown it, and encrypted: sessions lie in the database.
            request.session[_SESSION_KEY] = [str(obj.pk), vault.encrypt(secret)]
        super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:accounts_apikey_secret", args=[obj.pk]))

    def get_urls(self) -> list[Any]:
        shown_once = path(
            "<uuid:key_id>/secret/", self.admin_site.admin_view(self.show_secret), name="accounts_apikey_secret"
        )
        return [shown_once, *super().get_urls()]

    def show_secret(self, request: HttpRequest, key_id: Any) -> HttpResponse:
        """The new key, once: what the session held of it is gone when this page has been made."""
        key = self.get_object(request, str(key_id))
        if key is None or not self.has_view_permission(request, key):
            return HttpResponseRedirect(reverse("admin:accounts_apikey_changelist"))
        owner, token = request.session.pop(_SESSION_KEY, ("", ""))
        context = {
            **self.admin_site.each_context(request),
            "title": "Your new API key" if owner == str(key.pk) else "This key was shown already",
            "key": key,
            "secret": vault.decrypt(token).reveal() if owner == str(key.pk) else "",
            "list_url": reverse("admin:accounts_apikey_changelist"),
            "change_url": reverse("admin:accounts_apikey_change", args=[key.pk]),
            "address": f"http://{settings.HOST}:{settings.PORT}",
        }
        context["curl"] = _CURL.format(secret=context["secret"])
        return TemplateResponse(request, "admin/accounts/apikey/secret.html", context)  # `admin_view` forbids caches

    # --- revoking -------------------------------------------------------------------------------------------------

    @action(
        description="Revoke",
        permissions=["change"],
        icon="block",
        attrs={"data-post": "", "data-confirm": "Revoke this key? Calls with it are refused at once."},
    )
    def revoke_one(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        key = self.get_object(request, object_id)
        self._revoke(request, [key] if key is not None else [])
        return HttpResponseRedirect(reverse("admin:accounts_apikey_changelist"))

    @admin.action(description="Revoke", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        self._revoke(request, list(queryset.select_related("client")))

    def _revoke(self, request: HttpRequest, revoked: list[ApiKey]) -> None:
        for key in revoked:
            ApiKey.objects.filter(pk=key.pk).update(is_active=False)
            self.log_change(request, key, "Revoked.")
            messages.success(request, f"{key} is revoked: calls with it are refused.")

    # --- columns --------------------------------------------------------------------------------------------------

    @column(description="Key", ordering="prefix")
    def shown(self, key: ApiKey) -> str:
        return display.two_lines(f"{key.prefix}…", key.name)

    @column(description="May", ordering="scope")
    def scope_label(self, key: ApiKey) -> str:
        managing = key.scope == ApiKey.Scope.MANAGE
        return display.label("Call and manage", "warning") if managing else display.label("Call", "default")

    @column(description="Last used", ordering="last_used_at")
    def used(self, key: ApiKey) -> str:
        return display.ago(key.last_used_at, now=timezone.now())

    @column(description="Expires", ordering="expires_at")
    def expires(self, key: ApiKey) -> str:
        return display.day(key.expires_at) if key.expires_at is not None else "never"

    @column(description="State", ordering="is_active")
    def state(self, key: ApiKey) -> str:
        return state_label(key)
