"""Django's own pages for users and groups, in the look of the others."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, Permission, User
from django.db.models import Model, Q
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.decorators import display as column
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts import audit
from accounts.models import AuditEntry
from core import display

admin.site.unregister(User)
admin.site.unregister(Group)


class Told:
    """These models are Django's: what its pages log of them goes into the audit trail too."""

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        audit.note(obj, AuditEntry.Action.ADDED)
        return super().log_addition(request, obj, message)  # type: ignore[misc]  # ModelAdmin's

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> Any:
        told = message if isinstance(message, list) else []
        fields = [name for each in told for name in each.get("changed", {}).get("fields", ())]
        audit.note(obj, AuditEntry.Action.CHANGED, fields)
        return super().log_change(request, obj, message)  # type: ignore[misc]  # as above

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        for each in queryset:
            audit.note(each, AuditEntry.Action.DELETED)
        return super().log_deletions(request, queryset)  # type: ignore[misc]  # as above


# Of their rows no page shows or changes anything, so that a permission for them allows nothing.
_ON_NO_PAGE = {
    "accounts": ("guesses", "revision"),
    "admin": ("logentry",),
    "alerts": ("certificate",),
    "auth": ("permission",),
    "contenttypes": ("contenttype",),
    "providers": ("health",),
    "sessions": ("session",),
    "usage": ("day", "idempotencykey", "keyday", "lease", "proving", "purge", "quarter", "userday"),
}


class Choosing:
    """Permissions to choose from are those that allow something."""

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        if db_field.related_model is Permission:
            offered = Permission.objects.select_related("content_type")
            for app, models in _ON_NO_PAGE.items():
                offered = offered.exclude(content_type__app_label=app, content_type__model__in=models)
            options["queryset"] = offered
        return super().formfield_for_manytomany(db_field, request, **options)  # type: ignore[misc]  # ModelAdmin's


class NewUserForm(UserCreationForm):
    """Everybody here signs in with a password, so nobody is asked whether to."""

    usable_password = None


@admin.register(User)
class UserAdmin(Told, Choosing, DjangoUserAdmin, ModelAdmin):  # type: ignore[type-arg]  # generic only in the stubs
    form = UserChangeForm
    add_form = NewUserForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "signs_in", "may_all", "is_active", "seen")
    readonly_fields = ("new_password", "last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "new_password", "first_name", "last_name", "email")}),
        ("What this user may do", {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        ("When", {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = ((None, {"fields": ("username", "email", "password1", "password2", "is_superuser")}),)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        """Who may change users changes, and gives a password to, none who may do what he may not."""
        return not _may_more(obj, request.user) and bool(super().has_change_permission(request, obj))

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return not _may_more(obj, request.user) and bool(super().has_delete_permission(request, obj))

    def get_fieldsets(self, request: HttpRequest, obj: User | None = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return fieldsets
        (title, options), *others = fieldsets
        return [(title, {**options, "fields": [each for each in options["fields"] if each != "new_password"]}), *others]

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Nor makes anybody one of them."""
        fields = super().get_readonly_fields(request, obj)
        return fields if request.user.is_superuser else (*fields, "is_superuser", "groups", "user_permissions")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        if db_field.name in _IN_PLAIN_WORDS:
            options["label"], options["help_text"] = _IN_PLAIN_WORDS[db_field.name]
        return super().formfield_for_dbfield(db_field, request, **options)

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:  # noqa: FBT001 - Django's
        obj.is_staff = obj.is_staff or not change  # who is made on this page is meant to come in
        super().save_model(request, obj, form, change)

    @column(description="May sign in", ordering="is_staff", boolean=True)
    def signs_in(self, row: User) -> bool:
        return row.is_staff and row.is_active

    @column(description="May do everything", ordering="is_superuser", boolean=True)
    def may_all(self, row: User) -> bool:
        return row.is_superuser

    @column(description="Last here", ordering="last_login")
    def seen(self, row: User) -> str:
        return display.ago(row.last_login, now=timezone.now())

    @column(description="Password")
    def new_password(self, row: User) -> str:
        return display.link(reverse("admin:auth_user_password_change", args=[row.pk]), "Set a new one")


def _may_more(other: User | None, asking: Any) -> bool:
    """Whether `other` has what `asking` has not, or would have it once active: who changes a user can activate him."""
    if other is None or asking.is_superuser:
        return False
    held = Permission.objects.filter(Q(user=other) | Q(group__user=other)).select_related("content_type")
    return other.is_superuser or not asking.has_perms(f"{each.content_type.app_label}.{each.codename}" for each in held)


_IN_PLAIN_WORDS = {
    "is_active": ("Active", "Switch it off to shut a user out; what the audit trail says of it stays."),
    "is_staff": ("May sign in", "To these pages, and see there what is allowed below."),
    "is_superuser": ("May do everything", "Otherwise only what groups and permissions allow."),
}


@admin.register(Group)
class GroupAdmin(Told, Choosing, DjangoGroupAdmin, ModelAdmin):  # type: ignore[misc]  # the stubs name its arguments
    when_empty = "A group is a set of permissions, for users who may do some things and not others."

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Whoever may change a group may give himself all that a group may have."""
        return bool(request.user.is_superuser)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)
