"""Django's own pages for users and groups, in the look of the others."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from accounts import audit
from accounts.models import AuditEntry

admin.site.index_title = "Home"
admin.site.empty_value_display = "–"
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


@admin.register(User)
class UserAdmin(Told, DjangoUserAdmin, ModelAdmin):  # type: ignore[type-arg]  # generic only in the stubs
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "is_staff", "is_superuser", "is_active", "last_login")


@admin.register(Group)
class GroupAdmin(Told, DjangoGroupAdmin, ModelAdmin):
    pass
