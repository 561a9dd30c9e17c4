"""`manage.py rotatekeys`: everything under the first key of the ring, and nothing else changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from uuid import UUID

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from pytest_django import Settings

from accounts.models import AuditEntry
from aiplatform import rotation
from aiplatform.rotation import Column
from alerts.models import Channel
from core import vault
from core.vault import Secret
from providers.models import Credential, Provider
from usage.models import IdempotencyKey

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def _rotate() -> str:
    out = StringIO()
    call_command("rotatekeys", stdout=out)
    return out.getvalue()


def _columns_but(model: Any, name: str) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != name} for row in model.objects.order_by("pk").values()]


@pytest.fixture
def stored() -> None:
    provider = Provider.objects.create(name="Own", slug="own", kind="demo")
    for number in range(rotation.BATCH_ROWS + 1):
        key = Credential(provider=provider, label=str(number))
        key.take(Secret(f"sk-{number}"))
        key.save()
    with_secret, without = Channel(name="Hook", kind="webhook"), Channel(name="Mail", kind="email")
    with_secret.take(Secret("signed"))
    with_secret.save()
    without.save()
    for number, answer in enumerate((vault.ring().encrypt(b"an answer"), None)):
        IdempotencyKey.objects.create(
            id=UUID(int=number),
            client="alice",
            key=str(number),
            hold_id=UUID(int=number),
            answer=answer,
            created_at=NOW,
            expires_at=NOW + timedelta(days=1),
        )


@pytest.fixture
def turned(stored: None, settings: Settings) -> str:
    """The new first key."""
    new = Fernet.generate_key().decode()
    settings.ENCRYPTION_KEYS = [new, *settings.ENCRYPTION_KEYS]
    return new


def test_afterwards_the_first_key_alone_reads_everything(turned: str, settings: Settings) -> None:
    before = [_columns_but(*each) for each in ((Credential, "secret"), (Channel, "secret"), (IdempotencyKey, "answer"))]

    said = _rotate()

    assert f"{rotation.BATCH_ROWS + 1} encrypted again" in said
    settings.ENCRYPTION_KEYS = [turned]
    assert {key.reveal().reveal() for key in Credential.objects.all()} == {
        f"sk-{number}" for number in range(rotation.BATCH_ROWS + 1)
    }
    assert [channel.reveal().reveal() for channel in Channel.objects.order_by("name")] == ["signed", ""]
    answers = [row.answer for row in IdempotencyKey.objects.order_by("pk")]
    assert answers[0] is not None
    assert answers[1] is None
    assert vault.ring().decrypt(bytes(answers[0])) == b"an answer"
    after = [_columns_but(*each) for each in ((Credential, "secret"), (Channel, "secret"), (IdempotencyKey, "answer"))]
    assert after == before


def test_the_audit_trail_has_one_entry_that_counts_and_tells_no_secret(turned: str) -> None:
    _rotate()
    _rotate()  # which changes nothing

    (entry,) = AuditEntry.objects.all()
    secrets = rotation.BATCH_ROWS + 1 + 1 + 1
    assert (entry.actor, str(entry)) == ("command: rotatekeys", "Changed encryption stored secrets")
    assert entry.changes == [{"field": "encrypted again", "before": None, "after": secrets}]


def test_a_second_run_writes_nothing(turned: str) -> None:
    _rotate()
    before = list(Credential.objects.order_by("pk").values())

    said = _rotate()

    assert "key: secret: 0 encrypted again" in said
    assert list(Credential.objects.order_by("pk").values()) == before


def test_what_somebody_writes_meanwhile_is_kept(turned: str) -> None:
    key = Credential.objects.first()
    assert key is not None
    read_before = key.secret
    key.take(Secret("sk-newer"))
    key.save()

    assert rotation._renew(Column(Credential, "secret"), key.pk, read_before) == "current"

    key.refresh_from_db()
    assert key.reveal() == Secret("sk-newer")


def test_what_no_key_reads_is_left_and_said(stored: None, settings: Settings) -> None:
    before = list(Credential.objects.order_by("pk").values())
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]

    with pytest.raises(CommandError, match="missing from ENCRYPTION_KEYS"):
        _rotate()

    assert list(Credential.objects.order_by("pk").values()) == before
