"""Which test files one worker plays after another, and which begin first.

A worker starts an installation when a test first asks for it, and keeps it: files that ask for the same one cost least
in one worker. What takes longest begins first, so that no worker plays alone at the end.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from xdist.scheduler import LoadScopeScheduling

_HOUSE = "the journeys of `house`"
_GATEWAY = "the clients of `gateway`"
_TOPOLOGY = "what is played on both of a session's products"
_FAMILY_OF = {
    **{folder: folder for folder in ("tests/browser", "tests/faults", "tests/specs")},
    **{
        f"tests/journeys/test_{name}.py": _HOUSE
        for name in (
            *("access", "allowed_models", "circuits", "contract", "counting_tokens", "disconnects", "embeddings"),
            *("failover", "leaving_early", "provider_faults", "refusals", "secrets", "session_door", "spec_d"),
            *("specifications", "strategies", "websocket"),
        )
    },
    **{
        f"tests/journeys/test_{name}.py": _TOPOLOGY
        for name in ("books", "cache", "configuration", "idempotency", "named_items", "prices", "signing_in")
    },
    "tests/clients/test_strange_words.py": _TOPOLOGY,
    "tests/gateway/test_limits_doors.py": _TOPOLOGY,
    **{
        f"tests/clients/test_{name}_client.py": _GATEWAY
        for name in ("anthropic", "gemini", "ollama", "openai", "openai_responses")
    },
    "tests/clients/test_foreign_clients.py": _GATEWAY,
}
_LONGEST = (
    "tests/test_on_postgresql.py",  # it goes on beside the others
    _HOUSE,
    "tests/faults",
    _GATEWAY,
    _TOPOLOGY,
    "tests/browser",
    "tests/clients/test_llmock.py",
    "tests/journeys/test_tracing.py",
    "tests/api/test_schemathesis.py",
    "tests/aiplatform/test_serve.py",
    "tests/alerts/test_journey.py",
    "tests/deploy/test_compose.py",
    "tests/usage/test_ledger_machine.py",
)


def family_of(file: str) -> str:
    """Of a test file, by its path from the root: its own name where it shares nothing."""
    folder = str(PurePosixPath(file).parent)
    return _FAMILY_OF.get(file) or _FAMILY_OF.get(folder) or file


def rank(file: str) -> int:
    """Lower begins earlier."""
    family = family_of(file)
    return _LONGEST.index(family) if family in _LONGEST else len(_LONGEST)


class Families(LoadScopeScheduling):  # type: ignore[misc]  # xdist publishes no types
    """Hands the workers a family at a time, in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        return family_of(nodeid.partition("::")[0])
