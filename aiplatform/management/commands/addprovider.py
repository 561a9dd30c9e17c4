"""`manage.py addprovider`: a provider with its key, models and prices, from the command line.

The key comes on standard input, so that it is in no process list and no shell history.
"""

from __future__ import annotations

import argparse
import sys
from decimal import Decimal, InvalidOperation
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from accounts.commands import ActingCommand
from aiplatform.management.in_force import wait_until_in_force
from core.vault import Secret
from providers.kinds import KINDS
from providers.operations import ModelSpec, Rates, add_provider


class Command(ActingCommand):
    help = "Add a provider with its models and their prices. --model, --input-price, --output-price repeat as triples."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--name", required=True, help="as people call it; its short name is made of it")
        parser.add_argument("--kind", required=True, choices=list(KINDS), help="which API it speaks")
        parser.add_argument("--base-url", default="", metavar="URL", help="where it is not the kind's usual address")
        parser.add_argument("--model", action="append", required=True, metavar="M", help="as the provider calls it")
        for option in ("--input-price", "--output-price"):
            of = f"of that model, in US dollars for a million {option[2:].removesuffix('-price')} tokens"
            parser.add_argument(option, action="append", required=True, type=_price, metavar="USD", help=of)
        parser.add_argument("--api-key-stdin", action="store_true", help="read the provider's key from standard input")

    def handle(self, *args: Any, **options: Any) -> None:
        key = sys.stdin.readline().strip() if options["api_key_stdin"] else ""
        try:
            provider = add_provider(
                name=options["name"],
                kind=options["kind"],
                base_url=options["base_url"],
                models=_models(options["model"], options["input_price"], options["output_price"]),
                api_key=Secret(key) if key else None,
                now=timezone.now(),
            )
        except ValidationError as error:
            refusals = (f"{field}: {' '.join(texts)}" for field, texts in error.message_dict.items())
            raise CommandError("; ".join(refusals)) from None
        wait_until_in_force()
        names = ", ".join(provider.deployments.values_list("name", flat=True))
        self.stdout.write(f"Added {provider.name} as {provider.slug}: {names}")


def _price(value: str) -> Decimal:
    try:
        return Decimal(value)
    except InvalidOperation:
        message = f"a price is US dollars per million tokens, for example 2.50, not {value!r}"
        raise argparse.ArgumentTypeError(message) from None


def _models(names: list[str], inputs: list[Decimal], outputs: list[Decimal]) -> list[ModelSpec]:
    if not len(names) == len(inputs) == len(outputs):
        raise CommandError("Each --model needs its own --input-price and --output-price.")
    return [
        ModelSpec(name=name, rates=Rates(input_per_million=bought, output_per_million=sold))
        for name, bought, sold in zip(names, inputs, outputs, strict=True)
    ]
