"""What an adapter is: where a provider's API lies, how its key is presented, and which dialect it speaks."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from typing import Protocol

import aiohttp
import msgspec

from providers.specs import CredentialSpec, DeploymentSpec
from wire.dialect import Dialect, Envelope
from wire.neutral import ChatRequest


class Request(msgspec.Struct, frozen=True):
    """A call, ready to be sent."""

    url: str
    headers: dict[str, str]
    body: bytes


class Answer(Protocol):
    """A provider's answer whose headers have come. An aiohttp response is one."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    async def read(self) -> bytes: ...

    def chunks(self) -> AsyncIterator[bytes]: ...

    def close(self) -> None: ...


class Adapter(Protocol):
    """A kind of provider: one object in `providers.adapters.ADAPTERS`."""

    @property
    def dialect(self) -> Dialect: ...

    @property
    def forwarded_headers(self) -> Collection[str]:
        """Which headers of a caller mean something to the provider."""

    @property
    def sampling_fields(self) -> Mapping[str, str]:
        """What the dialect calls those sampling settings that a deployment can have defaults for."""

    def rewrite_chat(self, envelope: Envelope, *, model: str, max_output_tokens: int | None) -> bytes:
        """The body of a caller who speaks the dialect (`Dialect.rewrite_chat`)."""

    def encode_chat(self, request: ChatRequest) -> bytes:
        """The body of any other caller (`Dialect.encode_chat`)."""

    def chat_request(self, deployment: DeploymentSpec, credential: CredentialSpec | None, body: bytes) -> Request: ...

    async def send(self, session: aiohttp.ClientSession, deployment: DeploymentSpec, request: Request) -> Answer:
        """Raises `ProviderFailureError`."""
