"""The page Books: whether they balance, how well the dollars are known, and what is open."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin

from core import display
from core.money import pico_from_usd
from usage import books, partitions, proofs, queries, tasks
from usage.models import Proof, UsageRecord
from usage.queries import Totals

RECENT = 12
STALE_AFTER = timedelta(hours=2)  # proofs are made every hour, or as soon as they are due
_Evidence = UsageRecord.Evidence
_EVIDENCE = {
    _Evidence.REPORTED: "Reported by the provider",
    _Evidence.ESTIMATED: "Estimated by us",
    _Evidence.UPPER_BOUND: "At most this (upper bound)",
}


class Known(msgspec.Struct, frozen=True):
    """A line of the table of evidence: texts for this month and the last."""

    name: str
    this_month: str
    last_month: str
    tone: str = ""


class Made(msgspec.Struct, frozen=True):
    """A line of the list of proofs."""

    when: str
    result: str
    tone: str
    what: str
    records: str
    took: str


@admin.register(Proof)
class BooksAdmin(ModelAdmin):
    """One page in place of a list: proofs are made and read, never edited."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Proof | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Proof | None = None) -> bool:
        return False

    def get_urls(self) -> list[Any]:
        prove = path("prove/", self.admin_site.admin_view(self.prove), name="usage_proof_prove")
        return [prove, *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        page = _page(timezone.now())
        context = {**self.admin_site.each_context(request), "title": "Books", "books": page}
        return TemplateResponse(request, "admin/books.html", context | {"may_prove": _may_prove(request)})

    @method_decorator(require_POST)
    def prove(self, request: HttpRequest) -> HttpResponse:
        """Have the background worker prove now; the page shows how far it is."""
        if not _may_prove(request):
            raise PermissionDenied
        if proofs.ask(now=timezone.now()) and not tasks.start_proof():
            proofs.withdraw()
            messages.error(request, "The background worker cannot be reached. Is it running, and its broker?")
        return redirect("admin:usage_proof_changelist")


def _may_prove(request: HttpRequest) -> bool:
    return request.user.has_perm("usage.add_proof")


def _page(now: datetime) -> dict[str, Any]:
    zone = timezone.get_default_timezone()
    this_month = queries.bucket_start(now, "month", zone)
    last_month = queries.bucket_start(this_month - timedelta(days=1), "month", zone)
    made = list(Proof.objects.all()[:RECENT])
    flying = queries.in_flight()
    proving = proofs.asked()
    journals = settings.STATE_DIR / "journal"
    return {
        "proof": made[0] if made else None,
        "proved": f"{display.ago(made[0].made_at, now=now)}, in {_took(made[0])}" if made else "",
        "since": display.day(made[0].since) if made and made[0].since else "",
        "proving": proving,
        "asked": display.ago(proving.asked_at, now=now) if proving else "",
        "is_stale": bool(made) and proofs.due(now=now - STALE_AFTER) is not None,
        "proofs": [_made(proof, now) for proof in made],
        "known": _known(
            queries.grouped(this_month, queries.next_bucket(this_month, "month", zone), by="evidence"),
            queries.grouped(last_month, this_month, by="evidence"),
        ),
        "this_month": f"{this_month:%B}",
        "last_month": f"{last_month:%B}",
        "open": display.count(flying.calls),
        "open_note": f"at most {display.dollars_rounded(flying.amount_pico)}" if flying.calls else "no call is waiting",
        "open_url": reverse("admin:usage_hold_changelist"),
        "journals": books.waiting_journals(journals),
        "refused": books.refused_entries(journals),
        "stray_rows": partitions.rows_without_month(),
        "records": f"{made[0].figures['records']:,}" if made else "",
        "cost": display.dollars(pico_from_usd(made[0].figures["costUsd"])) if made else "",
        "sums_off": _drift(made[0], "rollupDriftUsd") if made else ("", ""),
        "budgets_off": _drift(made[0], "budgetDriftUsd") if made else ("", ""),
    }


def _made(proof: Proof, now: datetime) -> Made:
    return Made(
        display.ago(proof.made_at, now=now),
        "Balanced" if proof.is_balanced else _number(len(proof.differences), "difference"),
        "good" if proof.is_balanced else "bad",
        "Everything" if proof.since is None else f"Since {display.day(proof.since)}",
        f"{proof.figures['records']:,}",
        _took(proof),
    )


def _number(number: int, what: str) -> str:
    return f"{display.count(number)} {what}{'' if number == 1 else 's'}"


def _calls(number: int) -> str:
    return _number(number, "call") if number else "none"


def _drift(proof: Proof, name: str) -> tuple[str, str]:
    """(rounded, exact)."""
    pico = pico_from_usd(proof.figures[name])
    return display.dollars_rounded(pico), display.dollars(pico)


def _took(proof: Proof) -> str:
    return display.milliseconds(proof.took_ms)


def _known(this_month: list[queries.Group], last_month: list[queries.Group]) -> list[Known]:
    """Dollars by how well they are known, and how many calls are of unknown cost."""
    months = [{group.key: group for group in groups} for groups in (this_month, last_month)]
    lines = []
    for evidence, name in _EVIDENCE.items():
        now, before = (month.get(evidence, Totals()).cost_pico or 0 for month in months)
        lines.append(Known(name, display.dollars_rounded(now), display.dollars_rounded(before)))
    now, before = (sum(group.unknown_cost_requests for group in month.values()) for month in months)
    tone = "bad" if now or before else ""
    return [*lines, Known("Unknown, in no sum", _calls(now), _calls(before), tone)]
