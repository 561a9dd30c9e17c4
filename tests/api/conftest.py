"""In-process callers of the management API, and books to read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from rest_framework.test import APIClient

from accounts.models import ApiKey, Client
from core.ids import uuid7_at
from tests.usage.rows import book
from usage.models import UsageRecord

NewRecord = Callable[..., UsageRecord]

# Specification D's own example.
GPT4: dict[str, Any] = {
    "name": "OpenAI GPT-4",
    "type": "OPENAI",
    "apiKey": "sk-test-1234567890abcdef",
    "model": "gpt-4",
    "maxTokens": 2000,
    "temperature": 0.7,
    "pricing": {"inputTokenCost": 0.03, "outputTokenCost": 0.06, "currency": "USD"},
    "priority": 10,
    "isActive": True,
}


@pytest.fixture
def nobody() -> APIClient:
    return APIClient()


def _with_key(scope: str) -> APIClient:
    client, _ = Client.objects.get_or_create(name="operations")
    _, secret = ApiKey.mint(client=client, scope=scope)
    return APIClient(headers={"Authorization": f"Bearer {secret}"})


@pytest.fixture
def caller(db: None) -> APIClient:
    """Has a key that may call models, and nothing else."""
    return _with_key(ApiKey.Scope.CALL)


@pytest.fixture
def api(db: None) -> APIClient:
    """Has a key of scope manage."""
    return _with_key(ApiKey.Scope.MANAGE)


@pytest.fixture
def admin(db: None) -> User:
    return User.objects.create_superuser("admin", password="correct horse battery")


@pytest.fixture
def gpt4(api: APIClient) -> dict[str, Any]:
    """Specification D's provider, made."""
    answer = api.post("/api/ai-providers", GPT4, format="json")
    assert answer.status_code == 201, answer.content
    made: dict[str, Any] = answer.json()
    return made


@pytest.fixture
def new_record(db: None) -> NewRecord:
    """One more row in the books: an answered call of Alice's, unless told otherwise."""

    def write(started_at: datetime, **facts: Any) -> UsageRecord:
        usual: dict[str, Any] = {
            "id": uuid7_at(int(started_at.timestamp() * 1000)),
            "started_at": started_at,
            "ended_at": started_at + timedelta(seconds=1),
            "request_id": "r",
            "client": "alice",
            "client_id": UUID(int=1),
            "provider": "openai",
            "provider_id": UUID(int=2),
            "deployment": "openai/gpt-4",
            "surface": "openai",
            "status": UsageRecord.Status.OK,
            "evidence": UsageRecord.Evidence.REPORTED,
            "input_tokens": 10,
            "output_tokens": 5,
            "cost_pico": 1_234_567,
            "latency_ms": 200.0,
        }
        row = UsageRecord(**(usual | facts))
        book(row)
        return row

    return write


@pytest.fixture
def noon() -> datetime:
    return datetime(2026, 3, 10, 12, tzinfo=UTC)
