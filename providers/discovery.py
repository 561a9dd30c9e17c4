"""What a provider offers beside what is set up here, with published prices; and the chosen ones set up."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec
from django.core.exceptions import ValidationError

from providers import connection, health, operations, published
from providers.listings import Offer, listing_of
from providers.models import Deployment, Provider
from providers.operations import ModelSpec, Rates

_SELF_HOSTED = {"ollama"}
_NAMED = 5
_LONGEST_NAME = 128  # of `Deployment.name`


class Verdict(StrEnum):
    """NEW can be set up, HERE has been, UNSUITABLE neither chats nor embeds."""

    NEW = "new"
    HERE = "here"
    UNSUITABLE = "unsuitable"


class Candidate(msgspec.Struct, frozen=True):
    """An offered model. `rates` are proposed: the published ones, or none where nobody publishes any.

    `retired` is its own row here, if it was in use once: that is taken up again as it was.
    """

    offer: Offer
    verdict: Verdict
    rates: Rates | None = None
    notes: tuple[str, ...] = ()
    retired: Deployment | None = None

    @property
    def name(self) -> str:
        return self.offer.name

    @property
    def spec(self) -> ModelSpec:
        if self.retired is not None:
            return dataclasses.replace(ModelSpec.of(self.retired), rates=self.rates)
        return ModelSpec(
            name=self.offer.name,
            type=_TYPES[self.offer.type],
            rates=self.rates,
            context_window=self.offer.context_window,
            max_output_tokens=self.offer.max_output_tokens,
            capabilities=self.offer.capabilities,
        )


class Discovery(msgspec.Struct, frozen=True):
    """`ok` False: the provider gave no list, and `summary` says why. `gone` are models that it offers no more."""

    ok: bool
    summary: str
    candidates: tuple[Candidate, ...] = ()
    gone: tuple[Deployment, ...] = ()

    @property
    def new(self) -> list[Candidate]:
        return [each for each in self.candidates if each.verdict is Verdict.NEW]


_TYPES: dict[str, Any] = {"chat": Deployment.Type.CHAT, "embedding": Deployment.Type.EMBEDDING}


def discover(provider: Provider, *, now: datetime) -> Discovery:
    """Ask the provider for its models, and keep what that tells of its health. Nothing else is written."""
    if provider.kind == operations.DEMO:
        return Discovery(ok=False, summary="The demo has no list of models: it answers by any name that you add.")
    finding = health.check(provider, now=now)
    if not finding.ok:
        return Discovery(ok=False, summary=finding.summary)
    if not listing_of(provider.kind).names_ours:
        return Discovery(
            ok=False, summary="It lists the models that exist, not those you have deployed: type the names."
        )
    rows = list(provider.deployments.all())
    offers = sorted(finding.offers, key=lambda offer: offer.name)
    missing = set(connection.not_offered([row.model_at_provider for row in rows], offers))
    return Discovery(
        ok=True,
        summary=finding.summary,
        candidates=tuple(_candidate(offer, provider, rows, now) for offer in offers if _fits(offer)),
        gone=tuple(row for row in rows if row.is_active and row.model_at_provider in missing),
    )


def adopt(provider: Provider, names: Collection[str], *, now: datetime) -> list[Deployment]:
    """Set the named models up as they are offered now. Raises `ValidationError` for `models`, and then adds none."""
    found = discover(provider, now=now)
    if not found.ok:
        raise ValidationError({"models": found.summary})
    new = {each.name: each for each in found.new}
    unknown = sorted(set(names) - new.keys())
    if unknown:
        more = f" and {len(unknown) - _NAMED} more" if len(unknown) > _NAMED else ""
        raise ValidationError({"models": f"Not offered, or set up already: {', '.join(unknown[:_NAMED])}{more}."})
    return operations.add_models(provider, [new[name].spec for name in sorted(set(names))], now=now)


def _fits(offer: Offer) -> bool:
    return 0 < len(offer.name) <= _LONGEST_NAME


def _candidate(offer: Offer, provider: Provider, rows: Iterable[Deployment], now: datetime) -> Candidate:
    names = {offer.name, offer.name.removesuffix(":latest")}
    known = [row for row in rows if row.model_at_provider in names or row.name == offer.name]
    notes = (offer.note,) if offer.note else ()
    if any(row.is_active for row in known):
        return Candidate(offer, Verdict.HERE, notes=notes)
    if offer.type == "other":
        return Candidate(offer, Verdict.UNSUITABLE, notes=notes)
    rates, remarks = _proposal(offer, provider, now)
    return Candidate(offer, Verdict.NEW, rates, (*notes, *remarks), retired=known[0] if known else None)


def _proposal(offer: Offer, provider: Provider, now: datetime) -> tuple[Rates | None, tuple[str, ...]]:
    if provider.kind in _SELF_HOSTED:
        return Rates(input_per_million=Decimal(0), output_per_million=Decimal(0), source="runs here"), ()
    price = published.find(address=provider.address, model=offer.name, now=now)
    return (price.rates, price.notes) if price is not None else (None, ())
