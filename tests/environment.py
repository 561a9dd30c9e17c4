"""What of the developer's own environment reaches a test: nothing that configures the product."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_MEMORY, _ROOM_BYTES = Path("/dev/shm"), 10**9
_PASSED_ON = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR")
# Empty counts as unset, and keeps a `.env` in the checkout from being read.
CLEARED = dict.fromkeys(
    (
        *("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "DEEPSEEK_API_KEY", "GOOGLE_AI_API_KEY", "OPENAI_ORGANIZATION"),
        *(
            "DATABASE_URL",
            "REDIS_URL",
            "REDIS_ADDR",
            "QDRANT_URL",
            "QDRANT_HOST",
            "ALLOWED_HOSTS",
            "EMAIL_URL",
            "EMAIL_FROM",
        ),
        *("DJANGO_ENV", "SECRET_KEY", "ENCRYPTION_KEYS", "AI_ENCRYPTION_KEY", "CSRF_TRUSTED_ORIGINS", "MAX_BODY_BYTES"),
        "PUBLIC_URL",
        *("HOST", "PORT", "AI_SERVICE_PORT", "AI_PROVIDER_PORT", "WEB_WORKERS", "GRPC_PORT", "METRICS_PORT"),
        *("CIRCUIT_BREAKER_MAX_REQUESTS", "CIRCUIT_BREAKER_TIMEOUT", "AI_ENCRYPTION_IV", "AI_MODEL_SERVICE_ADDR"),
        *("EGRESS_ALLOWED_NETWORKS", "EGRESS_ALLOWED_PORTS"),
        *("TIME_ZONE", "RETENTION_MONTHS", "LOG_LEVEL", "LOG_FORMAT", "CACHE_TTL"),
        *(
            "ANONYMOUS_CLIENT",
            "JWT_SECRET",
            "JWT_JWKS_URL",
            "JWT_AUDIENCE",
            "JWT_ISSUER",
            "JWT_ALGORITHM",
            "GRPC_TLS_CERTIFICATE",
            "GRPC_TLS_KEY",
        ),
        *("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_SERVICE_NAME"),
        *("OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"),
        *("LANGFUSE_HOST", "LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY"),
    ),
    "",
)


def bare() -> dict[str, str]:
    """The environment that a product process starts from."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    quiet = {"GRPC_PORT": "0", "METRICS_PORT": "0"}  # several products run at once
    return passed | CLEARED | quiet | {"DJANGO_SETTINGS_MODULE": "aiplatform.settings", "PYTHONUNBUFFERED": "1"}


def manage(*words: str, **env: str) -> str:
    """What `manage.py` prints in an environment that is bare but for `env`."""
    done = subprocess.run(
        [sys.executable, "manage.py", *words],
        env=bare() | env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def memory() -> str | None:
    """A folder in memory for what waits for a disk; None where there is no room: then where temporary files go.

    What lies there outlives processes that are killed.
    """
    fits = os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM_BYTES  # containers often have 64 MB
    return str(_MEMORY) if fits else None
