"""Calls that a client names, so that asking twice is answered once."""

from __future__ import annotations

from typing import ClassVar

from django.db import models


class IdempotencyKey(models.Model):
    """One call, by the key that its client gave it: there from its first hold on, until `expires_at`.

    `id` is the call's own, shared by its attempts; `hold_id` is that of its latest attempt, and so of its record.
    `status` is that record's, '' while the call runs; `answer` is encrypted, NULL where there is none to repeat.
    """

    id = models.UUIDField(primary_key=True)
    client = models.CharField(max_length=64)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    request_id = models.CharField(max_length=128)
    hold_id = models.UUIDField()
    status = models.CharField(max_length=12, default="")
    answer = models.BinaryField(null=True)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        ordering: ClassVar = ["-created_at"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["client", "key"], name="one_call_a_client_and_key")]

    def __str__(self) -> str:
        return f"{self.key} of {self.client}"
