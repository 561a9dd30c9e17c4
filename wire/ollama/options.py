"""Ollama's `options`, read as fields named `options.…`, so that an error names its place."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from wire.body import MOST, Fields, Reader, refuse_others

PREFIX = "options."

TRANSLATED = frozenset(
    PREFIX + name
    for name in (
        "num_predict", "temperature", "top_k", "top_p", "seed", "stop", "frequency_penalty", "presence_penalty",
    )
)  # fmt: skip

# How a machine of the caller's own would load and run the model: left out, because others run it for us.
DROPPED = frozenset(
    PREFIX + name
    for name in (
        "f16_kv", "logits_all", "low_vram", "main_gpu", "num_batch", "num_ctx", "num_gpu", "num_keep", "num_thread",
        "numa", "use_mlock", "use_mmap", "vocab_only", "embedding_only", "mirostat_eta", "mirostat_tau",
    )
)  # fmt: skip

# Sampling that only Ollama has, as long as it holds one of these values, which change nothing or are its defaults.
HARMLESS_VALUES: dict[str, list[Any]] = {
    "options.min_p": [0],
    "options.mirostat": [0],
    "options.penalize_newline": [True],
    "options.repeat_last_n": [0, 64],
    "options.repeat_penalty": [1],
    "options.tfs_z": [1],
    "options.typical_p": [1],
}

_OBJECT = Reader[Fields](Fields | None, "an object")
_BOUND = Reader[int](Annotated[int, msgspec.Meta(le=MOST)] | None, f"a whole number, at most {MOST}")


def read_options(fields: Fields) -> Fields:
    return {PREFIX + name: raw for name, raw in (_OBJECT.read(fields, "options") or {}).items()}


def bound(options: Fields) -> int | None:
    """Ollama's -1 and -2 mean no bound, as 0 does."""
    tokens = _BOUND.read(options, "options.num_predict")
    return tokens if tokens is not None and tokens > 0 else None


def refuse_others_than_ours(options: Fields) -> None:
    refuse_others(options, TRANSLATED | DROPPED, HARMLESS_VALUES)


def with_options(fields: Fields, max_output_tokens: int | None) -> Fields:
    """The body with a bound imposed, and with those fields named `options.…` that its own options leave open."""
    defaults = {name.removeprefix(PREFIX): raw for name, raw in fields.items() if name.startswith(PREFIX)}
    if not defaults and max_output_tokens is None:
        return fields
    options = defaults | (_OBJECT.read(fields, "options") or {})
    if max_output_tokens is not None:
        options["num_predict"] = msgspec.Raw(b"%d" % max_output_tokens)
    kept = {name: raw for name, raw in fields.items() if not name.startswith(PREFIX)}
    return {**kept, "options": msgspec.Raw(msgspec.json.encode(options))}
