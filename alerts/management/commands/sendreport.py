"""`manage.py sendreport`: send reports now, or print one."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from alerts import outbox
from alerts.models import Delivery, ReportSchedule
from alerts.reports import schedules, writing


class Command(BaseCommand):
    help = "Send the newest whole period of a report, due or not; without a name, all that is due."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?", help="the report's name")
        parser.add_argument("--print", action="store_true", help="print it, and send nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        if options["name"] is None:
            count = schedules.queue_due(now=now)
            self.stdout.write(f"{count} message{'' if count == 1 else 's'} queued.")
            for channel_id in outbox.due_channels(now=now):
                while outbox.send_next(channel_id, now=timezone.now()):
                    pass
            return
        schedule = _find(options["name"])
        span = schedules.last_span(schedule, now=now)
        if options["print"]:
            known = writing.facts(schedule, span)
            self.stdout.write(writing.message_of(known, message_id="preview", subject=writing.subject(known)).text)
            return
        sent = schedules.queue(schedule, span, now=now, again=f":{now:%Y%m%dT%H%M%S%f}")
        if not sent:
            raise CommandError(f"{schedule} has no active channel: nothing was sent.")
        done = [outbox.send_now(delivery, now=timezone.now()) for delivery in sent]
        for delivery in done:
            self.stdout.write(f"{delivery.channel_name}: {delivery.get_state_display()} {delivery.last_error}".strip())
        if any(delivery.state != Delivery.State.DELIVERED for delivery in done):
            raise SystemExit(1)


def _find(name: str) -> ReportSchedule:
    schedule = ReportSchedule.objects.filter(name=name).first()
    if schedule is None:
        known = ", ".join(ReportSchedule.objects.values_list("name", flat=True)) or "none yet"
        raise CommandError(f"There is no report called {name}. There are: {known}.")
    return schedule
