"""Pages for who may look and not change: Django would show columns as they are stored, by our names, in our units."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, cast

from django import forms
from django.contrib import admin
from django.db.models import Model
from django.forms.utils import pretty_name

from core.display import plain


def to_look_at(fieldsets: Any, form: type[Any], model: type[Model]) -> Any:
    """`fieldsets` in the words of `form`, for each field that it declares itself.

    What the row does not have, such as a secret that is only typed, is left out.
    """
    return [(title, {**options, "fields": _told(options["fields"], form, model)}) for title, options in fieldsets]


def _told(names: Any, form: type[Any], model: type[Model]) -> list[Any]:
    declared: Mapping[str, forms.Field] = form.declared_fields
    told: list[Any] = []
    for name in names:
        if not isinstance(name, str):
            told.append(_told(name, form, model))
        elif name not in declared:
            told.append(name)
        elif hasattr(model, name):
            told.append(_in_words(name, declared[name]))
    return told


def _in_words(name: str, field: forms.Field) -> Callable[[Model], str]:
    @admin.display(description=field.label or pretty_name(name))
    def shown(row: Model) -> str:
        return _text(field, getattr(row, name)) or "–"

    shown.__name__ = name  # by which Django finds the help text
    return shown


def _text(field: forms.Field, value: Any) -> str:
    if isinstance(field, forms.ChoiceField):
        labels = dict(cast("Iterable[tuple[str, str]]", field.choices))
        chosen = value if isinstance(value, list) else [value]
        return ", ".join(str(labels.get(each, each)) for each in chosen)
    prepared = field.prepare_value(value)
    number = plain(prepared) if isinstance(prepared, Decimal) else str(prepared)
    return f"{number} {field.widget.attrs.get('suffix', '')}".rstrip()
