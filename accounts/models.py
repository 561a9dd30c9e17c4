"""Clients (the product backends that call), their API keys, and the tiers that bound them."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone
from django.utils.module_loading import import_string

from accounts import keys
from accounts.audit import Audited
from accounts.audit_entries import AuditEntry
from accounts.guessing import Guesses
from core.models import Identified, RateLimited, moment_of_any_clock

__all__ = ["ApiKey", "AuditEntry", "Client", "EndpointLimit", "Guesses", "Revision", "Tier", "slug_like"]

_MOST_NAMES, _MOST_NAME_CHARACTERS = 500, 200

slug_like = RegexValidator(
    r"^[a-z0-9][a-z0-9._-]*$",
    "Use lower-case letters, digits, dots, dashes and underscores, starting with a letter or digit.",
)


class Tier(Audited, Identified, RateLimited):
    """What each key in it may do, besides the limits of its own and of its client."""

    name = models.CharField(max_length=64, unique=True, validators=[slug_like])

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name


def counted_endpoint(name: str) -> None:
    """Raises `ValidationError`. Which there are is known to the doors alone, far above."""
    import_string(settings.ENDPOINTS)(name)


class EndpointLimit(Audited, Identified, RateLimited):
    """A further limit of each key in a tier, for the calls of one endpoint."""

    tier = models.ForeignKey(Tier, on_delete=models.CASCADE, related_name="endpoints")
    endpoint = models.CharField(
        max_length=100,
        validators=[
            RegexValidator(r"^[!-~]+\Z", "Use letters, digits and signs, without spaces."),
            counted_endpoint,
        ],
        help_text="A path, as /v1/llm/generate, or a door as the usage pages name it, as openai.chat.",
    )

    class Meta:
        ordering: ClassVar = ["endpoint"]
        verbose_name = "limit of an endpoint"
        verbose_name_plural = "limits of endpoints"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tier", "endpoint"],
                name="endpoint_once_a_tier",
                violation_error_message="This tier has a limit for that endpoint already.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.tier} at {self.endpoint}"


def names_of_models(text: str) -> None:
    lines = text.splitlines()
    if len(lines) > _MOST_NAMES:
        raise ValidationError(f"Name at most {_MOST_NAMES} models.")
    for line in lines:
        if len(line.strip()) > _MOST_NAME_CHARACTERS or "\0" in line:
            raise ValidationError(f"A name has at most {_MOST_NAME_CHARACTERS} characters.")


class ModelLimited(models.Model):
    """Which models may be used: names of routes and models, one to a line. Empty: every model."""

    allowed_models = models.TextField(
        "models it may use",
        blank=True,
        default="",
        db_default="",
        validators=[names_of_models],
        help_text="One to a line: a route, a model, or provider/model. Empty: every model.",
    )

    class Meta:
        abstract = True


def names_in(text: str) -> tuple[str, ...]:
    """The names in it, one to a line."""
    return tuple(name for line in text.splitlines() if (name := line.strip()))


class Client(Audited, Identified, RateLimited, ModelLimited):
    """A product or team whose calls are counted together."""

    name = models.CharField(
        max_length=64,
        unique=True,
        validators=[slug_like],
        help_text="Appears on every usage row, for example search-backend.",
    )
    description = models.CharField(max_length=200, blank=True)
    is_active = models.BooleanField("active", default=True, help_text="Calls of an inactive client are refused.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    def keeps_from_managing(self) -> bool:
        """Whether it is inactive, and that alone keeps a key of it from what only who may do everything gives."""
        managing = self.keys.filter(scope=ApiKey.Scope.MANAGE, is_active=True).exclude(expires_at__lte=timezone.now())
        return not self.is_active and managing.exists()


class ApiKey(Audited, Identified, RateLimited, ModelLimited):
    """A client's key. The key itself is shown once, when it is made; here is only its hash."""

    class Scope(models.TextChoices):
        CALL = "call", "Call models"
        MANAGE = "manage", "Call models and manage the platform"

    client = models.ForeignKey(Client, on_delete=models.PROTECT, related_name="keys")
    name = models.CharField(max_length=64, blank=True, help_text="What it is for, for example production.")
    prefix = models.CharField(max_length=16, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    scope = models.CharField(max_length=8, choices=Scope.choices, default=Scope.CALL)
    tier = models.ForeignKey(Tier, on_delete=models.PROTECT, null=True, blank=True, related_name="keys")
    is_active = models.BooleanField("active", default=True)
    expires_at = models.DateTimeField(
        null=True,
        blank=True,
        validators=[moment_of_any_clock],
        help_text="Refused from this time on. Empty: never expires.",
    )
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["-created_at"]
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.client.name} · {self.name or self.prefix}"

    @classmethod
    def mint(
        cls, *, client: Client, name: str = "", scope: str = Scope.CALL, tier: Tier | None = None
    ) -> tuple[ApiKey, str]:
        """A saved key and its secret, which cannot be had again."""
        secret = keys.new_secret()
        key = cls(client=client, name=name, scope=scope, tier=tier)
        key.take(secret)
        key.save()
        return key, secret

    def take(self, secret: str) -> None:
        """Make `secret` this key's secret."""
        self.prefix = keys.public_prefix(secret)
        self.digest = keys.digest(secret)

    def clean(self) -> None:
        if self._state.adding and self.expires_at is not None and self.expires_at <= timezone.now():
            raise ValidationError({"expires_at": "This is in the past: the key could never be used."})

    def is_usable(self, now: datetime) -> bool:
        return self.is_active and self.client.is_active and (self.expires_at is None or now < self.expires_at)


class Revision(models.Model):
    """One row: the newest configuration's number. Triggers bump it in the transaction that changes a watched table."""

    number = models.BigIntegerField(default=0)

    class Meta:
        db_table = "catalogue_revision"

    def __str__(self) -> str:
        return str(self.number)
