"""The management API's one way of naming: what Python calls `valid_from` is `validFrom` outside.

The libraries for this rewrite every key of every body, those of tags and defaults too, and break names with digits
(`cache_write_5m`). Here the serializer's fields are renamed, so that bodies, errors, query and schema agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.settings import api_settings


def camel(name: str) -> str:
    """`cacheWrite5mPerMillion` of `cache_write_5m_per_million`."""
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


class CamelCase(serializers.Serializer[Any]):
    """Fields declared in snake_case, spoken in camelCase. A name that is not a field is refused, never ignored.

    Whoever misses a choice is told what there is.
    """

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        fields = super().get_fields()
        for name, field in fields.items():
            if field.source is None and camel(name) != name:
                field.source = name
            if isinstance(field, serializers.ChoiceField):
                field.error_messages["invalid_choice"] = f"Choose one of {', '.join(map(str, field.choices))}."
        return {camel(name): field for name, field in fields.items()}

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            unknown = [str(name) for name in data if name not in self.fields]
            if unknown:
                known = ", ".join(self.fields)
                raise serializers.ValidationError({name: [f"Unknown here. Known: {known}."] for name in unknown})
        return super().to_internal_value(data)


def camel_errors(errors: Mapping[str, Any]) -> dict[str, Any]:
    """Django's validation errors by field, under the names that the caller knows."""
    whole = ("__all__", api_settings.NON_FIELD_ERRORS_KEY)
    return {"nonFieldErrors" if name in whole else camel(name): messages for name, messages in errors.items()}
