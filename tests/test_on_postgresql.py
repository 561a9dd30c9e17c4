"""The in-process tests once more, on PostgreSQL, in a pytest of their own."""

from __future__ import annotations

import pytest

from tests.conftest import ON_POSTGRESQL
from tests.on_postgresql import SecondRun


@pytest.mark.skipif(ON_POSTGRESQL, reason="this is that run")
@pytest.mark.timeout(900)
def test_the_database_tests_pass_on_postgresql_too() -> None:
    run = SecondRun()
    try:
        code, printed = run.result()
    finally:
        run.stop()

    assert code == 0, printed
