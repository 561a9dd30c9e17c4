"""A record is for ever: the database itself refuses to change or delete one."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction

from tests.usage.rows import NOW, hold, record
from usage import immutability, ledger, partitions
from usage.ledger import Note
from usage.models import UsageRecord

pytestmark = pytest.mark.django_db


@pytest.fixture
def row() -> UsageRecord:
    ledger.apply([Note(record(hold()))])
    return UsageRecord.objects.get()


def refused(sql: str) -> bool:
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql)
    return True


def test_an_update_is_refused(row: UsageRecord) -> None:
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        UsageRecord.objects.update(cost_pico=0)
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        row.save()
    assert UsageRecord.objects.get().cost_pico == 25


def test_a_deletion_is_refused(row: UsageRecord) -> None:
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        row.delete()
    assert refused("DELETE FROM usage_usagerecord")
    assert UsageRecord.objects.count() == 1


@pytest.mark.only_on("sqlite")
def test_a_replacement_is_refused_on_sqlite(row: UsageRecord) -> None:
    columns = ", ".join(str(field.column) for field in UsageRecord._meta.concrete_fields)
    assert refused(f"REPLACE INTO usage_usagerecord ({columns}) SELECT {columns} FROM usage_usagerecord")


@pytest.mark.only_on("postgresql")
def test_emptying_the_table_is_refused_on_postgresql_also_month_by_month(row: UsageRecord) -> None:
    with connection.cursor() as cursor:
        tables = ["usage_usagerecord", *immutability.partition_names(cursor)]
    assert len(tables) > 2
    assert all(refused(f"TRUNCATE {table}") for table in tables)


@pytest.mark.only_on("postgresql")
def test_a_new_month_is_guarded_too() -> None:
    ahead = partitions.month_of(NOW, 30)
    made = partitions.make_months(now=ahead)
    immutability.install()
    ledger.apply([Note(record(hold(started_at=ahead)))])
    assert f"usage_usagerecord_{ahead:%Y_%m}" in made
    assert refused("DELETE FROM usage_usagerecord")
    assert all(refused(f"TRUNCATE {name}") for name in made)


def test_retention_may_delete_and_only_while_it_says_so(row: UsageRecord) -> None:
    with immutability.ledger_purge(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM usage_usagerecord")
    assert not UsageRecord.objects.exists()
    ledger.apply([Note(record(hold()))])
    assert refused("DELETE FROM usage_usagerecord")


def test_a_purge_may_delete_and_never_update(row: UsageRecord) -> None:
    with immutability.ledger_purge():
        assert refused("UPDATE usage_usagerecord SET cost_pico = 0")


def test_installing_again_changes_nothing(row: UsageRecord) -> None:
    immutability.install()
    immutability.install()
    assert refused("DELETE FROM usage_usagerecord")
