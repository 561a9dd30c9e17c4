"""`manage.py probeproviders`: test every active provider's connection now, and say what was found."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from providers import health
from providers.connection import Finding, Trouble


class Command(BaseCommand):
    help = "Test every active provider's connection now. It costs nothing; what is found is kept as each minute's is."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        found = health.probe_active(now=timezone.now())
        for provider, finding in found:
            self.stdout.write(f"{_word(finding)}  {provider.slug}: {finding.text}")
        if not found:
            self.stdout.write("No provider is active.")


def _word(finding: Finding) -> str:
    if finding.trouble is Trouble.NOT_BEGUN:
        return "untested"
    return "healthy" if finding.ok else "unhealthy"
