"""Where the vectors are kept, as the environment says it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import environment


@pytest.mark.parametrize(
    ("env", "url"),
    [
        ({}, ""),
        ({"QDRANT_URL": "https://vectors.example.com"}, "https://vectors.example.com"),
        ({"QDRANT_URL": "vectors:6333"}, "http://vectors:6333"),
        ({"QDRANT_HOST": "vectors"}, "http://vectors:6333"),
        ({"QDRANT_HOST": "vectors", "QDRANT_PORT": "7000"}, "http://vectors:7000"),
        ({"QDRANT_URL": "http://one:1", "QDRANT_HOST": "two"}, "http://one:1"),
    ],
)
def test_names_of_the_server(tmp_path: Path, env: dict[str, str], url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "from aiplatform import settings; print(settings.QDRANT_URL, settings.QDRANT_API_KEY)"],
        env={**environment.bare(), "STATE_DIR": str(tmp_path), "QDRANT_API_KEY": "canary-key", **env},
        cwd=environment.ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip(os.linesep) == f"{url} ••••"
