"""`manage.py reportrole`: a PostgreSQL role for finance, which can read the `report_*` views and nothing else."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from usage import reporting


class Command(BaseCommand):
    help = f"Make the role {reporting.ROLE}, or give it a new password, which is read from standard input."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        if connection.vendor != "postgresql":
            raise CommandError("SQLite knows no roles: open the file read-only, as docs/sql-reporting.md shows.")
        password = sys.stdin.readline().strip()
        if not password:
            raise CommandError("Give the role's password on standard input.")
        reporting.make_role(password=password)
        self.stdout.write(f"{reporting.ROLE} may log in and read the views {', '.join(reporting.view_names())}.")
