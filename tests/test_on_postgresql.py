"""The in-process tests once more, on PostgreSQL, in a pytest of their own."""

from __future__ import annotations

import pytest

from tests.conftest import ON_POSTGRESQL, file_of, uses_database
from tests.on_postgresql import LEFT_OUT, SecondRun


@pytest.mark.skipif(ON_POSTGRESQL, reason="this is that run")
@pytest.mark.timeout(2_400)
def test_the_database_tests_pass_on_postgresql_too() -> None:
    run = SecondRun()
    try:
        code, printed = run.result()
    finally:
        run.stop()

    assert code == 0, printed


def test_nothing_that_uses_the_database_is_left_out_there(request: pytest.FixtureRequest) -> None:
    """Of the tests of this run. The browser's are: `LEFT_OUT` says why."""
    asking = {file_of(item) for item in request.session.items if uses_database(item)}

    assert {file for file in asking if file.split("/")[1] in set(LEFT_OUT) - {"browser"}} == set()
