"""The ring of encryption keys is turned while calls go on."""

from __future__ import annotations

import asyncio

import pytest
from cryptography.fernet import Fernet, InvalidToken

from tests.conftest import NewProduct
from tests.faults import load
from tests.faults.load import Callers, Told
from tests.upstream import Upstream

WORKERS, CALLERS = 2, 8
_TABLES = {
    "providers_credential": "secret",
    "alerts_channel": "secret",
    "usage_idempotencykey": "answer",
}
_CONFIGURATION = ("providers_provider", "providers_deployment", "accounts_apikey", "accounts_client")


@pytest.mark.faults
def test_31_the_ring_is_turned_under_load(new_production: NewProduct, upstream: Upstream) -> None:
    with new_production(workers=WORKERS) as product:
        new, old = Fernet.generate_key().decode(), product.env["ENCRYPTION_KEYS"]
        product.env["ENCRYPTION_KEYS"] = f"{new},{old}"
        product.restart()
        credentials = product.sql("SELECT * FROM providers_credential ORDER BY id")
        configuration = {table: product.sql(f"SELECT * FROM {table} ORDER BY id") for table in _CONFIGURATION}
        assert not any(_opens(new, row["secret"]) for row in credentials)

        async def story(callers: Callers) -> list[Told]:
            done = asyncio.Event()

            async def keep_calling() -> list[Told]:
                told = []
                while not done.is_set():
                    told.append(await callers.call())
                return told

            calling = [asyncio.create_task(keep_calling()) for _ in range(CALLERS)]
            for _ in range(2):
                await asyncio.to_thread(product.manage, "rotatekeys")
            await asyncio.sleep(1)  # the workers have read the new rows by then
            done.set()
            return [told for each in await asyncio.gather(*calling) for told in each]

        told = load.run(product, story)
        load.say(f"row 31: {len(told)} calls while the ring was turned twice: {load.statuses(told)}")
        assert {each.status for each in told} == {200}
        for table, column in _TABLES.items():
            for row in product.sql(f"SELECT {column} FROM {table} WHERE {column} IS NOT NULL"):
                assert not row[column] or _opens(new, row[column])
        assert [_but_secret(row) for row in product.sql("SELECT * FROM providers_credential ORDER BY id")] == [
            _but_secret(row) for row in credentials
        ]
        for table, rows in configuration.items():
            assert [_but_use(row) for row in product.sql(f"SELECT * FROM {table} ORDER BY id")] == [
                _but_use(row) for row in rows
            ]

        product.env["ENCRYPTION_KEYS"] = new
        product.restart()
        assert product.chat(model="up-chat").status == 200
        assert '"ok": true' in product.manage("verifyledger", "--json")


def _opens(key: str, token: str | bytes | memoryview) -> bool:
    try:
        Fernet(key).decrypt(token if isinstance(token, str) else bytes(token))
    except InvalidToken:
        return False
    return True


def _but_secret(row: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in row.items() if name != "secret"}


def _but_use(row: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in row.items() if name != "last_used_at"}
