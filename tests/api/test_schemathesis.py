"""Whatever the schema allows, and much that it does not, ends in an answer: never in a fault of ours."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import environment
from tests.conftest import NewProduct
from tests.product import Product

_BUDGET_S = 15
_MANAGEMENT = r"^/api/(accounts|ai-providers|alerts|usage)/(?!complete$)"


# Apart, because the providers that the first run makes are at no address where anybody answers.
@pytest.mark.parametrize("part", [("--include-path-regex", _MANAGEMENT), ("--exclude-path-regex", _MANAGEMENT)])
def test_nothing_that_is_sent_breaks_it(new_product: NewProduct, tmp_path: Path, part: tuple[str, str]) -> None:
    """Every operation with a manage key: examples, the edges of each field, then what comes to mind."""
    with new_product() as product:
        schema = tmp_path / "schema.json"
        accept = {"Accept": "application/vnd.oai.openapi+json"}
        schema.write_bytes(product.request("GET", "/api/schema/", key=product.manage_key, headers=accept).content)

        done = subprocess.run(
            [
                *(sys.executable, "-m", "schemathesis.cli", "run", str(schema), "--url", product.base_url),
                *("--header", f"Authorization: Bearer {product.manage_key}"),
                *("--checks", "not_a_server_error", "--phases", "examples,coverage,fuzzing"),
                *("--max-examples", "10", "--max-time", str(_BUDGET_S), "--continue-on-failure", *part),
                *("--generation-database", "none", "--suppress-health-check", "all"),
                *("--warnings", "off", "--no-color", "--generation-with-security-parameters", "false"),
            ],
            cwd=tmp_path,
            env=environment.bare(),
            capture_output=True,
            text=True,
            check=False,
        )

    counted = re.search(r"(\d+) generated", done.stdout)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    assert counted, done.stdout
    assert int(counted[1]) > 0


@pytest.mark.parametrize("day", ["0671-01-02", "1969-12-31", "9999-12-31"])
@pytest.mark.parametrize("path", ["/v1/llm/usage", "/v1/llm/embedding-usage", "/api/v1/analytics/costs"])
def test_days_that_no_book_has_are_refused(product: Product, path: str, day: str) -> None:
    answer = product.request("GET", f"{path}?end_date={day}", key=product.key)

    assert (answer.status, answer.json()["context"]["field"]) == (400, "end_date")


def test_nothing_to_embed_is_the_callers_mistake(product: Product) -> None:
    answer = product.request("POST", "/v1/embeddings", body={"model": "demo-embedding", "input": []}, key=product.key)

    assert answer.status == 400
