"""Providers, their keys, the models deployed at them, and what the last probe of each found."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils import timezone

from accounts.audit import Audited
from accounts.models import slug_like
from core.http import validate_address
from core.models import Identified, RateLimited, json_object, printable
from core.vault import EncryptedField, Secret, decrypt
from providers import kinds

if TYPE_CHECKING:
    from providers.models.prices import Price


def failures_by_default() -> int:
    """The operator's word for new providers."""
    failures: int = settings.CIRCUIT_BREAKER_MAX_REQUESTS
    return failures


def open_ms_by_default() -> int:
    open_s: int = settings.CIRCUIT_BREAKER_TIMEOUT_S
    return open_s * 1_000


class Provider(Audited, Identified, RateLimited):
    """A company or host that runs models, and how we behave towards it."""

    class OnDisconnect(models.TextChoices):
        DRAIN = "drain", "Finish the call, for its true usage"
        ABORT = "abort", "Stop the call, and estimate what it used"

    name = models.CharField(max_length=80, unique=True, help_text="As people call it, for example OpenAI (Europe).")
    slug = models.CharField(
        "short name",
        max_length=64,
        unique=True,
        validators=[slug_like],
        help_text="As programs call it: in X-Provider, in provider/model, on every usage row.",
    )
    kind = models.CharField(max_length=32, help_text="Which API it speaks.")
    base_url = models.CharField(
        "address",
        max_length=300,
        blank=True,
        validators=[validate_address],
        help_text="Only where it is not the provider's usual one.",
    )
    organization = models.CharField(
        max_length=100,
        blank=True,
        validators=[
            RegexValidator(r"^[\x21-\x7e]+\Z", "It goes into a header: no spaces, line breaks or accented letters.")
        ],
        help_text="OpenAI organization, where your key has several.",
    )
    is_active = models.BooleanField("active", default=True, help_text="Inactive providers get no calls.")
    priority = models.IntegerField(default=10, help_text="Higher is tried first. Equals share the calls.")
    weight = models.PositiveIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text="Share among providers of equal priority.",
    )

    connect_timeout_ms = models.PositiveIntegerField(default=5_000, validators=[MinValueValidator(100)])
    first_token_timeout_ms = models.PositiveIntegerField(default=120_000, validators=[MinValueValidator(100)])
    between_chunks_timeout_ms = models.PositiveIntegerField(default=60_000, validators=[MinValueValidator(100)])
    timeout_ms = models.PositiveIntegerField(
        default=600_000,
        validators=[MinValueValidator(1_000), MaxValueValidator(3_600_000)],
        help_text="Bound of the whole call.",
    )
    on_disconnect = models.CharField(
        max_length=8,
        choices=OnDisconnect.choices,
        default=OnDisconnect.DRAIN,
        help_text="When the caller leaves in mid-call.",
    )

    retry_attempts = models.PositiveSmallIntegerField(
        default=3, validators=[MinValueValidator(1), MaxValueValidator(10)]
    )
    retry_delay_ms = models.PositiveIntegerField(default=1_000, validators=[MaxValueValidator(10_000)])
    failure_threshold = models.PositiveSmallIntegerField(default=failures_by_default, validators=[MinValueValidator(1)])
    success_threshold = models.PositiveSmallIntegerField(default=2, validators=[MinValueValidator(1)])
    open_ms = models.PositiveIntegerField(
        "stay open for (ms)", default=open_ms_by_default, validators=[MinValueValidator(1_000)]
    )
    monitoring_period_ms = models.PositiveIntegerField(default=120_000, validators=[MinValueValidator(1_000)])
    circuits_reset_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["-priority", "name"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if not self.kind:
            return  # its own field says so
        kind = kinds.KINDS.get(self.kind)
        if kind is None:
            raise ValidationError({"kind": f"Choose one of {', '.join(kinds.KINDS)}."})
        if kind.base_url is None and not self.base_url:
            raise ValidationError(
                {"base_url": f"{kind.label} needs the address of its API, for example {kind.example}."}
            )
        if kind.base_url and not self.base_url:
            try:
                validate_address(kind.base_url)  # Ollama's is on this machine, which settings may forbid
            except ValidationError as error:
                raise ValidationError({"base_url": error.messages}) from error

    @property
    def address(self) -> str:
        """The base URL that calls go to, without a slash at its end ('' for a kind that is not called over HTTP)."""
        kind = kinds.KINDS[self.kind]
        return (self.base_url or kind.base_url or "").rstrip("/").removesuffix(kind.tail)


class Credential(Audited, Identified):
    """One of a provider's API keys, encrypted. Several share the calls in turn."""

    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="credentials")
    label = models.CharField(max_length=64, default="main", help_text="Appears on usage rows; never the key itself.")
    secret = EncryptedField(editable=False)
    hint = models.CharField(max_length=12, blank=True, editable=False)
    is_active = models.BooleanField("active", default=True)
    weight = models.PositiveIntegerField(default=1, validators=[MinValueValidator(1), MaxValueValidator(1000)])
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["created_at"]
        verbose_name = "key"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["provider", "label"],
                name="credential_label_once",
                violation_error_message="This provider has a key of that name already.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.label} {self.hint}"

    def take(self, secret: Secret) -> None:
        """Make `secret` this credential's key."""
        self.secret = secret
        self.hint = secret.hint

    def reveal(self) -> Secret:
        """Raises `UnreadableSecretError` where the encryption key has gone."""
        return self.secret if isinstance(self.secret, Secret) else decrypt(self.secret)


class Deployment(Audited, Identified, RateLimited):
    """One model at one provider, under the name by which callers ask for it."""

    class Type(models.TextChoices):
        CHAT = "chat", "Chat"
        EMBEDDING = "embedding", "Embeddings"

    provider = models.ForeignKey(Provider, on_delete=models.CASCADE, related_name="deployments")
    name = models.CharField(
        "model name",
        max_length=128,
        validators=[printable],
        help_text="By which callers ask for it. Several providers may share a name.",
    )
    upstream_name = models.CharField(
        "name at the provider",
        max_length=200,
        blank=True,
        validators=[printable],
        help_text="Only where the provider calls it something else.",
    )
    type = models.CharField(max_length=12, choices=Type.choices, default=Type.CHAT)
    context_window = models.PositiveIntegerField(
        null=True, blank=True, help_text="Tokens of prompt and answer together."
    )
    max_output_tokens = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)], help_text="Tokens of the longest answer it gives."
    )
    capabilities = models.JSONField(
        default=list, blank=True, help_text='For example ["tools", "vision", "json_schema", "reasoning"].'
    )
    defaults = models.JSONField(
        default=dict,
        blank=True,
        validators=[json_object],
        help_text='Used where a call says nothing, for example {"temperature": 0.7}.',
    )
    max_concurrent = models.PositiveIntegerField(
        "calls at once",
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="More wait for their turn, or go to another model that can take them. Empty: no limit.",
    )
    is_active = models.BooleanField("active", default=True)
    is_main = models.BooleanField("main model", default=False, db_default=False, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering: ClassVar = ["name"]
        verbose_name = "model"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["provider", "name"],
                name="deployment_name_once_a_provider",
                violation_error_message="This provider has a model of that name already.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.provider.slug}/{self.name}"

    @property
    def model_at_provider(self) -> str:
        return self.upstream_name or self.name

    def price_at(self, moment: datetime) -> Price | None:
        """The price row in force at `moment`."""
        return self.prices.filter(valid_from__lte=moment).order_by("-valid_from").first()


class Health(models.Model):
    """What the last probe of a provider found."""

    class Status(models.TextChoices):
        HEALTHY = "healthy", "Healthy"
        UNHEALTHY = "unhealthy", "Not answering as it should"

    provider = models.OneToOneField(Provider, on_delete=models.CASCADE, primary_key=True, related_name="health")
    status = models.CharField(max_length=12, choices=Status.choices)
    detail = models.CharField(max_length=300, blank=True)
    latency_ms = models.FloatField(null=True)
    checked_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "health"

    def __str__(self) -> str:
        return f"{self.provider}: {self.get_status_display()}"
