"""Commands that change what is audited."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from accounts import acting


class ActingCommand(BaseCommand):
    """What it changes is in the audit trail as its own doing. Its arguments are not: they may hold anything."""

    requires_system_checks = ()  # they import every page, which takes longer than most commands do

    def execute(self, *args: Any, **options: Any) -> Any:
        with acting.commanding(type(self).__module__.rpartition(".")[2]):
            return super().execute(*args, **options)
