"""How a provider is doing, and what else its page should say of it."""

from __future__ import annotations

import time
from datetime import datetime
from urllib.parse import urlsplit

from django.conf import settings
from django.utils import timezone

from core import display
from core.display import Tone
from core.egress import NETWORKS_SETTING, is_own_network
from providers import circuits, health
from providers.admin import circuit
from providers.kinds import KINDS
from providers.models import Health, Provider
from providers.standing import Standing, State

_SHOWN_STATES: dict[State, tuple[str, Tone]] = {
    "healthy": ("Healthy", "success"),
    "degraded": ("Failing at times", "warning"),
    "unhealthy": ("Not answering", "danger"),
    "unknown": ("Not known", "default"),
}


def shown(row: Provider, standing: Standing, *, now: datetime) -> str:
    """A label, and when it was last checked, or that this is too long ago; hovering tells the reason."""
    found: Health | None = getattr(row, "health", None)
    if found is None and standing.state == "unknown":
        return display.label("Not checked yet", "default", title="The first check runs right after saving.")
    word, tone = _SHOWN_STATES[standing.state]
    label = display.label(word, tone, title=standing.why)
    checked = display.ago(found.checked_at, now=now) if found is not None else ""
    return display.two_lines(label, standing.why if standing.is_stale else checked)


def notes(provider: Provider | None) -> list[str]:
    """What a person should see before changing it."""
    if provider is None or provider.kind not in KINDS:
        return []
    told = health.standings([provider], now=timezone.now())[provider.pk]
    state = "" if told.state == "unknown" else f"{_SHOWN_STATES[told.state][0]}. "
    found = [state + told.why] if provider.is_active else []
    models = list(provider.deployments.filter(is_active=True))
    seen = circuits.standing(model.pk for model in models)
    found += circuit.sentences(models, seen, now=time.time()) if provider.is_active else []
    if provider.address and is_own_network(urlsplit(provider.address).hostname or ""):
        allowed = f"Calls go to this machine or a private network: {settings.EGRESS} may be called."
        found.append(f"{allowed} The setting {NETWORKS_SETTING} says so.")
    return found


def kind_of_its_own(provider: Provider) -> str:
    """The label of the kind whose usual host this is, where `custom` was chosen for it; '' otherwise."""
    host = urlsplit(provider.base_url).hostname
    known = {urlsplit(kind.base_url).hostname: kind.label for kind in KINDS.values() if kind.base_url}
    return known.get(host, "") if provider.kind == "custom" and host != "localhost" else ""
