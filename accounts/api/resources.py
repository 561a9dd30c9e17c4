"""What the endpoints of the management API share: query, order, pages, optional slashes, schema."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, ClassVar, TypeVar

from django.core.exceptions import ValidationError
from django.db import DataError, transaction
from django.db.models import DateTimeField, Model, QuerySet
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from rest_framework import mixins, serializers, viewsets
from rest_framework.exceptions import NotFound
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.routers import SimpleRouter
from rest_framework.views import APIView

from accounts.api.camel import CamelCase, camel
from accounts.api.moments import Moment

RowT = TypeVar("RowT", bound=Model)
QueryT = TypeVar("QueryT", bound=CamelCase)

PAGE_ROWS = 100
MAX_PAGE_ROWS = 500
_BAD_CURSOR = (ValueError, OverflowError, ValidationError, DataError)  # the last is PostgreSQL's for a NUL


class Routes(SimpleRouter):
    """A trailing slash is welcome, not needed, and nobody is redirected."""

    def __init__(self) -> None:
        super().__init__()
        self.trailing_slash = "/?"


class Ordering(serializers.ChoiceField):
    """The fields by which a list can be ordered, the first of them unless asked otherwise; `-name` is descending.

    Pages start after a value, so a field must be (nearly) unique.
    """

    def __init__(self, *fields: str) -> None:
        self._fields = {camel(field): field for field in (*fields, *(_reversed(field) for field in fields))}
        super().__init__(choices=list(self._fields), default=camel(fields[0]), help_text="`-` in front: descending.")

    def to_internal_value(self, data: Any) -> str:
        return self._fields[super().to_internal_value(data)]


def _reversed(field: str) -> str:
    return field[1:] if field.startswith("-") else f"-{field}"


class Query(CamelCase):
    """The query of a list. What a subclass adds is a filter; its `source` is the lookup."""

    ordering: serializers.Field[Any, Any, Any, Any] = Ordering("id")
    page_size = serializers.IntegerField(
        min_value=1, max_value=MAX_PAGE_ROWS, required=False, help_text=f"Rows to a page; {PAGE_ROWS} unless given."
    )
    cursor = serializers.CharField(required=False, help_text="From `next` or `previous` of a page.")

    def filtered(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        known = {"ordering", "page_size", "cursor"}
        return rows.filter(**{lookup: value for lookup, value in self.validated_data.items() if lookup not in known})


class Pages(CursorPagination):
    """`{next, previous, results}`; what the query says has been checked by then."""

    page_size = PAGE_ROWS
    page_size_query_param = "pageSize"
    max_page_size = MAX_PAGE_ROWS

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> list[Any] | None:
        try:
            return super().paginate_queryset(queryset, request, view)
        except _BAD_CURSOR as error:  # one that was made for another order, or made up
            raise NotFound(self.invalid_cursor_message) from error

    def get_ordering(self, request: Request, queryset: QuerySet[Any], view: Any) -> tuple[str, ...]:
        first: str = view.query.validated_data["ordering"]
        return (first,) if first in ("id", "-id") else (first, "-id" if first.startswith("-") else "id")


class Schema(AutoSchema):
    """Adds the view's query to its list."""

    def get_override_parameters(self) -> list[Any]:
        view: Any = self.view
        return [view.query_class] if view.action == "list" else []


class Listed(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[RowT]):
    """Rows to read, filtered and ordered by `query_class`, in pages."""

    schema = Schema()
    query_class: ClassVar[type[Query]] = Query
    pagination_class = Pages
    lookup_value_regex = "[0-9a-fA-F-]{36}"
    filter_backends = ()

    def filter_queryset(self, queryset: Any) -> Any:
        if self.action != "list":
            return queryset
        self.query = checked_query(self.query_class, self.request)
        return self.query.filtered(queryset)


class Resource(mixins.CreateModelMixin, mixins.UpdateModelMixin, Listed[RowT]):
    """Rows to read, add and change. None is ever deleted: history names them."""


def checked_query(query_class: type[QueryT], request: Request) -> QueryT:
    """Raises `ValidationError`, naming the parameter, where the query is not of that class."""
    query = query_class(data=request.query_params.dict())
    query.is_valid(raise_exception=True)
    return query


class RowSerializer(CamelCase, serializers.ModelSerializer[RowT]):
    """One row. The model itself says what is valid, so that every door refuses the same.

    `Meta.fixed` names fields that are given once, when the row is made; `Meta.unchecked` columns that clean themselves.
    """

    serializer_field_mapping: ClassVar = serializers.ModelSerializer.serializer_field_mapping | {DateTimeField: Moment}

    @property
    def _unchecked(self) -> Collection[str]:
        unchecked: Collection[str] = getattr(self.Meta, "unchecked", ())
        return unchecked

    def validate(self, attrs: Any) -> Any:
        if self.instance is not None:
            for name in getattr(self.Meta, "fixed", ()):
                if name in attrs and attrs[name] != getattr(self.instance, name):
                    raise serializers.ValidationError({camel(name): ["This cannot be changed: make a new one."]})
        return attrs

    def create(self, validated_data: Any) -> RowT:
        model: Any = self.Meta.model
        row: RowT = model(**validated_data)
        row.full_clean(exclude=self._unchecked)
        row.save(force_insert=True)
        return row

    def update(self, instance: RowT, validated_data: Any) -> RowT:
        """Raises `DoesNotExist` where it was deleted just now."""
        model: Any = self.Meta.model
        for name, value in validated_data.items():
            setattr(instance, name, value)
        instance.full_clean(exclude=self._unchecked)
        with transaction.atomic():
            model.objects.select_for_update().get(pk=instance.pk)
            instance.save(update_fields=list(validated_data))
        return instance

    def get_unique_together_validators(self) -> list[Any]:
        return []


class ByName(serializers.SlugRelatedField[RowT]):
    """Another row: written as its name or its id, read as its name."""

    default_error_messages: ClassVar = {
        "does_not_exist": "There is no {value}.",
        "invalid": "This must be a name or an id.",
    }

    def to_internal_value(self, data: Any) -> RowT:
        if not isinstance(data, str) or "\0" in data:
            self.fail("invalid")
        rows: Any = self.get_queryset()
        row = rows.filter(**{self.slug_field: data}).first() or self._by_id(rows, data)
        if row is None:
            self.fail("does_not_exist", value=data)
        return row

    @staticmethod
    def _by_id(rows: Any, data: str) -> RowT | None:
        try:
            found: RowT | None = rows.filter(pk=data).first()
        except ValidationError:  # not an id
            return None
        return found


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]  # its hook has no types
    """How the schema describes `ApiKeyAuthentication`."""

    target_class = "accounts.rest.ApiKeyAuthentication"
    name = ["bearerKey", "headerKey", "googleKey"]  # noqa: RUF012  # read only

    def get_security_definition(self, auto_schema: AutoSchema) -> list[dict[str, str]]:
        return [
            {"type": "http", "scheme": "bearer", "description": "A key of scope manage."},
            {"type": "apiKey", "in": "header", "name": "x-api-key", "description": "A key of scope manage."},
            {"type": "apiKey", "in": "header", "name": "x-goog-api-key", "description": "A key of scope manage."},
        ]
