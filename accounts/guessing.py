"""Guessing passwords: whoever has given too many wrong ones for a name is refused for a while, from where they came.

A guess is counted before the password is looked at, so that many at once are as many. It is counted in the database,
which signing in needs anyway: all processes count together, and a restart forgets nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address
from typing import ClassVar

import structlog
from django.contrib.auth.models import User
from django.db import models, transaction
from django.utils.crypto import salted_hmac

from accounts.acting import Actor
from accounts.audit_entries import AuditEntry, entry_of

MOST_WRONG = 5
REFUSED_FOR = timedelta(minutes=15)
_CUSTOMER_BITS = 64  # of an IPv6 address: what follows its owner may choose anew for each guess
_FORGOTTEN_AT_ONCE = 100

log = structlog.get_logger(__name__)


class Guesses(models.Model):
    """Passwords given for one name from one address, none of them right. `who` tells neither (`_who`)."""

    who = models.CharField(max_length=64, primary_key=True)
    number = models.PositiveSmallIntegerField()
    last_at = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["last_at"], name="guesses_by_age")]

    def __str__(self) -> str:
        return f"{self.number} wrong passwords"


class TooManyGuessesError(Exception):
    def __init__(self, left: timedelta) -> None:
        super().__init__(left)
        self.left = left


def begin(*, name: str, address: str, now: datetime) -> int:
    """Count a guess: how many it makes. Raises `TooManyGuessesError`, also for the right password."""
    _forget(now)
    with transaction.atomic():
        first = {"number": 0, "last_at": now}
        row, _ = Guesses.objects.select_for_update().get_or_create(who=_who(name, address), defaults=first)
        left = row.last_at + REFUSED_FOR - now
        if left <= timedelta():
            row.number = 0
        if row.number < MOST_WRONG:
            row.number, row.last_at = row.number + 1, now
            row.save(update_fields=["number", "last_at"])
            return row.number
    raise TooManyGuessesError(left)


def was_right(*, name: str, address: str) -> None:
    Guesses.objects.filter(who=_who(name, address)).delete()


def was_wrong(number: int, *, name: str, address: str) -> None:
    """The last one that is allowed goes into the audit trail, of names that there are: others would only fill it."""
    if number < MOST_WRONG:
        return
    log.warning("too many wrong passwords: signing in is refused for a while", address=address)
    user = User.objects.filter(username=name).first()
    if user is not None:
        stranger = Actor(AuditEntry.ActorKind.STRANGER, f"somebody at {address or 'an unknown address'}")
        changes = [{"field": "wrong passwords", "before": None, "after": number}]
        told = entry_of(
            stranger, AuditEntry.Action.REFUSED, kind="sign-in", key=str(user.pk), name=name, changes=changes
        )
        told.save(force_insert=True)


def _forget(now: datetime) -> None:
    """Those that count no more. Rows that others have in their hands are left to them."""
    with transaction.atomic():
        old = Guesses.objects.select_for_update(skip_locked=True).filter(last_at__lte=now - REFUSED_FOR)
        Guesses.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:_FORGOTTEN_AT_ONCE])).delete()


def _who(name: str, address: str) -> str:
    """Not as it was given: people type passwords into the wrong field."""
    return salted_hmac("accounts.guessing", f"{name}\n{_network(address)}", algorithm="sha256").hexdigest()


def _network(address: str) -> str:
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, IPv6Address):
        # On a socket for both kinds an IPv4 address comes as one of IPv6: not all of them are one customer's.
        return str(ip.ipv4_mapped or int(ip) >> (128 - _CUSTOMER_BITS))
    return str(ip)
