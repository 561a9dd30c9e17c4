"""OpenAI, and every host that speaks its API (DeepSeek, vLLM, llama.cpp …).

https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Mapping

from core.http1 import Session
from providers.adapters.base import Answer, Chat, Embeddings, Request
from providers.adapters.http import post
from providers.specs import CredentialSpec, DeploymentSpec
from wire import openai_chat, openai_embeddings, openai_responses
from wire.dialect import Dialect, Envelope
from wire.neutral import ChatRequest
from wire.openai_chat.opening import BoundField
from wire.openai_models import calls_tools_in_responses_alone, takes_sampling
from wire.openai_responses.encoding import can_say

SAMPLING_FIELDS: Mapping[str, str] = {
    name: name for name in ("temperature", "top_p", "frequency_penalty", "presence_penalty", "stop")
}

_OF_SAMPLERS = ("temperature", "top_p")
EMBEDDINGS = Embeddings(openai_embeddings, "/embeddings")


def _takes(name: str, *, model: str, beside: Collection[str]) -> bool:
    del beside
    return name not in _OF_SAMPLERS or takes_sampling(model, effort=None)


class ChatCompletions:
    """`bound_field` is what the host calls the bound of an answer: OpenAI's reasoning models refuse `max_tokens`, and
    other hosts know nothing else.
    """

    dialect: Dialect = openai_chat
    sampling_fields = SAMPLING_FIELDS
    takes = staticmethod(_takes)

    def __init__(self, *, path: str = "/chat/completions", bound_field: BoundField = "max_tokens") -> None:
        self._path = path
        self._bound_field = bound_field

    def rewrite(self, envelope: Envelope, *, model: str, max_output_tokens: int | None) -> bytes:
        return openai_chat.rewrite_chat(
            envelope, model=model, max_output_tokens=max_output_tokens, bound_field=self._bound_field
        )

    def encode(self, request: ChatRequest) -> bytes:
        return openai_chat.encode_chat(request, bound_field=self._bound_field)

    def url(self, deployment: DeploymentSpec, *, stream: bool) -> str:
        del stream
        return deployment.provider.address + self._path


class Responses:
    """OpenAI's newer API, for the callers who speak it, and where its newer models are to call tools."""

    dialect: Dialect = openai_responses
    sampling_fields: Mapping[str, str] = {"temperature": "temperature", "top_p": "top_p"}
    takes = staticmethod(_takes)
    rewrite = staticmethod(openai_responses.rewrite_chat)
    encode = staticmethod(openai_responses.encode_chat)

    def url(self, deployment: DeploymentSpec, *, stream: bool) -> str:
        del stream
        return f"{deployment.provider.address}/responses"


def translator(chats: tuple[Chat, ...], request: ChatRequest, model: str) -> Chat:
    """The way in which callers of other dialects are translated: the first, but for tools of newer models the second.

    What Responses cannot say (`stop`, `seed` …) goes to the first all the same.
    """
    newer = next((chat for chat in chats if chat.dialect is openai_responses), None)
    if newer and request.tools and calls_tools_in_responses_alone(model) and can_say(request):
        return newer
    return chats[0]


class OpenAIAdapter:
    """`chats` as in `Adapter`; a host that only speaks Chat Completions is the default."""

    forwarded_headers: Collection[str] = ()

    def __init__(self, *chats: Chat, embeddings: Embeddings = EMBEDDINGS) -> None:
        self.chats = chats or (ChatCompletions(),)
        self.embeddings: Embeddings | None = embeddings

    def headers(self, deployment: DeploymentSpec, credential: CredentialSpec | None) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if credential:
            headers["Authorization"] = f"Bearer {credential.secret.reveal()}"
        if deployment.provider.organization:
            headers["OpenAI-Organization"] = deployment.provider.organization
        return headers

    def send(self, session: Session, deployment: DeploymentSpec, request: Request) -> Awaitable[Answer]:
        return post(session, deployment.provider, request)
