"""Google's Gemini API (https://ai.google.dev/api)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from core.http1 import Session
from providers.adapters.base import Answer, Chat, Embeddings, Request, takes_all
from providers.adapters.http import ReadAnswer, error_body, post
from providers.specs import CredentialSpec, DeploymentSpec
from wire import gemini, gemini_embeddings
from wire.dialect import Dialect
from wire.gemini.opening import CONFIG

_OUR_ACCOUNTS = {"API_KEY_INVALID", "API_KEY_EXPIRED", "API_KEY_SERVICE_BLOCKED", "FAILED_PRECONDITION"}


class GenerateContent:
    dialect: Dialect = gemini
    sampling_fields: Mapping[str, str] = {
        "temperature": f"{CONFIG}temperature",
        "top_p": f"{CONFIG}topP",
        "top_k": f"{CONFIG}topK",
        "frequency_penalty": f"{CONFIG}frequencyPenalty",
        "presence_penalty": f"{CONFIG}presencePenalty",
        "stop": f"{CONFIG}stopSequences",
    }
    takes = staticmethod(takes_all)
    rewrite = staticmethod(gemini.rewrite_chat)
    encode = staticmethod(gemini.encode_chat)

    def url(self, deployment: DeploymentSpec, *, stream: bool) -> str:
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"{deployment.provider.address}/v1beta/models/{deployment.model}:{verb}"


class GoogleAdapter:
    chats: tuple[Chat, ...] = (GenerateContent(),)
    embeddings: Embeddings | None = Embeddings(gemini_embeddings, "/v1beta/models/{model}:batchEmbedContents")
    forwarded_headers: Collection[str] = ()

    def headers(self, deployment: DeploymentSpec, credential: CredentialSpec | None) -> dict[str, str]:
        del deployment
        headers = {"Content-Type": "application/json"}
        if credential:
            headers["x-goog-api-key"] = credential.secret.reveal()
        return headers

    async def send(self, session: Session, deployment: DeploymentSpec, request: Request) -> Answer:
        """A 400 that is about our key or account comes back as the 401 that Google does not have."""
        answer = await post(session, deployment.provider, request)
        if answer.status == 200:
            return answer
        body = await error_body(answer, request)
        error = _error(body)
        is_ours = answer.status == 400 and not _OUR_ACCOUNTS.isdisjoint((error.status, *error.reasons))
        headers = {"retry-after": error.retry_after} if error.retry_after else answer.headers
        return ReadAnswer(401 if is_ours else answer.status, headers, body)


class _Detail(msgspec.Struct, rename="camel"):
    reason: str = ""
    retry_delay: str = ""


class _Error(msgspec.Struct):
    """google.rpc.Status as JSON. `details` hold ErrorInfo (`reason`) and RetryInfo (`retryDelay`, as "3.5s")."""

    status: str = ""
    details: list[_Detail] = []

    @property
    def reasons(self) -> list[str]:
        return [detail.reason for detail in self.details]

    @property
    def retry_after(self) -> str:
        delays = [detail.retry_delay.removesuffix("s") for detail in self.details if detail.retry_delay]
        return delays[0] if delays else ""


class _Body(msgspec.Struct):
    error: _Error


_read_error = msgspec.json.Decoder(_Body | list[_Body]).decode


def _error(body: bytes) -> _Error:
    """An unread one where the body is not Google's."""
    try:
        read: Any = _read_error(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Error()
    first: _Body | None = read if isinstance(read, _Body) else next(iter(read), None)
    return first.error if first else _Error()
