"""What the schema says of each data-plane door: bodies and answers as types, an example that runs, errors."""

from aiplatform.documented import anthropic, gemini, health, ollama, openai, specifications, vectors
from aiplatform.documented.operation import Operation

OPERATIONS: tuple[Operation, ...] = (
    *openai.OPERATIONS,
    *anthropic.OPERATIONS,
    *gemini.OPERATIONS,
    *ollama.OPERATIONS,
    *specifications.OPERATIONS,
    *vectors.OPERATIONS,
    *health.OPERATIONS,
)
