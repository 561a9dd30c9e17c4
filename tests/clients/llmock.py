"""`llmock`, another house's idea of the providers: a server from an environment of its own, its faults and journal."""

from __future__ import annotations

import http.client
import itertools
import json
import sys
from pathlib import Path
from typing import Any

from tests.servers import Server
from tests.upstream import Dispatch, Fault

Json = dict[str, Any]
_COMMAND = Path(sys.prefix) / "clients" / "llmock" / "bin" / "llmock"  # made by deploy/test-clients.sh
_TIMEOUT_S = 60
_DIRECT = "asked_directly"  # a member of the body by which its journal knows our own questions: nobody reads it
_INPUT = ("prompt_tokens", "input_tokens", "promptTokenCount")
_OUTPUT = ("completion_tokens", "output_tokens", "candidatesTokenCount")


class Llmock(Server):
    """Shapes lie under paths of their own, OpenAI's at `/v1`, Anthropic's at `/anthropic`; it says what it heard."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._bill: list[Dispatch] = []
        self._numbers = itertools.count(1)

    def command(self) -> list[str]:
        assert _COMMAND.exists(), "llmock's environment is missing: make test makes it"
        options = ["--response-style", "echo", "--stream-chunk-delay-ms", "15", "--log-level", "warning"]
        return [str(_COMMAND), "serve", "--port", str(self.port), *options]

    def answers(self) -> bool:
        try:
            return bool(self._call("GET", "/health")["status"] == "ok")
        except OSError:
            return False

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def script(self, behaviour: Json, *, match: Json, times: int | None = 1) -> None:
        """What the next `times` calls that match are met with (None: all), in the words of its README."""
        behaviour = {"times": times, "match": match, **behaviour}
        self._call("POST", "/_llmock/scenario", {"behaviors": [behaviour]})

    def forget_scripts(self) -> None:
        self._call("DELETE", "/_llmock/scenario")

    def dispatches(self, model: str) -> list[Json]:
        """What its journal holds of a model's calls since the bill was last asked for, in their order."""
        return [each for each in self._journal() if each["model"] == model]

    def faults_found(self) -> set[str]:
        """What it thinks its callers did wrong in the same time, as `retry_after_ignored` and `retry_storm`."""
        findings = self._call("GET", "/_llmock/verdict")["findings"]
        return {each["code"] for each in findings if each["severity"] == "error"}

    def bill(self) -> list[Dispatch]:
        """A line for every call so far. Empties the journal, so it is asked for when nothing is under way."""
        self._bill += [self._line(each) for each in self._journal()]
        self._call("POST", "/_llmock/reset")
        return self._bill

    def said(self, path: str, body: Json) -> Json:
        """What it answers whoever asks it directly, in one piece. The same call has the same answer."""
        asked = {name: value for name, value in body.items() if not name.startswith("stream")}
        whole: Json = self._call(
            "POST", path.replace(":streamGenerateContent", ":generateContent"), asked | {_DIRECT: True}
        )
        return whole

    def _journal(self) -> list[Json]:
        """It waits two seconds for calls that are still under way."""
        found: list[Json] = self._call("GET", "/_llmock/requests")["requests"]
        return sorted((each for each in found if _DIRECT not in each["body"]), key=lambda each: int(each["seq"]))

    def _line(self, entry: Json) -> Dispatch:
        """Its journal doesn't tell the tokens: a call that it answered is asked again, directly."""
        line = Dispatch(
            number=next(self._numbers),
            path=entry["path"],
            model=entry["model"],
            stream=entry["stream"],
            body=entry["body"],
            headers={},
            fault=Fault(),
            status=entry["status"],
        )
        if line.status == 200:
            line.input_tokens, line.output_tokens = tokens(self.said(line.path, line.body))
        return line

    def _call(self, method: str, path: str, body: Json | None = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_TIMEOUT_S)
        try:
            connection.request(
                method, path, json.dumps(body) if body is not None else None, {"Content-Type": "application/json"}
            )
            answer = connection.getresponse()
            content = answer.read()
            assert answer.status < 300, f"{method} {path}: {answer.status} {content!r}"
            return json.loads(content)
        finally:
            connection.close()


def tokens(answer: Json) -> tuple[int, int]:
    """Input and output, in whatever shape it told them; output is 0 where there is none, as for embeddings."""
    usage: Json = answer.get("usage") or answer["usageMetadata"]
    found = [next((int(usage[name]) for name in names if name in usage), 0) for names in (_INPUT, _OUTPUT)]
    return found[0], found[1]
