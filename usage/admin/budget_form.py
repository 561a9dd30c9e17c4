"""The forms of budgets: dollars as people type them, and whose budget it is."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils import timezone
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from accounts.callers import client_names
from accounts.models import ApiKey
from core import amounts, display
from core.money import MOST_USD, pico_from_usd, usd_from_pico
from usage import spending
from usage.models import Budget
from usage.subjects import providers


class DollarsField(forms.DecimalField):
    """Typed and shown in dollars, stored in pico-dollars. Never beyond `MOST_USD` on either side of nothing."""

    default_error_messages: ClassVar = {
        "invalid": amounts.WANTED,
        "too_much": f"At most ${MOST_USD:,}: more than that cannot be counted.",
    }

    def __init__(self, **options: Any) -> None:
        widget = UnfoldAdminTextInputWidget({"prefix": "$", "inputmode": "decimal", "class": "aip-short aip-dollars"})
        super().__init__(decimal_places=12, widget=widget, **options)

    def prepare_value(self, value: Any) -> Any:
        return display.plain(usd_from_pico(value)) if isinstance(value, int) else value

    def to_python(self, value: Any) -> Any:
        amount = super().to_python(amounts.plain_dollars(value) if isinstance(value, str) else value)
        if amount is not None and amount.is_finite() and abs(amount) > MOST_USD:
            raise ValidationError(self.error_messages["too_much"], code="too_much")
        return amount

    def clean(self, value: Any) -> Any:
        amount = super().clean(value)
        return None if amount is None else pico_from_usd(amount)


CHOSEN = (Budget.Scope.CLIENT, Budget.Scope.KEY, Budget.Scope.PROVIDER)


def _choice(label: str) -> forms.ChoiceField:
    """Its choices are those of the moment."""
    return forms.ChoiceField(required=False, label=label, widget=UnfoldAdminSelectWidget)


def _typed(name: str) -> forms.CharField:
    """In place of a choice among too many."""
    return forms.CharField(
        required=False, label=_TYPED[name][0], help_text=_TYPED[name][1], widget=UnfoldAdminTextInputWidget
    )


_TYPED = {
    "client": ("Which client", "Its name, as on the list of clients."),
    "key": ("Which API key", "Its beginning, as on the list of keys."),
    "provider": ("Which provider", "Its short name."),
}


def _keys() -> QuerySet[ApiKey]:
    return ApiKey.objects.filter(is_active=True).select_related("client").order_by("client__name", "prefix")


_CHOICES: dict[str, Callable[[Any], tuple[str, str]]] = {
    "client": lambda name: (name, name),
    "key": lambda row: (str(row.pk), f"{row} ({row.prefix}…)"),
    "provider": lambda row: (row.slug, row.name),
}


class BudgetForm(forms.ModelForm[Budget]):
    """Whose budget it is, is chosen among what there is; end users and tags, which nobody lists, are typed."""

    client = _choice("Which client")
    key = _choice("Which API key")
    provider = _choice("Which provider")
    cap_pico = DollarsField(label="Limit, $", min_value=Decimal(0), help_text="For one period.")
    count_so_far = forms.BooleanField(
        required=False,
        initial=True,
        label="Count what the running period has cost already",
        help_text="Calls that are under way just now are left out: they began without this budget.",
        widget=UnfoldBooleanSwitchWidget,
    )

    class Meta:
        model = Budget
        fields = ("name", "scope", "subject", "cap_pico", "period", "time_zone", "hard", "is_active")
        labels: ClassVar = {"subject": "Which"}
        help_texts: ClassVar = {"subject": "An end user as your calls name them, or a tag such as team=search."}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name, offered in (("client", client_names()), ("key", _keys()), ("provider", providers())):
            if name not in self.fields:
                continue
            if len(offered[: display.MOST_OFFERED + 1]) > display.MOST_OFFERED:
                self.fields[name] = _typed(name)
                continue
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            field.choices = [("", "Choose one"), *map(_CHOICES[name], offered)]

    def clean_client(self) -> str:
        wanted = self._wanted("client")
        if wanted and wanted not in client_names():
            raise _unknown(wanted)
        return wanted

    def clean_key(self) -> str:
        is_typed = not isinstance(self.fields["key"], forms.ChoiceField)
        return self._known("key", _keys(), by="prefix" if is_typed else "pk")

    def clean_provider(self) -> str:
        return self._known("provider", providers(), by="slug")

    def _known(self, name: str, rows: QuerySet[Any], *, by: str) -> str:
        """The budget's subject. Raises ValidationError for what was typed and is not there."""
        wanted = self._wanted(name)
        if not wanted:
            return ""
        found = rows.filter(**{by: wanted}).first()
        if found is None:
            raise _unknown(wanted)
        return str(found.pk) if name == "key" else wanted

    def _wanted(self, name: str) -> str:
        return str(self.cleaned_data[name]).strip().removesuffix("…")

    def clean(self) -> dict[str, Any]:
        """The subject is that of the scope: what was chosen or typed before another scope was taken counts no more."""
        found: dict[str, Any] = super().clean() or self.cleaned_data
        scope = found.get("scope")
        if scope in CHOSEN:
            found["subject"] = found.get(scope, "")
            if not found["subject"] and not self.has_error(scope):
                self.add_error(scope, f"Choose {Budget.Scope(scope).label.lower()}.")
        elif scope == Budget.Scope.ALL:
            found["subject"] = ""
        if not self.errors:
            self._require_spendable(found)
        return found

    def _post_clean(self) -> None:
        """What a budget's row says of its subject is said of the choice already."""
        super()._post_clean()  # type: ignore[misc]  # the stubs leave it out
        if self.cleaned_data.get("scope") in CHOSEN:
            self.errors.pop("subject", None)

    def _require_spendable(self, found: dict[str, Any]) -> None:
        try:
            if found.get("count_so_far"):
                draft = Budget(**{name: found[name] for name in spending.FIXED})
                spending.countable_so_far(draft, timezone.now())
            elif not self.instance._state.adding:
                draft = Budget(pk=self.instance.pk, cap_pico=found["cap_pico"])
                spending.require_room(draft, timezone.now())
        except ValidationError as error:
            self.add_error(None, error)


def _unknown(wanted: str) -> ValidationError:
    return ValidationError(f"There is no “{wanted}”.")


class RaiseForm(forms.Form):
    amount_pico = DollarsField(
        label="Raise by, $", help_text="For the running period alone. A negative amount takes a raise back."
    )
