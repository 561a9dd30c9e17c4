"""Background work on the books."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import structlog
from django.conf import settings
from django.utils import timezone
from kombu.exceptions import OperationalError

from core.jobs import app
from usage import corrections, idempotency, immutability, partitions, proofs
from usage.models import Proof

_BATCHES = 100  # then the worker takes other jobs too
_LOST = timedelta(minutes=2)  # without progress for so long: its worker died

log = structlog.get_logger(__name__)


def start_repricing(key: UUID) -> None:
    """Have it advanced at once. Without a broker it is taken up later, by `resume_repricings`."""
    try:
        advance_repricing.delay(repricing_id=str(key))
    except OperationalError as error:
        log.warning("a re-pricing waits for the broker", repricing_id=str(key), error=str(error))


@app.task
def advance_repricing(*, repricing_id: str) -> None:
    """Compare or apply, as far as a task's turn goes; then the rest in another one. Safe to run twice."""
    for _ in range(_BATCHES):
        if not corrections.advance(UUID(repricing_id), now=timezone.now()):
            return
    advance_repricing.delay(repricing_id=repricing_id)


@app.task
def resume_repricings() -> None:
    """Take up what a dead worker has left."""
    for key in corrections.unfinished(before=timezone.now() - _LOST):
        advance_repricing.delay(repricing_id=str(key))


@app.task
def prove_books() -> None:
    """Prove that the books balance, and keep what was found. Safe to run twice: each is a proof of its moment."""
    if extent := proofs.due(now=timezone.now()):
        _say(proofs.prove_and_keep(extent))


def start_proof() -> bool:
    """Have the proof made that was asked for. False: there is no broker to ask."""
    try:
        prove_now.delay()
    except OperationalError as error:
        log.warning("a proof that was asked for cannot be made: no broker", error=str(error))
        return False
    return True


@app.task
def prove_now() -> None:
    """Make the proof that somebody waits for. Safe to run twice."""
    _say(proofs.prove_as_asked())


def _say(proof: Proof) -> None:
    if not proof.is_balanced:
        log.error("the books do not balance", differences=proof.differences)


@app.task
def forget_idempotency_keys() -> None:
    """Those that are over, with their answers. Safe to run twice."""
    idempotency.expire(now=timezone.now())


@app.task
def keep_months() -> None:
    """Make the usage table's months ahead, and take old ones away where retention is asked for. Safe to run twice."""
    now = timezone.now()
    partitions.make_months(now=now)
    immutability.install()
    if settings.RETENTION_MONTHS > 0:
        partitions.purge(keep_months=settings.RETENTION_MONTHS, now=now)
    if rows := partitions.rows_without_month():
        log.error("rows of the usage table lie outside all months", rows=rows)
