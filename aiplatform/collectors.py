"""Where traces go, by the environment: OpenTelemetry's own variables, and Langfuse's."""

from __future__ import annotations

import math
from base64 import b64encode
from urllib.parse import unquote

from aiplatform import env
from core.vault import Secret
from gateway.tracing.collectors import SAMPLERS, Collector, Sampling, Tracing, sampling

_PATH = "/v1/traces"
_LANGFUSE_PATH = "/api/public/otel"
_FORM = "an address such as http://localhost:4318"


def tracing() -> Tracing | None:
    """None where traces are off: nothing of them is then imported."""
    found = tuple(collector for collector in (_otlp(), _langfuse()) if collector is not None)
    if not found:
        return None
    return Tracing(service=env.text("OTEL_SERVICE_NAME", "ai-platform"), sampling=_sampling(), collectors=found)


def _otlp() -> Collector | None:
    url = env.text("OTEL_EXPORTER_OTLP_ENDPOINT").rstrip("/")
    if not url:
        return None
    env.address("OTEL_EXPORTER_OTLP_ENDPOINT", url, env.WEB_SCHEMES, _FORM)
    return Collector(name="otlp", url=url + _PATH, headers=_headers(env.text("OTEL_EXPORTER_OTLP_HEADERS")))


def _headers(text: str) -> dict[str, Secret]:
    """`name=value,name=value`, values percent-encoded (the W3C's form of baggage)."""
    pairs = [part.partition("=") for part in text.split(",") if part.strip()]
    if any(not name.strip() or not separator for name, separator, _ in pairs):  # not repeated: it may be a key
        raise SystemExit("OTEL_EXPORTER_OTLP_HEADERS must be name=value pairs, separated by commas.")
    return {unquote(name.strip()): Secret(unquote(value.strip())) for name, _, value in pairs}


def _langfuse() -> Collector | None:
    host, public = env.text("LANGFUSE_HOST").rstrip("/"), env.text("LANGFUSE_PUBLIC_KEY")
    secret = env.text("LANGFUSE_SECRET_KEY")
    if not host and not public and not secret:
        return None
    if not (host and public and secret):
        raise SystemExit("Langfuse needs LANGFUSE_HOST, LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY.")
    env.address("LANGFUSE_HOST", host, env.WEB_SCHEMES, _FORM)
    credentials = b64encode(f"{public}:{secret}".encode()).decode()
    return Collector(
        name="langfuse",
        url=host + _LANGFUSE_PATH + _PATH,
        headers={"Authorization": Secret(f"Basic {credentials}")},
        is_langfuse=True,
    )


def _sampling() -> Sampling:
    name = env.choice("OTEL_TRACES_SAMPLER", "parentbased_always_on", SAMPLERS)
    given = env.text("OTEL_TRACES_SAMPLER_ARG", "1")
    try:
        share = float(given)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise SystemExit(f"OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1, not {given!r}.")
    return sampling(name, share)
