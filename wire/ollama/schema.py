"""The shapes of Ollama's chat request, as far as they can be translated; all else is refused by name.

Null and absent are one.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec


class Function(msgspec.Struct, forbid_unknown_fields=True):
    """`index` comes back from clients that put streamed calls together."""

    name: str
    arguments: msgspec.Raw = msgspec.Raw(b"{}")
    index: Any = None
    description: Any = None


class Call(msgspec.Struct, forbid_unknown_fields=True):
    function: Function
    id: str | None = None
    type: Literal["function"] | None = None


class Message(msgspec.Struct, forbid_unknown_fields=True):
    """`tool_name` (once `name`) and `tool_call_id` tell which call a tool's message answers."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str | None = None
    thinking: str | None = None
    images: list[str] | None = None
    tool_calls: list[Call] | None = None
    tool_name: str | None = None
    tool_call_id: str | None = None
    name: str | None = None


class FunctionDefinition(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(msgspec.Struct, forbid_unknown_fields=True):
    function: FunctionDefinition
    type: Literal["function"] | None = None
