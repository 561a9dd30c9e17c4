"""The benchmark itself, on some of its scenarios: it runs to its end, and the books are exact.

Figures would prove nothing here, so none is looked at.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.measure import ROOT


@pytest.mark.timeout(300)
def test_it_runs_and_its_books_are_exact() -> None:
    kinds = ("cache", "failover-500", "failover-refused", "to-anthropic", "embeddings", "drf", "long-slow-reader")
    chosen = [word for kind in kinds for word in ("--only", kind)]

    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.run", "--quick", *chosen],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "exact." in done.stdout
