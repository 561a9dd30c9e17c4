"""The page “Where would a call go?”: the order of the candidates, the reasons, the prices, and what is in the way."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from accounts.models import Client
from core import display
from gateway import runtime
from gateway.dry_run import OUTPUT_TOKENS, Findings, Place, Question, dry_run
from providers.models import Route
from providers.routing import ModelNotFoundError
from wire.errors import ApiError

_MOST_TOKENS = 2_000_000
_CIRCUITS = {"closed": "gets calls", "half_open": "on trial", "open": "left alone"}


class QuestionForm(forms.Form):
    model = forms.CharField(
        required=False,
        max_length=200,
        widget=UnfoldAdminTextInputWidget(),
        help_text="As a caller would name it: a model, a route, provider/model. Empty: the route “default”.",
    )
    client = forms.ChoiceField(required=False, label="Caller", widget=UnfoldAdminSelectWidget())
    provider = forms.CharField(
        required=False, max_length=64, widget=UnfoldAdminTextInputWidget(), help_text="Where the caller insists on one."
    )
    end_user = forms.CharField(
        required=False,
        max_length=128,
        label="End user",
        widget=UnfoldAdminTextInputWidget(),
        help_text="Matters to routes that keep end users, and to budgets of end users.",
    )
    kind = forms.ChoiceField(
        choices=[("chat", "Chat"), ("embedding", "Embeddings")], label="For", widget=UnfoldAdminSelectWidget()
    )
    input_tokens = forms.IntegerField(
        min_value=1, max_value=_MOST_TOKENS, initial=1_000, label="Prompt tokens", widget=UnfoldAdminTextInputWidget()
    )
    output_tokens = forms.IntegerField(
        min_value=1,
        max_value=_MOST_TOKENS,
        initial=OUTPUT_TOKENS,
        label="Answer tokens",
        widget=UnfoldAdminTextInputWidget(),
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        names = Client.objects.filter(is_active=True).order_by("name").values_list("name", flat=True)
        client = self.fields["client"]
        assert isinstance(client, forms.ChoiceField)
        client.choices = [("", "Anybody"), *((name, name) for name in names)]


def view(request: HttpRequest) -> HttpResponse:
    """The form, and below it what was found. It changes nothing, so it is asked with GET and can be bookmarked."""
    if not request.user.has_perm("providers.view_route"):
        raise PermissionDenied
    asked = "kind" in request.GET
    form = QuestionForm(request.GET if asked else None)
    context: dict[str, Any] = {**admin.site.each_context(request), "title": "Where would a call go?", "form": form}
    if asked and form.is_valid():
        context |= _answered(Question(**form.cleaned_data))
    context["routes"] = Route.objects.filter(is_active=True).values_list("name", flat=True)
    return TemplateResponse(request, "admin/dry_run.html", context)


def _answered(question: Question) -> dict[str, Any]:
    try:
        pipeline = runtime.gateway().pipeline
        found = dry_run(question, pipeline.catalogue.current, pipeline.board, now=timezone.now())
    except ModelNotFoundError as error:
        return {"trouble": str(error)}
    except ApiError:
        return {
            "trouble": "This process serves no calls, so it cannot tell. Open the page at a web server of the platform."
        }
    return {
        "summary": _summary(found),
        "shared": f"Models of equal priority share calls like this: {Route.Strategy(found.sharing.strategy).label}.",
        "places": [_line(place, found) for place in found.places],
    }


def _summary(found: Findings) -> str:
    if found.first is None:
        return "Nobody could take this call now: it would be refused, and told when to try again."
    return f"This call would go to {found.first.choice.deployment.full_name}."


def _line(place: Place, found: Findings) -> dict[str, Any]:
    deployment = place.choice.deployment
    return {
        "name": deployment.full_name,
        "why": place.choice.why,
        "is_first": place is found.first,
        "obstacles": "; ".join(place.obstacles),
        "circuit": _CIRCUITS[place.circuit.value],
        "keys_aside": ", ".join(place.keys_aside),
        "cost": display.dollars(place.cost_pico) if place.rates else "no price",
        "speed": f"{place.latency_ms:,.0f} ms" if place.latency_ms is not None else "not called of late",
        "success": f"{place.success_share:.1%}" if place.success_share is not None else "",
        "budgets": ", ".join(window.name for window in place.hard_budgets),
    }
