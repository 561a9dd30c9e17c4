"""What the ledger asks of its database."""

from __future__ import annotations

import pytest
from django.db import connection

from usage import sql

pytestmark = pytest.mark.django_db


def test_a_database_that_forgets_commits_is_refused() -> None:
    sql.require_durable_commits()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit = off")
        with pytest.raises(sql.NotDurableError, match="synchronous_commit is off"):
            sql.require_durable_commits()
