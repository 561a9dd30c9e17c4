"""OpenAI, and every host that speaks its Chat Completions API (DeepSeek, Ollama's compatible door, vLLM, llama.cpp …).

https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import aiohttp

from providers.adapters.base import Answer, Request
from providers.adapters.http import post
from providers.specs import CredentialSpec, DeploymentSpec
from wire import openai_chat
from wire.dialect import Dialect, Envelope
from wire.neutral import ChatRequest
from wire.openai_chat.opening import BoundField

SAMPLING_FIELDS: Mapping[str, str] = {
    name: name for name in ("temperature", "top_p", "frequency_penalty", "presence_penalty", "stop")
}


class OpenAIAdapter:
    """`prefix` stands between the provider's address and `/chat/completions`.

    `bound_field` is what the host calls the bound of an answer: OpenAI's reasoning models refuse `max_tokens`, and
    other hosts know nothing else.
    """

    dialect: Dialect = openai_chat
    sampling_fields = SAMPLING_FIELDS
    forwarded_headers: Collection[str] = ()

    def __init__(self, prefix: str = "", *, bound_field: BoundField = "max_tokens") -> None:
        self._path = f"{prefix}/chat/completions"
        self._bound_field = bound_field

    def rewrite_chat(self, envelope: Envelope, *, model: str, max_output_tokens: int | None) -> bytes:
        return openai_chat.rewrite_chat(
            envelope, model=model, max_output_tokens=max_output_tokens, bound_field=self._bound_field
        )

    def encode_chat(self, request: ChatRequest) -> bytes:
        return openai_chat.encode_chat(request, bound_field=self._bound_field)

    def chat_request(self, deployment: DeploymentSpec, credential: CredentialSpec | None, body: bytes) -> Request:
        provider = deployment.provider
        headers = {"Content-Type": "application/json"}
        if credential:
            headers["Authorization"] = f"Bearer {credential.secret.reveal()}"
        if provider.organization:
            headers["OpenAI-Organization"] = provider.organization
        return Request(provider.address + self._path, headers, body)

    async def send(self, session: aiohttp.ClientSession, deployment: DeploymentSpec, request: Request) -> Answer:
        return await post(session, deployment.provider, request)
