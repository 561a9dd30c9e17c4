"""`manage.py importprices`: our prices beside the published ones; with --apply, the published ones from now on."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from accounts.commands import ActingCommand
from aiplatform.management.in_force import wait_until_in_force
from core import display
from providers import price_import
from providers.price_import import Comparison, Verdict


class Command(ActingCommand):
    help = "Compare the prices of what is deployed with the published ones. Changes nothing without --apply."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--apply", action="store_true", help="take the published prices over, from now on")
        parser.add_argument("--replace", action="store_true", help="also where somebody has set a price by hand")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        found = price_import.compare(now=now)
        for each in found:
            self._show(each)
        wanted = [each for each in found if each.differs and (options["replace"] or each.verdict != Verdict.BY_HAND)]
        if not options["apply"]:
            self.stdout.write(f"\n{len(wanted)} to change; nothing was. {_advice(found, wanted)}".rstrip())
            return
        number = price_import.adopt(wanted, now=now)
        if number:
            wait_until_in_force()
        self.stdout.write(f"\n{number} changed, in force since {display.minute(now)}.")

    def _show(self, each: Comparison) -> None:
        since = f", since {display.minute(each.price.valid_from)}" if each.price is not None else ""
        source = f" ({each.found.name})" if each.found is not None else ""
        self.stdout.write(f"{each.deployment}{source}: {each.verdict}{since}")
        for change in each.changes:
            self.stdout.write(f"    {change.label:<36} {change.old:>12} -> {change.new}")
        for note in each.found.notes if each.found is not None and each.differs else ():
            self.stdout.write(f"    {note}")


def _advice(found: list[Comparison], wanted: list[Comparison]) -> str:
    """Which options would do something."""
    options = ["--apply takes them over."] if wanted else []
    if any(each.verdict == Verdict.BY_HAND for each in found) and not any(
        each.verdict == Verdict.BY_HAND for each in wanted
    ):
        options.append("--replace includes those set by hand.")
    return " ".join(options)
