"""`manage.py rebuildrollups`: make the rollups what the records say, beside traffic."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from usage import books


class Command(BaseCommand):
    help = "Recompute the rollups from the records. Needed after a change of TIME_ZONE; harmless at any time."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            changed = books.rebuild_rollups()
        except books.RebuildRunningError:
            raise CommandError("Another process rebuilds them just now.") from None
        for table, rows in changed.items():
            self.stdout.write(f"{table}: {rows:,} rows changed")
