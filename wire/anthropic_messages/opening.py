"""The light reading of a caller's body, and its rewriting for a provider that speaks Anthropic too."""

from __future__ import annotations

import msgspec

from wire import images
from wire.anthropic_messages import schema
from wire.anthropic_messages.foreign import without_foreign
from wire.body import COUNT, FLAG, MOST, NAME, NUMBER, Fields, Reader, open_body, require_array, text_bytes
from wire.dialect import Envelope
from wire.errors import invalid
from wire.hosted import hosted, refuse_hosted, refuse_unbounded
from wire.standard_price import ANTHROPIC, refuse_other_prices

# Tools that the caller runs itself, by the beginnings of their types; the rest is a version. A search among tools
# finds what the body holds, and costs nothing by itself.
CALLER_TOOLS = ("custom", "bash_", "browser_toolset_", "computer_", "memory_", "text_editor_", "tool_search_tool_")

# What no hold could bound, or what would need a memory; and how those edits of a context begin that are neither
# (anthropic-sdk-python 2.12.0, `types/beta/message_create_params.py`).
UNBOUNDED = {
    "mcp_servers": "brings in tools whose work runs at the provider: its cost cannot be bounded.",
    "fallbacks": "names other models, whose permission and cost are not seen to here: use a route that has several.",
    "thread": "refers to a conversation at the provider, and this platform stores none: send all of its messages.",
    "compaction": "has the provider summarise at a cost that cannot be bounded: ask for a summary in a message.",
}
_CLEARING = "clear_"

_CONTEXT = Reader[schema.ContextManagement](schema.ContextManagement | None)
_METADATA = Reader[schema.Metadata](schema.Metadata | None, "an object whose user_id is a string")


def open_chat(body: bytes) -> Envelope:
    """`max_tokens` must be there, as Anthropic has it; 0 warms the prompt cache and generates nothing."""
    fields, model = _opened(body)
    max_tokens = COUNT.read(fields, "max_tokens")
    if max_tokens is None:
        raise invalid(f"'max_tokens' must be a whole number from 0 to {MOST}.", param="max_tokens")
    metadata = _METADATA.read(fields, "metadata")
    return Envelope(
        fields=fields,
        model=model,
        stream=FLAG.read(fields, "stream") or False,
        max_output_tokens=max_tokens,
        choices=1,
        input_bytes=_input_bytes(fields, body),
        end_user=metadata.user_id if metadata else None,
        show_usage=True,
        temperature=NUMBER.read(fields, "temperature"),
    )


def measure(body: bytes) -> int:
    """The size of what the model would read (`Envelope.input_bytes`), of a body that generates nothing."""
    fields, _ = _opened(body)
    return _input_bytes(fields, body)


def _opened(body: bytes) -> tuple[Fields, str]:
    """The fields, and the model's name."""
    fields = open_body(body)
    require_array(fields, "messages")
    refuse_hosted(fields, is_callers=lambda kind: kind.startswith(CALLER_TOOLS))
    _refuse_unbounded(fields)
    refuse_other_prices(fields, ANTHROPIC)
    model = NAME.read(fields, "model")
    if model is None:
        raise invalid("'model' must be a non-empty string.", param="model")
    return fields, model


def _refuse_unbounded(fields: Fields) -> None:
    refuse_unbounded(fields, UNBOUNDED)
    context = _CONTEXT.read(fields, "context_management") or schema.ContextManagement()
    for index, edit in enumerate(context.edits or ()):
        if not str(edit.type).startswith(_CLEARING):
            raise hosted(f"context_management.edits[{index}].type", f"'{edit.type}'")


def _input_bytes(fields: Fields, body: bytes) -> int:
    return text_bytes(fields, "messages", "system", "tools") - images.surplus_bytes(fields, body)


def rewrite_chat(envelope: Envelope, *, model: str, max_output_tokens: int | None) -> bytes:
    fields = envelope.fields | {"messages": without_foreign(envelope.fields["messages"], model=model)}
    fields["model"] = msgspec.Raw(msgspec.json.encode(model))
    if max_output_tokens is not None:
        fields["max_tokens"] = msgspec.Raw(b"%d" % max_output_tokens)
    return msgspec.json.encode(fields)
