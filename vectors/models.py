"""Collections of vectors: whose they are, and what fits into them. The vectors themselves are in Qdrant."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from accounts.models import Client
from core.models import Identified


class VectorCollection(Identified):
    """A client's collection. In Qdrant it is known by its id alone, so that no name leads to another client's."""

    client = models.ForeignKey(Client, on_delete=models.PROTECT, related_name="vector_collections")
    name = models.CharField(max_length=128)
    size = models.PositiveIntegerField(help_text="How many numbers each vector has.")
    distance = models.CharField(max_length=8)
    model = models.CharField(
        "embedding model", max_length=255, blank=True, help_text="What turns this collection's texts into vectors."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["client__name", "name"]
        verbose_name = "vector collection"
        constraints: ClassVar = [models.UniqueConstraint(fields=["client", "name"], name="collection_once_a_client")]

    def __str__(self) -> str:
        return f"{self.client.name} · {self.name}"
