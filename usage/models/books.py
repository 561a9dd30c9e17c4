"""That the books balance, and what has been purged from them."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class Proof(models.Model):
    """What one proof of the books found: `figures` as `verifyledger --json` prints them, `differences` in sentences.

    `since`: it was a proof of what began since then; NULL: of everything.
    """

    made_at = models.DateTimeField()
    since = models.DateTimeField(null=True)
    took_ms = models.FloatField()
    is_balanced = models.BooleanField()
    figures = models.JSONField()
    differences = models.JSONField(default=list)

    class Meta:
        ordering: ClassVar = ["-id"]  # the newest first, also where a clock was wrong
        verbose_name = "proof of the books"
        verbose_name_plural = "proofs of the books"

    def __str__(self) -> str:
        return f"{self.made_at:%Y-%m-%d %H:%M}"


class Proving(models.Model):
    """A proof that somebody has asked for, and how far it is: there until it is made. At most one, of key 1."""

    asked_at = models.DateTimeField()
    moved_at = models.DateTimeField()
    step = models.CharField(max_length=80, default="")
    done_percent = models.PositiveSmallIntegerField(default=0)

    def __str__(self) -> str:
        return f"asked at {self.asked_at:%Y-%m-%d %H:%M}"


class Purge(models.Model):
    """Records of calls before a moment are gone, by retention. Their sums in the rollups stay.

    What they had cost is in `opening_pico` of their budget windows, so that those balance still.
    """

    before = models.DateTimeField(unique=True)
    rows = models.BigIntegerField(default=0)
    cost_pico = models.DecimalField(max_digits=30, decimal_places=0, default=0)
    purged_at = models.DateTimeField()

    class Meta:
        ordering: ClassVar = ["-before"]

    def __str__(self) -> str:
        return f"before {self.before:%Y-%m-%d}"
