"""What every dialect module offers, so that a door and an adapter can be joined without knowing each other."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from wire.errors import ApiError
from wire.neutral import ChatRequest, ChatResponse, EmbeddingRequest, EmbeddingResponse, StreamEvent, Usage

Kind = Literal["chat", "embedding"]  # what a call asks for, and what a deployment is for


class Envelope(msgspec.Struct, frozen=True):
    """What routing and the books must know of a caller's body, beside its top-level fields, undecoded.

    `max_output_tokens` bounds one choice; None where the caller gave no bound, 0 where nothing is generated.
    `input_bytes` is the size of what the model will read (messages, system text, tools), as UTF-8. `provider` and
    `cache` are for doors whose body can name one and switch the other.
    """

    fields: dict[str, msgspec.Raw]
    model: str
    stream: bool
    max_output_tokens: int | None
    choices: int
    input_bytes: int
    end_user: str | None
    show_usage: bool
    provider: str | None = None
    kind: Kind = "chat"
    cache: bool | None = None
    temperature: float | None = None


class Result(msgspec.Struct, frozen=True):
    """What the books read out of a provider's plain answer. `output_bytes` is the text that it generated."""

    model: str
    finish: str | None
    usage: Usage | None
    output_bytes: int


class Splitter(Protocol):
    """Cuts a provider's stream, however it comes, into the events that meters and decoders read.

    `feed` returns the events that `chunk` has completed, each byte for byte as it came. `ending` is what to feed for
    the last event when the provider has left out the end of it; b"" where nothing is left over.
    Raises `BadStreamError` for an event that is too long.
    """

    def feed(self, chunk: bytes) -> list[bytes]: ...

    @property
    def ending(self) -> bytes: ...


class StreamMeter(Protocol):
    """Reads the books' figures out of a provider's stream, an event at a time.

    `see` returns what of the event goes on to a caller of the same dialect: the event as it came, b"" to withhold
    it, or a rewritten one. The event that ends the stream is kept in `closing` instead, for when the books are
    settled; `finished` is True once the provider has said that its answer is complete (a stream that ends without
    it was cut; `usage` is then what had been told so far). Raises `BadStreamError` for an event that is not of the
    dialect, and for the dialect's own error event (`StreamFailedError`).
    """

    model: str
    finish: str | None
    finished: bool
    output_bytes: int
    closing: bytes

    @property
    def usage(self) -> Usage | None: ...

    def see(self, event: bytes) -> bytes: ...


class StreamDecoder(Protocol):
    """Events of a provider's stream -> neutral events. Raises as `StreamMeter` does."""

    def decode(self, event: bytes) -> list[StreamEvent]: ...


class StreamEncoder(Protocol):
    """Neutral events -> bytes for the caller. `close()` is the dialect's end of a complete stream."""

    def encode(self, event: StreamEvent) -> bytes: ...

    def close(self) -> bytes: ...


class ErrorDialect(Protocol):
    """How a door tells its errors."""

    def encode_error(self, error: ApiError, *, request_id: str, stream: bool = False) -> bytes:
        """The error as a JSON body, or, with `stream`, as the dialect's error event."""


class CallerDialect(ErrorDialect, Protocol):
    """The caller's half of a dialect: enough for a door that no provider speaks (the specifications' own APIs)."""

    @property
    def name(self) -> str: ...

    @property
    def stream_type(self) -> bytes:
        """The content type of its streams."""

    def open_chat(self, body: bytes) -> Envelope:
        """Light reading of a caller's body. Raises `ApiError` (INVALID_REQUEST, naming the field)."""

    def decode_chat(self, envelope: Envelope) -> ChatRequest:
        """Whole reading of a caller's body, for a provider of another dialect. Raises `ApiError`."""

    def encoder(self, *, show_usage: bool) -> StreamEncoder: ...


class Dialect(CallerDialect, Protocol):
    """A whole dialect: a module with these names."""

    def rewrite_chat(self, envelope: Envelope, *, model: str, max_output_tokens: int | None) -> bytes:
        """The same body for a provider of the same dialect: model replaced, usage asked for, `max_output_tokens`
        imposed where it is not None; all other fields byte for byte. It has been opened: nothing is raised.
        """

    def encode_chat(self, request: ChatRequest) -> bytes:
        """A provider's body. Raises `ApiError` (UNSUPPORTED_FIELD) for what the dialect cannot say."""

    def read_result(self, body: bytes) -> Result:
        """Raises `BadBodyError`."""

    def decode_response(self, body: bytes) -> ChatResponse:
        """Raises `BadBodyError`."""

    def encode_response(self, response: ChatResponse) -> bytes: ...

    def splitter(self, *, max_event_bytes: int) -> Splitter: ...

    def meter(self, *, show_usage: bool) -> StreamMeter: ...

    def decoder(self) -> StreamDecoder: ...

    def error_message(self, body: bytes) -> str:
        """The human message inside a provider's error body ('' where there is none)."""


class EmbeddingCaller(ErrorDialect, Protocol):
    """The caller's half of an API for embeddings."""

    @property
    def name(self) -> str: ...

    def decode_embeddings(self, envelope: Envelope) -> EmbeddingRequest:
        """Whole reading of a caller's body, for a provider of another dialect. Raises `ApiError`."""


class EmbeddingDialect(EmbeddingCaller, Protocol):
    """A provider's API for embeddings: a module with these names."""

    def open_embeddings(self, body: bytes) -> Envelope:
        """Light reading of a caller's body. Raises `ApiError` (INVALID_REQUEST, naming the field)."""

    def rewrite_embeddings(self, envelope: Envelope, *, model: str) -> bytes:
        """The same body for a provider of the same dialect: the model replaced, all other fields byte for byte.

        Nothing is raised, as of a chat's: there is a hold by then.
        """

    def encode_embeddings(self, request: EmbeddingRequest) -> bytes:
        """A provider's body. Raises `ApiError` (UNSUPPORTED_FIELD) for what the dialect cannot say."""

    def read_result(self, body: bytes) -> Result:
        """Raises `BadBodyError`."""

    def decode_response(self, body: bytes) -> EmbeddingResponse:
        """Raises `BadBodyError`."""

    def encode_response(self, response: EmbeddingResponse, fields: dict[str, msgspec.Raw]) -> bytes:
        """The answer to the call whose body had these `fields`."""

    def error_message(self, body: bytes) -> str:
        """The human message inside a provider's error body ('' where there is none)."""


class BadBodyError(Exception):
    """A provider's answer is not what its dialect promises."""


class BadStreamError(BadBodyError):
    """A provider's stream holds an event that its dialect does not know how to mean."""


class StreamFailedError(Exception):
    """The provider ended its stream with an error event; `message` is its own, `kind` its error type."""

    def __init__(self, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.kind = kind
