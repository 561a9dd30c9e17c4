"""Guessing passwords: whoever has given too many wrong ones for a name is refused for a while, from where they came.

So is whoever tries one password with many names: of an address only so many are looked at in a while. A guess is
counted before the password is looked at, so that many at once are as many. It is counted in the database, which signing
in needs anyway: all processes count together, and a restart forgets nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address
from typing import ClassVar

import structlog
from django.contrib.auth.models import User
from django.db import models, transaction
from django.db.models import F
from django.utils.crypto import salted_hmac

from accounts.acting import Actor
from accounts.audit_entries import AuditEntry, entry_of

MOST_WRONG = 5
MOST_WRONG_FROM_ONE_ADDRESS = 50  # a whole office may stand behind it
REFUSED_FOR = timedelta(minutes=15)
_CUSTOMER_BITS = 64  # of an IPv6 address: what follows its owner may choose anew for each guess
_FORGOTTEN_AT_ONCE = 100

log = structlog.get_logger(__name__)


class Guesses(models.Model):
    """Passwords given for one name, or for any, from one address, none of them right. `who` tells neither (`_who`).

    `last_at`: of those for one name when the last one was given, of those for any when the first one was.
    """

    who = models.CharField(max_length=64, primary_key=True)
    number = models.PositiveSmallIntegerField()
    last_at = models.DateTimeField()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["last_at"], name="guesses_by_age")]

    def __str__(self) -> str:
        return f"{self.number} wrong passwords"


class TooManyGuessesError(Exception):
    """`left`: for how long yet. `of_all_names`: they were many of all names together."""

    def __init__(self, left: timedelta, *, of_all_names: bool = False) -> None:
        super().__init__(left)
        self.left = left
        self.of_all_names = of_all_names


def begin(*, name: str, address: str, now: datetime) -> int:
    """Count a guess: how many of this name it makes. Raises `TooManyGuessesError`, also for the right password."""
    _forget(now)
    with transaction.atomic():
        of_name, of_all = _row(_who(name, address), now), _row(_who_at(address), now)
        if of_name.number >= MOST_WRONG:
            raise TooManyGuessesError(of_name.last_at + REFUSED_FOR - now)
        if of_all.number >= MOST_WRONG_FROM_ONE_ADDRESS:
            raise TooManyGuessesError(of_all.last_at + REFUSED_FOR - now, of_all_names=True)
        of_name.last_at = now
        for row in (of_name, of_all):
            row.number += 1
            row.save(update_fields=["number", "last_at"])
        return of_name.number


def was_right(*, name: str, address: str) -> None:
    Guesses.objects.filter(who=_who(name, address)).delete()
    Guesses.objects.filter(who=_who_at(address), number__lte=1).delete()
    Guesses.objects.filter(who=_who_at(address)).update(number=F("number") - 1)


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


def _row(who: str, now: datetime) -> Guesses:
    """Locked, and begun anew where what it has counted is over."""
    row, _ = Guesses.objects.select_for_update().get_or_create(who=who, defaults={"number": 0, "last_at": now})
    if row.last_at + REFUSED_FOR <= now:
        row.number, row.last_at = 0, now
    return row


def _forget(now: datetime) -> None:
    """Those that count no more. Rows that others have in their hands are left to them."""
    with transaction.atomic():
        old = Guesses.objects.select_for_update(skip_locked=True).filter(last_at__lte=now - REFUSED_FOR)
        Guesses.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:_FORGOTTEN_AT_ONCE])).delete()


def _who(name: str, address: str) -> str:
    """Not as it was given: people type passwords into the wrong field."""
    return _hashed(f"{name}\n{_network(address)}")


def _who_at(address: str) -> str:
    return _hashed(_network(address))


def _hashed(text: str) -> str:
    return salted_hmac("accounts.guessing", text, algorithm="sha256").hexdigest()


def _network(address: str) -> str:
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, IPv6Address):
        # On a socket for both kinds an IPv4 address comes as one of IPv6: not all of them are one customer's.
        return str(ip.ipv4_mapped or int(ip) >> (128 - _CUSTOMER_BITS))
    return str(ip)
