"""`manage.py rotatekeys`: all stored secrets again under the first of ENCRYPTION_KEYS."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError

from accounts import audit
from accounts.commands import ActingCommand
from aiplatform import rotation


class Command(ActingCommand):
    help = (
        "Encrypt every stored secret again under the first of ENCRYPTION_KEYS, so that the others can go. "
        "Run it once every process has the new ring; it may run beside traffic, and again."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        renewed = unreadable = 0
        for column in rotation.columns():
            turned = rotation.rotate(column)
            renewed += turned.renewed
            unreadable += turned.unreadable
            self.stdout.write(f"{column}: {turned.renewed} encrypted again, {turned.current} already were")
        if renewed:
            audit.note_count("encryption", "stored secrets", "encrypted again", renewed)
        if unreadable:
            raise CommandError(f"{unreadable} cannot be read: the key that made them is missing from ENCRYPTION_KEYS.")
        self.stdout.write("Everything is under the first of ENCRYPTION_KEYS: the others are not needed any more.")
