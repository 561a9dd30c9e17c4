"""What a channel is given, and what it must do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from core.vault import Secret


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """A PNG that the HTML shows as `cid:NAME`."""

    name: str
    png: bytes


class File(msgspec.Struct, frozen=True, kw_only=True):
    """An attachment."""

    name: str
    mime_type: str
    content: bytes


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message in every form: a channel takes what it can show. `data` is for programs, `id` the delivery's."""

    id: str
    kind: str
    subject: str
    text: str
    html: str
    data: dict[str, Any]
    url: str
    tone: str = "info"
    summary: str = ""
    images: tuple[Image, ...] = ()
    files: tuple[File, ...] = ()


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where one channel leads; `secret` is empty where its kind needs none."""

    address: str
    secret: Secret


class Channel(msgspec.Struct, frozen=True, kw_only=True):
    """A kind of channel.

    `validate` raises Django's ValidationError under `address` and `secret`. `send` returns what the other side said,
    and raises `DeliveryError`. `new_secret` makes one for who gives none.
    """

    label: str
    validate: Callable[[str, Secret], None]
    send: Callable[[Target, Message], str]
    new_secret: Callable[[], Secret] | None = None


class DeliveryError(Exception):
    """It has not arrived. `retryable`: it may later. The text is for people, and holds no secret.

    `rest`: the part of the address that it has not reached, where others have it already.
    """

    def __init__(self, text: str, *, retryable: bool, rest: str = "") -> None:
        super().__init__(text)
        self.retryable = retryable
        self.rest = rest
