"""Where traces go, and which."""

from __future__ import annotations

import msgspec

from core.vault import Secret

SAMPLERS = (
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
)


class Collector(msgspec.Struct, frozen=True, kw_only=True):
    """An OTLP/HTTP receiver of spans. `is_langfuse`: it reads attributes of its own besides the conventions'."""

    name: str
    url: str
    headers: dict[str, Secret]
    is_langfuse: bool = False


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """`share` of the traces is kept; with `asks_parent`, a caller's own trace is kept where the caller keeps it."""

    share: float = 1.0
    asks_parent: bool = True

    def keeps(self, trace_id: int, *, parent_is_kept: bool | None) -> bool:
        """By the trace's id, as every OpenTelemetry SDK decides. `parent_is_kept` None: the caller has no trace."""
        if self.asks_parent and parent_is_kept is not None:
            return parent_is_kept
        return trace_id & _LOW_BITS < round(self.share * (_LOW_BITS + 1))


class Tracing(msgspec.Struct, frozen=True, kw_only=True):
    service: str
    sampling: Sampling
    collectors: tuple[Collector, ...]


_LOW_BITS = 2**64 - 1


def sampling(name: str, share: float) -> Sampling:
    """Of OTEL_TRACES_SAMPLER (one of `SAMPLERS`) and its argument."""
    kind = name.removeprefix("parentbased_")
    shares = {"always_on": 1.0, "always_off": 0.0, "traceidratio": share}
    return Sampling(share=shares[kind], asks_parent=kind != name)
