"""Our prices beside the published ones: chosen, confirmed, taken over."""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin

from providers import price_import
from providers.price_import import Comparison, Verdict

_TEMPLATE = "admin/providers/price/compare.html"


def compare(request: HttpRequest, prices: ModelAdmin) -> HttpResponse:
    """The differences; then, on one's choice, the chosen ones again to confirm; then they are in force."""
    now = timezone.now()
    found = price_import.compare(now=now)
    chosen = [each for each in found if key(each) in request.POST.getlist("chosen")]
    if len(chosen) < len(request.POST.getlist("chosen")):
        messages.warning(request, "Some prices have been changed meanwhile: look again.")
        chosen = []
    if chosen and "confirmed" in request.POST:
        number = price_import.adopt(chosen, now=now)
        for each in chosen:
            prices.log_change(request, each.deployment, "Took the published price over.")
        messages.success(request, f"{number} price{'' if number == 1 else 's'} taken over, in force from now on.")
        return redirect("admin:providers_price_changelist")
    return render(request, _TEMPLATE, prices.admin_site.each_context(request) | _page(found, chosen))


def key(each: Comparison) -> str:
    """What was compared with what: another price since, and it is another comparison."""
    return f"{each.deployment.pk} {each.price.pk if each.price is not None else ''}"


def _page(found: Sequence[Comparison], chosen: Sequence[Comparison]) -> dict[str, object]:
    differing = [each for each in found if each.differs]
    return {
        "title": "Take these prices over?" if chosen else "Published prices",
        "rows": [
            {"key": key(each), "comparison": each, "ticked": each.verdict != Verdict.BY_HAND}
            for each in (chosen or differing)
        ],
        "confirming": bool(chosen),
        "same": [each for each in found if each.verdict == Verdict.SAME],
        "unknown": [each for each in found if each.verdict == Verdict.UNKNOWN],
        "back": reverse("admin:providers_price_changelist"),
    }
