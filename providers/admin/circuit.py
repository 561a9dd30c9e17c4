"""Circuits and keys put aside, in words, on the pages of providers."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from uuid import UUID

from core import display
from core.display import Tone
from providers.models import Deployment
from providers.resilience.reports import Seen, together

_LABELS: dict[str, tuple[str, Tone]] = {
    "closed": ("Gets calls", "success"),
    "half_open": ("On trial", "warning"),
    "open": ("Left alone", "danger"),
}
_EXPLAINED = {
    "half_open": "single calls are let through, to see whether it works again",
    "open": "after failures, its calls go elsewhere for a while",
}
_REFUSALS = {
    401: "the provider does not know it",
    402: "its account has no money left",
    403: "it may not use this model",
    429: "it has made too many calls and waits, as the provider asks",
}


def label(models: Collection[Deployment], standing: dict[UUID, Seen], *, now: float) -> str:
    """For a line of the list: the worst of a provider's models. `now` is in Unix seconds."""
    found = [standing[model.pk] for model in models if model.pk in standing]
    if not found:
        return "–"
    worst = together(found)
    word, tone = _LABELS[worst.circuit_state]
    if worst.circuit_state == "closed":
        aside = ", ".join(worst.keys_aside)
        return display.two_lines(display.label(word, tone), f"key aside: {aside}" if aside else "")
    shown = display.label(word, tone, title=f"{_EXPLAINED[worst.circuit_state].capitalize()}{_next(worst, now)}.")
    ill = [model.name for model in models if model.pk in standing and standing[model.pk].circuit_state != "closed"]
    which = ill[0] if len(ill) == 1 else f"{len(ill)} models"
    return display.two_lines(shown, f"{which}, for {_so_far(worst, now)}")


def sentences(models: Iterable[Deployment], standing: dict[UUID, Seen], *, now: float) -> list[str]:
    """For the provider's own page: one for each model or key that is not as it should be."""
    told: list[str] = []
    for model in models:
        found = standing.get(model.pk)
        if found is None:
            continue
        if found.circuit_state != "closed":
            told.append(
                f"{model.name} is {_LABELS[found.circuit_state][0].lower()}: {_EXPLAINED[found.circuit_state]}. "
                f"So for {_so_far(found, now)}, after {_failures(found.failures)}{_next(found, now)}."
            )
        told += [
            f"The key “{key}” is not used for {model.name}: {_REFUSALS.get(status, f'answer {status}')}."
            for key, status in found.keys_aside.items()
        ]
    return told


def _so_far(found: Seen, now: float) -> str:
    return f"{_span(now - (found.since_at or now))} so far"


def _next(found: Seen, now: float) -> str:
    if found.reopens_at is None:
        return ""
    left_s = found.reopens_at - now
    return f"; tried again in {_span(left_s)}" if left_s > 0 else "; the next call tries again"


def _span(seconds: float) -> str:
    return f"{max(seconds, 0):.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _failures(number: int) -> str:
    return "a failure" if number == 1 else f"{number} failures in a row"
