"""`manage.py verifyledger`: prove that the books balance; exit with 1 where they do not."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from usage import books


class Command(BaseCommand):
    help = "Compare records, rollups, budgets and holds with one another. Exits with 1 where they differ."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        found = books.prove()
        if options["json"]:
            self.stdout.write(json.dumps(found.as_json()))
        else:
            self.stdout.write(_told(found))
        if not found.is_balanced:
            raise SystemExit(1)


def _told(found: books.Findings) -> str:
    figures = found.as_json()
    lines = [
        f"{found.records:,} records that cost ${figures['costUsd']}.",
        f"{found.open_holds:,} open holds of ${figures['heldUsd']}; ${figures['settledUsd']} settled in budgets.",
        *found.differences,
    ]
    if found.journals:
        lines.append(f"{found.journals} journals on this machine wait to be written to the database.")
    if found.is_balanced:
        lines.append("The books balance.")
    else:
        drift = f"sums ${figures['rollupDriftUsd']}, budgets ${figures['budgetDriftUsd']}"
        lines.append(f"THE BOOKS DO NOT BALANCE ({drift}). rebuildrollups repairs the sums.")
    return "\n".join(lines)
