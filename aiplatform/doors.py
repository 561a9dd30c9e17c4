"""The data plane's route table: which door answers at which path. Django's own is `aiplatform.urls`."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ValidationError

from gateway.asgi import Door
from gateway.authentication import carries_key
from gateway.doors import (
    anthropic,
    gemini,
    health,
    nowhere,
    ollama,
    openai,
    spec_a,
    spec_b,
    spec_c,
    spec_d,
    spec_e,
    websocket,
)
from gateway.doors.models import as_asked
from gateway.http import Scope
from vectors import doors as vectors

_DOORS = (openai, anthropic, gemini, ollama, spec_a, spec_b, spec_c, spec_d, spec_e, vectors)
ROUTES = {route: door for doors in _DOORS for route, door in doors.ROUTES.items()}
# Tried in this order; a prefix without a method is for all of them.
PREFIXES = [
    *openai.PREFIXES.items(),
    *anthropic.PREFIXES.items(),
    *gemini.PREFIXES.items(),
    *spec_b.PREFIXES.items(),
    *vectors.PREFIXES.items(),
    *((("", prefix), Door("nowhere", dialect, nowhere.refuse)) for prefix, dialect in nowhere.DIALECTS.items()),
]

# Whose calls are counted (`gateway.admission`), by their names on usage rows.
LIMITED = (
    *("anthropic.messages", "gemini.embeddings", "gemini.generate", "ollama.chat", "ollama.embed", "ollama.generate"),
    *("openai.chat", "openai.completions", "openai.embeddings", "openai.responses", "spec_a.generate"),
    *("spec_b.completion", "spec_c.complete", "spec_c.grpc", "spec_d", "spec_e.embeddings", "spec_e.generate"),
    *("spec_e.vector", "websocket"),
)


def require_endpoint(name: str) -> None:
    """Raises `ValidationError` where a tier's limit for `name` would never hold (`accounts.models.EndpointLimit`)."""
    path = name.rstrip("/")
    at_path = (door for (_, route), door in ROUTES.items() if route == path)
    below = (door for (_, start), door in PREFIXES if path.startswith(start) and path != start)
    if name in LIMITED or path == websocket.PATH or any(door.surface in LIMITED for door in (*at_path, *below)):
        return
    raise ValidationError(f"Nothing is counted by this name. Give a call's path, or one of: {', '.join(LIMITED)}.")


def door_of(scope: Scope) -> Door | None:
    """The data-plane door of a request, by one look-up in most cases; None: it is for others."""
    method, path = scope["method"], scope["path"]
    if method == "HEAD":  # the server leaves the answer's body out
        method = "GET"
    if path in health.PATHS:
        # Open to all, in a word; who brings a key is told more.
        return spec_b.HEALTH if path in spec_b.HEALTH_PATHS and carries_key(scope) else None
    door = ROUTES.get((method, path))
    if door is None:
        found = (each for (verb, start), each in PREFIXES if verb in (method, "") and path.startswith(start))
        door = next(found, None)
        return None if door is None else as_asked(door, scope)
    if (method, path) in spec_d.PATHS and not carries_key(scope) and not _is_anonymous(scope):
        return None  # a browser session's, or nobody's
    return as_asked(door, scope)


def _is_anonymous(scope: Scope) -> bool:
    """Whether a call without a key counts as the anonymous client's; in an administrator's session it does not."""
    session = f"{settings.SESSION_COOKIE_NAME}=".encode()
    return bool(settings.ANONYMOUS_CLIENT) and not any(
        name == b"cookie" and session in value for name, value in scope["headers"]
    )


def is_for_sessions(scope: Scope) -> bool:
    """Whether what `door_of` knows no door for is for the DRF action (`gateway.session_door`)."""
    return (scope["method"], scope["path"]) in spec_d.PATHS
