"""Proofs of the books as they are made and kept: every hour by themselves, and whenever somebody asks for one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Literal

from django.db import connection
from django.utils import timezone

from usage import books
from usage.books import Tell
from usage.buckets import bucket_start
from usage.models import Proof, Proving
from usage.rollups import installation_zone

KEPT = 24 * 90
REST = 20  # after a proof comes a pause of so many times its length, so that it is a small part of the load at any size
LONG = timedelta(minutes=1)  # where all takes longer than this, it is proved once a day, and what is new every hour
LOST_AFTER = timedelta(hours=1)  # without a step for so long, the worker that proved has died
AHEAD = timedelta(days=1)  # a proof that is dated further ahead was made by a clock that was wrong
_KEY = 1

Extent = Literal["all", "recent"]


def due(*, now: datetime) -> Extent | None:
    """What may be proved again: ten million records take more than a minute."""
    whole, last = Proof.objects.filter(since=None).first(), Proof.objects.first()
    if whole is None or last is None or last.made_at > now + AHEAD:
        return "all"
    took = timedelta(milliseconds=whole.took_ms)
    in_parts = took > LONG and whole.is_balanced  # a difference is looked for where it was found
    if now - whole.made_at >= max(REST * took, timedelta(days=1) if in_parts else timedelta()):
        return "all"
    rest = REST * timedelta(milliseconds=last.took_ms)
    return "recent" if in_parts and now - last.made_at >= rest else None


def prove_and_keep(extent: Extent = "all", *, tell: Tell = lambda _step, _percent: None) -> Proof:
    """Prove, remember what was found, and forget the oldest proofs."""
    made_at, started = timezone.now(), time.perf_counter()
    since = _yesterday(made_at) if extent == "recent" else None
    findings = books.prove(since=since, tell=tell)
    proof = Proof.objects.create(
        made_at=made_at,
        since=since,
        took_ms=1000 * (time.perf_counter() - started),
        is_balanced=findings.is_balanced,
        figures=findings.as_json(),
        differences=list(findings.differences),
    )
    outdated = Proof.objects.values_list("pk", flat=True)[KEPT : KEPT + 100]
    Proof.objects.filter(pk__in=list(outdated)).delete()
    return proof


def ask(*, now: datetime) -> bool:
    """Somebody wants a proof of everything. False: one is under way."""
    Proving.objects.filter(moved_at__lt=now - LOST_AFTER).delete()
    _, is_new = Proving.objects.get_or_create(pk=_KEY, defaults={"asked_at": now, "moved_at": now})
    return is_new


def asked() -> Proving | None:
    """The proof that is waited for."""
    return Proving.objects.filter(pk=_KEY).first()


def withdraw() -> None:
    """Nobody will make it, or it is made."""
    Proving.objects.filter(pk=_KEY).delete()


def prove_as_asked() -> Proof:
    """Prove everything, and say meanwhile how far it is."""
    try:
        with _telling() as tell:
            return prove_and_keep(tell=tell)
    finally:
        withdraw()


@contextmanager
def _telling() -> Iterator[Tell]:
    """By a connection of its own: of what a proof's transaction writes, nobody would see anything before its end."""
    with ThreadPoolExecutor(1) as beside:

        def tell(step: str, percent: int) -> None:
            beside.submit(_tell, step, percent).result()

        try:
            yield tell
        finally:
            beside.submit(_close).result()


def _tell(step: str, percent: int) -> None:
    Proving.objects.filter(pk=_KEY).update(step=step, done_percent=percent, moved_at=timezone.now())


def _close() -> None:
    """This thread's connection: the name means another one in each."""
    connection.close()


def _yesterday(now: datetime) -> datetime:
    """Its midnight in the installation's zone: whole days are proved."""
    zone = installation_zone()
    return bucket_start(bucket_start(now, "day", zone) - timedelta(hours=1), "day", zone)
