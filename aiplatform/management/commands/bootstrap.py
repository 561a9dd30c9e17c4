"""`manage.py bootstrap`: make what a new installation lacks, and show what cannot be shown again."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils import timezone

from accounts.commands import ActingCommand
from aiplatform import bootstrap


class Command(ActingCommand):
    help = "Make the first administrator, provider, route and key where they are missing. Safe to run again."

    def handle(self, *args: Any, **options: Any) -> None:
        made = bootstrap.bootstrap(
            now=timezone.now(), demo=not settings.PRODUCTION, providers=bootstrap.providers_from_environment()
        )
        self.stdout.write(made.shown_once())
