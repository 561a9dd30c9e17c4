"""`manage.py mintkey`: a new key for a client, shown once."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from accounts.commands import ActingCommand
from accounts.models import ApiKey, Client, Tier
from aiplatform.management.in_force import wait_until_in_force


class Command(ActingCommand):
    help = "Make a key for a client (made too, if it is new) and print it: it is never shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--client", required=True, metavar="NAME", help="whose key it is; made if it is new")
        parser.add_argument(
            "--scope",
            choices=ApiKey.Scope.values,
            default=ApiKey.Scope.CALL.value,
            help="call models (the default), or manage the platform over its API too",
        )
        parser.add_argument("--tier", metavar="NAME", help="the tier whose limits hold for the key")
        parser.add_argument("--quiet", action="store_true", help="print the key alone")

    def handle(self, *args: Any, **options: Any) -> None:
        tier = _tier(options["tier"]) if options["tier"] else None
        client = _client(options["client"])
        _, secret = ApiKey.mint(client=client, scope=options["scope"], tier=tier)
        wait_until_in_force()
        if options["quiet"]:
            self.stdout.write(secret)
        else:
            self.stdout.write(f"Key of {client.name} (scope {options['scope']}), never shown again:\n{secret}")


def _tier(name: str) -> Tier:
    try:
        return Tier.objects.get(name=name)
    except Tier.DoesNotExist:
        known = ", ".join(Tier.objects.values_list("name", flat=True)) or "none yet"
        raise CommandError(f"There is no tier {name!r}. Known: {known}.") from None


def _client(name: str) -> Client:
    client = Client.objects.filter(name=name).first()
    if client is None:
        client = Client(name=name)
        try:
            client.full_clean()
        except ValidationError as error:
            raise CommandError(f"--client {name!r}: {' '.join(error.messages)}") from None
        client.save()
    elif not client.is_active:
        raise CommandError(f"The client {name!r} is inactive: its keys are refused. Activate it in the admin first.")
    return client
