"""The page “Try a model”. Its script calls the door of browser sessions (`session_door`): this view only draws it."""

from __future__ import annotations

from collections import Counter
from typing import Any, get_args

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.widgets import (
    UnfoldAdminDecimalFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
)

from accounts.callers import ADMIN_CLIENT
from gateway.doors.specification import Temperature, Tokens
from providers.models import Deployment, Route
from providers.operations import DEFAULT_ROUTE
from wire.errors import Code

_WARMTH, _LENGTH = get_args(Temperature)[1], get_args(Tokens)[1]
# Where to go with which refusal: the page, what its link says, and whom it is for.
_PROVIDERS = ("admin:providers_provider_changelist", "See how the providers are doing", "providers.view_provider")
_WAYS_ON = {
    Code.MODEL_NOT_FOUND: ("admin:providers_provider_add", "Add a provider", "providers.add_provider"),
    Code.UNPRICED_MODEL: ("admin:providers_price_add", "Add a price", "providers.add_price"),
    Code.BUDGET_EXCEEDED: ("admin:usage_budget_changelist", "See the budgets", "usage.view_budget"),
    Code.PROVIDER_ERROR: _PROVIDERS,
    Code.PROVIDER_TIMEOUT: _PROVIDERS,
    Code.PROVIDER_UNAVAILABLE: _PROVIDERS,
}
_Group = tuple[str, list[tuple[str, str]]]


class TryForm(forms.Form):
    """Only drawn: what is filled in goes to the door, which checks it."""

    model = forms.ChoiceField(widget=UnfoldAdminSelectWidget())
    system_prompt = forms.CharField(
        required=False,
        label="Instructions",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
        help_text="The system prompt: how the model should behave. Goes with every message.",
    )
    temperature = forms.FloatField(
        required=False,
        min_value=_WARMTH.ge,
        max_value=_WARMTH.le,
        widget=UnfoldAdminDecimalFieldWidget(),
        help_text=f"From {_WARMTH.ge} to {_WARMTH.le}: higher is more varied. Empty: as the model is set.",
    )
    max_tokens = forms.IntegerField(
        required=False,
        min_value=_LENGTH.ge,
        max_value=_LENGTH.le,
        label="Longest answer",
        widget=UnfoldAdminIntegerFieldWidget(),
        help_text=f"In tokens, {_LENGTH.ge} or more; 100 are about 75 English words. Empty: as the model is set.",
    )
    message = forms.CharField(
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3, "placeholder": "Write a message"}),
        help_text="Enter sends, Shift and Enter begins a new line.",
    )

    def __init__(self, models: list[_Group], *, chosen: str) -> None:
        super().__init__(initial={"model": chosen})
        field = self.fields["model"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = models


def view(request: HttpRequest) -> HttpResponse:
    """For all who may enter the admin: they are whom the door lets call. `?model=` chooses one."""
    models = _models()
    names = {name for _, group in models for name, _ in group}
    wanted = request.GET.get("model", "")
    chosen = next((name for name in (wanted, wanted.partition("/")[2]) if name in names), "")
    context = {
        **admin.site.each_context(request),
        "title": "Try a model",
        "form": TryForm(models, chosen=chosen) if models else None,
        "missing": wanted if not chosen else "",
        "client": ADMIN_CLIENT,
        "ways_on": _ways_on(request),
    }
    return TemplateResponse(request, "admin/playground.html", context)


def _models() -> list[_Group]:
    """The names by which callers reach a chat model; also by its provider, where the name alone may mean another."""
    deployments = Deployment.objects.filter(type=Deployment.Type.CHAT, is_active=True, provider__is_active=True)
    full = list(deployments.order_by("name", "provider__slug").values_list("provider__slug", "name"))
    found = Route.objects.filter(is_active=True, targets__deployment__in=deployments).distinct()
    ranked = sorted(found, key=lambda route: (route.name != DEFAULT_ROUTE, not route.catch_all, route.name))
    routes = [route.name for route in ranked]
    places = Counter([*routes, *(name for _, name in full)])
    own = dict.fromkeys(name for _, name in full)
    for name in routes:
        own.pop(name, None)
    groups = {
        "Routes": routes,
        "Models": list(own),
        "Models at one provider": [f"{slug}/{name}" for slug, name in full if places[name] > 1],
    }
    return [(label, [(name, name) for name in group]) for label, group in groups.items() if group]


def _ways_on(request: HttpRequest) -> dict[str, Any]:
    return {
        code.name: {"url": reverse(page), "text": text}
        for code, (page, text, permission) in _WAYS_ON.items()
        if request.user.has_perm(permission)
    }
