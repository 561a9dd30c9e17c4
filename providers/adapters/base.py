"""What an adapter is: where a provider's API lies, how its key is presented, and which dialects it speaks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Protocol

import msgspec

from core.http1 import Session
from providers.specs import CredentialSpec, DeploymentSpec
from wire.dialect import Dialect, EmbeddingDialect, Envelope
from wire.neutral import ChatRequest, EmbeddingRequest


class Request(msgspec.Struct, frozen=True):
    """A call, ready to be sent. `sent` is called just before its first byte goes out.

    Nobody waits for its answer's headers, or for what a refusal says of itself, past `ends_at` (`time.perf_counter`).
    """

    url: str
    headers: dict[str, str]
    body: bytes
    ends_at: float
    sent: Callable[[], None]


class Answer(Protocol):
    """A provider's answer whose headers have come."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """By lower-case name."""

    async def read(self) -> bytes: ...

    async def next_chunk(self) -> bytes | None:
        """All of the body that has come since the last chunk; None at its end."""

    def close(self) -> None: ...


class Chat(Protocol):
    """One way in which a kind of provider chats."""

    @property
    def dialect(self) -> Dialect: ...

    @property
    def sampling_fields(self) -> Mapping[str, str]:
        """What the dialect calls those sampling settings that a deployment can have defaults for."""

    def takes(self, name: str, *, model: str, beside: Collection[str]) -> bool:
        """Whether the model takes this one of the sampling settings, in a call that says `beside` too."""

    def rewrite(self, envelope: Envelope, *, model: str, max_output_tokens: int | None) -> bytes:
        """The body of a caller who speaks the dialect (`Dialect.rewrite_chat`). It has been read: nothing is raised."""

    def encode(self, request: ChatRequest) -> bytes:
        """The body of any other caller (`Dialect.encode_chat`)."""

    def url(self, deployment: DeploymentSpec, *, stream: bool) -> str: ...


def takes_all(name: str, *, model: str, beside: Collection[str]) -> bool:
    """Of a host whose models all take the settings that its dialect has."""
    del name, model, beside
    return True


class Embeddings(msgspec.Struct, frozen=True):
    """How a kind of provider embeds. `path` follows its address; `{model}` in it is the name of the model there."""

    dialect: EmbeddingDialect
    path: str

    def rewrite(self, envelope: Envelope, *, model: str) -> bytes:
        """The body of a caller who speaks the dialect. It has been opened: nothing is raised."""
        return self.dialect.rewrite_embeddings(envelope, model=model)

    def encode(self, request: EmbeddingRequest) -> bytes:
        """The body of any other caller. Raises `ApiError`."""
        return self.dialect.encode_embeddings(request)

    def url(self, deployment: DeploymentSpec) -> str:
        return deployment.provider.address + self.path.format(model=deployment.model)


class Adapter(Protocol):
    """A kind of provider: one object in `providers.adapters.ADAPTERS`."""

    @property
    def chats(self) -> tuple[Chat, ...]:
        """The first is what callers of other dialects are translated to (but see `openai.translator`); those of the
        others pass through.
        """

    @property
    def embeddings(self) -> Embeddings | None: ...

    @property
    def forwarded_headers(self) -> Collection[str]:
        """Which headers of a caller mean something to the provider."""

    def headers(self, deployment: DeploymentSpec, credential: CredentialSpec | None) -> dict[str, str]: ...

    def send(self, session: Session, deployment: DeploymentSpec, request: Request) -> Awaitable[Answer]:
        """Raises `ProviderFailureError`."""
