"""Narrow sums of usage records (`usage.rollups` writes them)."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class Figures(models.Model):
    """What is summed. `calls` are final rows; tokens and money are of all rows, retries and adjustments too.

    `cost_pico` is the sum over `known_cost_rows`; what it lacks are the `unknown_cost_rows`.
    """

    shard = models.PositiveSmallIntegerField(default=0)
    calls = models.BigIntegerField(default=0)
    errors = models.BigIntegerField(default=0)
    refused = models.BigIntegerField(default=0)
    cancelled = models.BigIntegerField(default=0)
    cached = models.BigIntegerField(default=0)
    answered = models.BigIntegerField(default=0)
    input_tokens = models.BigIntegerField(default=0)
    cached_input_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    reasoning_tokens = models.BigIntegerField(default=0)
    cost_pico = models.BigIntegerField(default=0)
    known_cost_rows = models.BigIntegerField(default=0)
    unknown_cost_rows = models.BigIntegerField(default=0)
    saved_pico = models.BigIntegerField(default=0, db_default=0)
    latency_us = models.BigIntegerField(default=0)

    class Meta:
        abstract = True


class ByKind(Figures):
    """Sums by who called what, through which door, and how it ended."""

    client = models.CharField(max_length=64)
    provider = models.CharField(max_length=64)
    deployment = models.CharField(max_length=200)
    surface = models.CharField(max_length=32)
    status = models.CharField(max_length=12)
    evidence = models.CharField(max_length=12)

    class Meta:
        abstract = True


class Quarter(ByKind):
    """A quarter-hour."""

    starts_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["starts_at", "client", "provider", "deployment", "surface", "status", "evidence", "shard"],
                name="quarter_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.starts_at:%Y-%m-%d %H:%M} {self.client} {self.deployment}"


class Day(ByKind):
    """A day of the installation's time zone."""

    day = models.DateField()

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["day", "client", "provider", "deployment", "surface", "status", "evidence", "shard"],
                name="day_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.client} {self.deployment}"


class UserDay(Figures):
    """A day of an end user."""

    day = models.DateField()
    client = models.CharField(max_length=64)
    end_user = models.CharField(max_length=128)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["day", "client", "end_user", "shard"], name="user_day_once"),
        ]
        indexes: ClassVar = [models.Index(fields=["end_user", "day"], name="day_by_user")]

    def __str__(self) -> str:
        return f"{self.day} {self.end_user}"


class KeyDay(Figures):
    """A day of an API key."""

    day = models.DateField()
    client = models.CharField(max_length=64)
    key_prefix = models.CharField(max_length=16)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["day", "client", "key_prefix", "shard"], name="key_day_once"),
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.key_prefix}"
