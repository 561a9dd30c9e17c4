"""Anthropic's Messages API (https://docs.anthropic.com/en/api/messages)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from core.http1 import Session
from providers.adapters.base import Answer, Chat, Embeddings, Request
from providers.adapters.http import ReadAnswer, error_body, post
from providers.specs import CredentialSpec, DeploymentSpec
from wire import anthropic_messages
from wire.anthropic_messages import sampling
from wire.dialect import Dialect

_VERSION = "2023-06-01"  # the only value in use; newer behaviour comes by beta headers

# How a 400 begins that is about our account: nothing but its words tells it from a bad call (anthropics/claude-code on
# GitHub, issues 66314, 38035 and 72457).
_OUR_ACCOUNT = (
    "Your credit balance is too low",
    "You have reached your specified API usage limits",
    "You have reached your specified workspace API usage limits",
    "This organization has been disabled",
)


class Messages:
    dialect: Dialect = anthropic_messages
    sampling_fields: Mapping[str, str] = {
        "temperature": "temperature",
        "top_p": "top_p",
        "top_k": "top_k",
        "stop": "stop_sequences",
    }
    takes = staticmethod(sampling.takes)
    rewrite = staticmethod(anthropic_messages.rewrite_chat)
    encode = staticmethod(anthropic_messages.encode_chat)

    def url(self, deployment: DeploymentSpec, *, stream: bool) -> str:
        del stream
        return f"{deployment.provider.address}/v1/messages"


class AnthropicAdapter:
    chats: tuple[Chat, ...] = (Messages(),)
    embeddings: Embeddings | None = None
    forwarded_headers: Collection[str] = ("anthropic-beta",)

    def headers(self, deployment: DeploymentSpec, credential: CredentialSpec | None) -> dict[str, str]:
        del deployment
        headers = {"Content-Type": "application/json", "anthropic-version": _VERSION}
        if credential:
            headers["x-api-key"] = credential.secret.reveal()
        return headers

    async def send(self, session: Session, deployment: DeploymentSpec, request: Request) -> Answer:
        """A 400 that is about our account comes back as the 402 that Anthropic has for bills, and does not use here."""
        answer = await post(session, deployment.provider, request)
        if answer.status != 400:
            return answer
        body = await error_body(answer, request)
        is_ours = anthropic_messages.error_message(body).startswith(_OUR_ACCOUNT)
        return ReadAnswer(402 if is_ours else 400, answer.headers, body)
