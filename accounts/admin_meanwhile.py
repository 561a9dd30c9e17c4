"""Pages of rows that several people change: who saves an old page is told what has happened, before it undoes that."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from django.contrib.admin.utils import unquote
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare, salted_hmac
from unfold.admin import ModelAdmin

from accounts.admin_looking import to_look_at

CHANGED = (
    "This was changed since you opened the page, and nothing of yours was saved. Open the page anew to see it as it is "
    "now; or save again, and what stands here takes its place."
)
_FIELD = "_seen"


class _Outdated:
    """Goes before a form's own class."""

    def clean(self: Any) -> Any:
        data = super().clean()  # type: ignore[misc]  # the form's
        self.add_error(None, CHANGED)
        return data


class EditedAdmin(ModelAdmin):
    """A change is refused once where the row, or one of those on its page, is no longer as the page has shown it."""

    change_form_before_template = "admin/includes/seen.html"

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        with transaction.atomic() if request.method == "POST" else nullcontext():
            seen = self._seen(request, object_id) if object_id else ""
            context = {"seen": seen, **(extra_context or {})}
            page: HttpResponse = super().changeform_view(request, object_id, form_url, context)
        return page

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        changing = obj is None or self.has_change_permission(request, obj)
        return fieldsets if changing else to_look_at(fieldsets, self.form, self.model)

    def get_form(self, request: HttpRequest, obj: Any = None, **options: Any) -> Any:
        form = super().get_form(request, obj, **options)
        shown = request.POST.get(_FIELD)
        if obj is None or shown is None or constant_time_compare(shown, self._print_of(request, obj, form)):
            return form
        return type(form.__name__, (_Outdated, form), {})

    def _seen(self, request: HttpRequest, object_id: str) -> str:
        """A fingerprint of what the page shows to be changed, as it lies in the database now; "" where there is no row.

        It locks the row for a change: two who save at once come one after the other.
        """
        row = self.get_object(request, unquote(object_id))
        if row is not None and request.method == "POST":
            list(super().get_queryset(request).select_for_update().filter(pk=row.pk).values_list("pk"))
            row = self.get_object(request, unquote(object_id))
        return self._print_of(request, row, super().get_form(request, row, change=True)) if row is not None else ""

    def also_seen(self, row: Any) -> Any:
        """What else the page shows to be changed, beside the fields of the row and of those on its page."""
        del row

    def _print_of(self, request: HttpRequest, row: Any, form: Any) -> str:
        """Of all rows that belong to it, whichever are on the page that is shown."""
        facts = [sorted((name, str(value)) for name, value in form(instance=row).initial.items())]
        for formset, inline in self.get_formsets_with_inlines(request, row):
            columns = {field.name for field in inline.model._meta.concrete_fields} & formset.form.base_fields.keys()
            rows = inline.get_queryset(request).filter(**{formset.fk.name: row}).order_by("pk")
            facts.append(list(rows.values_list("pk", *sorted(columns))))
        return salted_hmac(__name__, repr([facts, self.also_seen(row)])).hexdigest()
