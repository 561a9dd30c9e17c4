"""A provider that acts as a model would, whatever a client asks: it calls tools, hears their results, obeys a schema.

It speaks OpenAI's chat completions, OpenAI's Responses API and Anthropic's messages, plain and streaming. Offered
tools, it says a word and calls the first one, for Paris and for Oslo where that takes a city; told results, it repeats
them; shown an image, it says how many bytes it sees; given a schema, it answers with `PERSON`.
"""

from __future__ import annotations

from typing import Any

from tests.clients.acting_speeches import Chat, Messages, Responses, Speech
from tests.clients.replay import Replay

_SPEECHES: dict[str, Speech] = {
    "/v1/chat/completions": Chat(),
    "/v1/responses": Responses(),
    "/v1/messages": Messages(),
}


class Acting(Replay):
    """The server; a context manager. `asked` holds what it was asked."""

    def _answer(self, path: str, body: dict[str, Any]) -> tuple[str, bytes]:
        speech = _SPEECHES[path]
        turn = speech.turn(body)
        self.says(body["model"], speech.streamed(turn) if body.get("stream") else speech.whole(turn))
        return super()._answer(path, body)
