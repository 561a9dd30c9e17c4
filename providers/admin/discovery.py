"""`Find models`: what a provider offers, beside what is set up here; the ticked ones are added."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin

from core import display
from providers import discovery
from providers.admin import route
from providers.discovery import Candidate, Discovery, Verdict
from providers.models import Provider

_TEMPLATE = "admin/providers/provider/find_models.html"


def find_models(request: HttpRequest, provider: Provider, providers: ModelAdmin) -> HttpResponse:
    """The provider is asked each time, so that what is added is what it offers now."""
    if request.method == "POST":
        return _add(request, provider, providers)
    found = discovery.discover(provider, now=timezone.now())
    return render(request, _TEMPLATE, providers.admin_site.each_context(request) | _page(provider, found))


def _add(request: HttpRequest, provider: Provider, providers: ModelAdmin) -> HttpResponse:
    if not request.user.has_perms(["providers.add_deployment", "providers.add_price"]):
        raise PermissionDenied
    chosen = request.POST.getlist("chosen")
    try:
        added = discovery.adopt(provider, chosen, now=timezone.now())
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return redirect("admin:providers_provider_find_models", object_id=provider.pk)
    for deployment in added:
        providers.log_change(request, provider, f"Added the model {deployment.name}.")
    names = ", ".join(deployment.name for deployment in added)
    messages.success(request, f"Added: {names}." if names else "No model was ticked, so none was added.")
    route.tell_who_joined(request, added)
    return redirect("admin:providers_provider_change", object_id=provider.pk)


def _page(provider: Provider, found: Discovery) -> dict[str, object]:
    others = [each.name for each in found.candidates if each.verdict is Verdict.UNSUITABLE]
    return {
        "title": f"Models that {provider.name} offers",
        "provider": provider,
        "found": found,
        "rows": [_row(each) for each in found.new],
        "here": [each.name for each in found.candidates if each.verdict is Verdict.HERE],
        "others": others,
        "back": reverse("admin:providers_provider_change", args=[provider.pk]),
    }


def _row(each: Candidate) -> dict[str, object]:
    rates = each.rates
    window = each.offer.context_window
    return {
        "name": each.name,
        "type": "Embeddings" if each.offer.type == "embedding" else "Chat",
        "window": display.count(window) if window else "–",
        "input": display.rate(rates.input_per_million) if rates else "–",
        "output": display.rate(rates.output_per_million) if rates else "–",
        "notes": each.notes if rates else (*each.notes, "No published price: set one after adding it."),
    }
