"""Ollama's own API (https://github.com/ollama/ollama/blob/main/docs/api.md)."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Mapping

from core.http1 import Session
from providers.adapters.base import Answer, Chat, Embeddings, Request, takes_all
from providers.adapters.http import post
from providers.specs import CredentialSpec, DeploymentSpec
from wire import ollama, ollama_embeddings
from wire.dialect import Dialect
from wire.ollama.options import PREFIX


class OllamaChat:
    dialect: Dialect = ollama
    sampling_fields: Mapping[str, str] = {
        name: PREFIX + name
        for name in ("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "stop")
    }
    takes = staticmethod(takes_all)
    rewrite = staticmethod(ollama.rewrite_chat)
    encode = staticmethod(ollama.encode_chat)

    def url(self, deployment: DeploymentSpec, *, stream: bool) -> str:
        del stream
        return f"{deployment.provider.address}/api/chat"


class OllamaAdapter:
    """A key is for Ollama's cloud, and for servers behind a proxy that asks for one."""

    chats: tuple[Chat, ...] = (OllamaChat(),)
    embeddings: Embeddings | None = Embeddings(ollama_embeddings, "/api/embed")
    forwarded_headers: Collection[str] = ()

    def headers(self, deployment: DeploymentSpec, credential: CredentialSpec | None) -> dict[str, str]:
        del deployment
        headers = {"Content-Type": "application/json"}
        if credential:
            headers["Authorization"] = f"Bearer {credential.secret.reveal()}"
        return headers

    def send(self, session: Session, deployment: DeploymentSpec, request: Request) -> Awaitable[Answer]:
        return post(session, deployment.provider, request)
