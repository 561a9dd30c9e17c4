"""`manage.py rotatekeys`: all stored secrets again under the first of ENCRYPTION_KEYS."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from aiplatform import rotation


class Command(BaseCommand):
    help = (
        "Encrypt every stored secret again under the first of ENCRYPTION_KEYS, so that the others can go. "
        "Run it once every process has the new ring; it may run beside traffic, and again."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        unreadable = 0
        for column in rotation.columns():
            turned = rotation.rotate(column)
            unreadable += turned.unreadable
            self.stdout.write(f"{column}: {turned.renewed} encrypted again, {turned.current} already were")
        if unreadable:
            raise CommandError(f"{unreadable} cannot be read: the key that made them is missing from ENCRYPTION_KEYS.")
        self.stdout.write("Everything is under the first of ENCRYPTION_KEYS: the others are not needed any more.")
