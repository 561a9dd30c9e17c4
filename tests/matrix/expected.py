"""Which doors there are, and what may not be `ok` there: docs/dialects.md says why."""

from __future__ import annotations

from providers.adapters import ADAPTERS
from tests.matrix import anthropic_door, embedding_doors, gemini_doors, ollama_doors, openai_doors, socket_doors
from tests.matrix import specification_doors as specs
from tests.matrix.doors import Door
from tests.matrix.wishes import EMBEDDING, Feature

CHAT_DOORS: list[Door] = [
    openai_doors.CHAT,
    openai_doors.COMPLETIONS,
    openai_doors.RESPONSES,
    anthropic_door.MESSAGES,
    gemini_doors.GENERATE,
    gemini_doors.ARRAY,
    ollama_doors.CHAT,
    ollama_doors.GENERATE,
    specs.A,
    specs.B,
    specs.C,
    socket_doors.Grpc(),
    specs.D,
    specs.E,
    socket_doors.WebSocket(),
]
EMBEDDING_DOORS = embedding_doors.DOORS
KINDS = list(ADAPTERS)

# What cannot be said to a kind of provider, and why: docs/dialects.md.
REFUSED = {
    **{
        (door.name, "ollama", feature): f"refused: {field}"
        for door, forced, picture in (
            (openai_doors.CHAT, "tool_choice", "messages[0]"),
            (openai_doors.RESPONSES, "tool_choice", "input"),
            (anthropic_door.MESSAGES, "tool_choice", "messages"),
            (gemini_doors.GENERATE, "toolConfig.functionCallingConfig", "contents"),
            (gemini_doors.ARRAY, "toolConfig.functionCallingConfig", "contents"),
        )
        for feature, field in ((Feature.FORCED_TOOL, forced), (Feature.IMAGE_URL, picture))
    },
    **{(door.name, "anthropic", feature): "refused: model" for door in EMBEDDING_DOORS for feature in EMBEDDING},
}
