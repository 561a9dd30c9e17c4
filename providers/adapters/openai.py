"""OpenAI, and every host that speaks its Chat Completions API (DeepSeek, Ollama's compatible door, vLLM, llama.cpp …).

https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import aiohttp

from providers.adapters.base import Answer, Request
from providers.adapters.http import post
from providers.specs import CredentialSpec, DeploymentSpec
from wire import openai_chat
from wire.dialect import Dialect


class OpenAIAdapter:
    """`prefix` stands between the provider's address and `/chat/completions`."""

    dialect: Dialect = openai_chat

    def __init__(self, prefix: str = "") -> None:
        self._path = f"{prefix}/chat/completions"

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
