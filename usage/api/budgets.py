"""`/api/usage/budgets`: how much may be spent, and how much is left."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.camel import CamelCase
from accounts.api.resources import Ordering, Query, Resource, RowSerializer
from core.money import MOST_USD, pico_from_usd, usd_text
from usage import spending, subjects
from usage.models import Budget
from usage.models.budgets import as_calls_say


class DollarField(serializers.DecimalField):
    """Dollars outside, whole pico-dollars inside; an exact decimal string when read."""

    def __init__(self, *, least: Decimal = -MOST_USD, **options: Any) -> None:
        super().__init__(max_digits=19, decimal_places=12, **options)
        self._least = least

    def validate_precision(self, value: Decimal) -> Decimal:
        """The bounds first: a count of digits would not say what is allowed."""
        if not self._least <= value <= MOST_USD:
            raise serializers.ValidationError(f"From {self._least:,} to {MOST_USD:,} dollars.")
        exact: Decimal = super().validate_precision(value)
        return exact

    def to_internal_value(self, data: Any) -> Any:
        return pico_from_usd(super().to_internal_value(data))

    def to_representation(self, value: Any) -> str:
        return usd_text(value)


class BudgetQuery(Query):
    ordering = Ordering("name", "id")
    scope = serializers.ChoiceField(choices=Budget.Scope.choices, required=False)
    subject = serializers.CharField(required=False)
    is_active = serializers.BooleanField(required=False)


class BudgetSerializer(RowSerializer[Budget]):
    """A budget, with the figures of its running period."""

    amount_usd = DollarField(source="cap_pico", least=Decimal(0))
    count_so_far = serializers.BooleanField(
        write_only=True, default=False, help_text="Whether a new budget counts what its period has cost already."
    )
    window_starts_at = serializers.DateTimeField(source="running.starts_at", read_only=True)
    held_usd = DollarField(source="running.held_pico", read_only=True)
    settled_usd = DollarField(source="running.settled_pico", read_only=True)
    left_usd = DollarField(source="running.left_pico", read_only=True)
    raised_usd = DollarField(source="running.raised_pico", read_only=True)
    overrun_usd = DollarField(source="running.overrun_pico", read_only=True)

    class Meta:
        model = Budget
        fixed = spending.FIXED
        fields = (
            *("id", "name", "scope", "subject", "amount_usd", "period", "time_zone", "hard", "is_active"),
            *("count_so_far", "window_starts_at", "held_usd", "settled_usd", "left_usd", "raised_usd", "overrun_usd"),
        )

    def create(self, validated_data: Any) -> Budget:
        count_so_far = validated_data.pop("count_so_far")
        scope, subject = validated_data["scope"], validated_data.get("subject", "")
        subjects.require_subject(scope, as_calls_say(scope, subject))
        return self._saved(Budget(**validated_data), count_so_far=count_so_far)

    def update(self, instance: Budget, validated_data: Any) -> Budget:
        validated_data.pop("count_so_far", None)
        for name, value in validated_data.items():
            setattr(instance, name, value)
        return self._saved(instance, count_so_far=False)

    @staticmethod
    def _saved(budget: Budget, *, count_so_far: bool) -> Budget:
        try:
            spending.save(budget, count_so_far=count_so_far, now=timezone.now())
        except ValidationError as error:
            refused = getattr(error, "error_dict", {})
            if "cap_pico" in refused:
                refused["amount_usd"] = refused.pop("cap_pico")  # as the body calls it
            raise
        return budget

    def to_representation(self, instance: Any) -> Any:
        if not hasattr(instance, "running"):  # of a page they have been read together
            instance.running = spending.running_window(instance, timezone.now())
        return super().to_representation(instance)


class RaiseSerializer(CamelCase):
    """More room in the running period alone; a negative amount takes a raise back."""

    amount_usd = DollarField()


class BudgetsView(Resource[Budget]):
    """Budgets. Their scope, subject and period are given once: another period is another budget."""

    queryset = Budget.objects.all()
    serializer_class = BudgetSerializer
    query_class: ClassVar[type[Query]] = BudgetQuery

    def paginate_queryset(self, queryset: Any) -> Any:
        page: Any = super().paginate_queryset(queryset)
        windows: Any = spending.running_windows(page, timezone.now())
        for budget, window in windows:
            budget.running = window
        return page

    @extend_schema(request=RaiseSerializer, responses=BudgetSerializer)
    @action(detail=True, methods=["post"], url_path="raise", url_name="raise")
    def raise_window(self, request: Request, **_: Any) -> Response:
        """Raise the running period's limit, without touching the budget."""
        budget = self.get_object()
        asked = RaiseSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        spending.raise_window(budget, amount_pico=asked.validated_data["amount_usd"], now=timezone.now())
        return Response(self.get_serializer(budget).data)
