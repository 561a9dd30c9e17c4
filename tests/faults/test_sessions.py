"""A browser's session while its database is killed, back, and frozen."""

from __future__ import annotations

import time

import pytest

from gateway.database_thread import PATIENCE_S
from tests.faults.conftest import MortalPostgres, NewInstallation
from tests.journeys.admin_session import AdminSession
from tests.journeys.dialects import SPEC_D
from tests.product import Answer, Product
from tests.upstream import Upstream


def ask(product: Product, session: AdminSession) -> Answer:
    headers = {"X-CSRFToken": session.csrf_token, **session.cookie}
    return product.request("POST", SPEC_D.path, body=SPEC_D.body("up-chat", "Hello"), headers=headers)


def test_while_it_is_away_nobody_is_let_in_and_once_it_is_back_everybody_is(
    new_installation: NewInstallation, postgres: MortalPostgres, upstream: Upstream
) -> None:
    with new_installation(workers=1) as product:
        session = AdminSession(product)
        assert [ask(product, session).status for _ in range(3)] == [200] * 3

        postgres.kill()
        away = ask(product, session)
        postgres.start()
        back = [ask(product, session).status for _ in range(3)]
        postgres.kill()
        postgres.start()  # unnoticed: the connection that was kept is broken

        assert (away.status, away.json()["error_code"]) == (503, "LEDGER_UNAVAILABLE")
        assert away.headers["retry-after"] == "5"
        assert back == [200] * 3
        assert ask(product, session).status == 200
        assert len(upstream.bill) == 7


@pytest.mark.faults
def test_while_it_is_frozen_nobody_waits_for_ever(
    new_installation: NewInstallation, postgres: MortalPostgres, upstream: Upstream
) -> None:
    with new_installation(workers=1) as product:
        session = AdminSession(product)
        assert ask(product, session).status == 200
        asked = len(upstream.bill)

        postgres.freeze()
        began = time.monotonic()
        frozen = ask(product, session)
        waited_s = time.monotonic() - began
        postgres.thaw()

        assert frozen.status == 503
        assert waited_s < PATIENCE_S + 5
        assert len(upstream.bill) == asked
        assert ask(product, session).status == 200
