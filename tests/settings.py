"""The product's settings in a test run: a folder of its own, and none of the developer's secrets."""

from __future__ import annotations

import os
import tempfile

from tests.environment import CLEARED, memory

_STATE = tempfile.TemporaryDirectory(prefix="aip-tests-", dir=memory())

# The second run of the same tests (tests/test_on_postgresql.py) names its database here.
os.environ |= CLEARED | {"STATE_DIR": _STATE.name, "DATABASE_URL": os.environ.get("TEST_DATABASE_URL", "")}

from aiplatform.settings import *  # noqa: E402, F403  # the environment comes first
from aiplatform.settings import DATABASES, STATE_DIR  # noqa: E402  # so that they are known below

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # A file, as in the product: threads that share an in-memory database lock each other out at once.
    DATABASES["default"]["TEST"] = {"NAME": str(STATE_DIR / "tests.sqlite3")}
