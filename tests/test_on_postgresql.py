"""The in-process tests once more, on PostgreSQL, in a pytest of their own that runs beside this one (`conftest.py`)."""

from __future__ import annotations

import pytest

from tests.conftest import ON_POSTGRESQL, SECOND_RUN


@pytest.mark.skipif(ON_POSTGRESQL, reason="this is that run")
@pytest.mark.timeout(600)
def test_the_database_tests_pass_on_postgresql_too(pytestconfig: pytest.Config) -> None:
    code, printed = pytestconfig.stash[SECOND_RUN].result()

    assert code == 0, printed
