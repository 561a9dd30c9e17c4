"""A tool call's arguments as a JSON object, for the dialects that want one."""

from __future__ import annotations

import msgspec

from wire.body import json_object

_NONE = msgspec.Raw(b"{}")


def as_object(arguments: str) -> msgspec.Raw:
    """Arguments that are no JSON object are wrapped as Anthropic's documentation has it, so that they are seen.

    https://platform.claude.com/docs/en/agents-and-tools/tool-use/fine-grained-tool-streaming
    """
    wrapped = {"INVALID_JSON": arguments} if arguments else {}
    return json_object(arguments) or msgspec.Raw(msgspec.json.encode(wrapped))


def or_empty(arguments: msgspec.Raw) -> msgspec.Raw:
    """Null, and nothing, are an object without members, as Google and Go have it.

    https://protobuf.dev/programming-guides/json/
    """
    return _NONE if bytes(arguments) in (b"", b"null") else arguments
