"""Why a dispatch went where it went, as its row keeps it: a few words, decided by the router."""

from __future__ import annotations

import msgspec


class Trace(msgspec.Struct, frozen=True, omit_defaults=True):
    """`place` of `of` candidates, by reason of `why`; `route` is the name that was asked for, where that is a route.

    `skipped` says of candidates why they were passed by, `failed` of those tried before what went wrong, and
    `waited_ms` how long the call waited before this dispatch.
    """

    why: str = ""
    route: str = ""
    place: int = 1
    of: int = 1
    skipped: dict[str, str] = {}
    failed: list[tuple[str, str]] = []
    waited_ms: int = 0


encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Trace).decode


def in_words(text: str) -> str:
    """For people; '' for what is no trace."""
    if not text:
        return ""
    try:
        trace = _decode(text)
    except msgspec.MsgspecError:
        return ""
    return " ".join(_sentences(trace))


def _sentences(trace: Trace) -> list[str]:
    if trace.of == 1:
        told = ["It was the only one that could answer."]
    else:
        among = f" of the route “{trace.route}”" if trace.route else ""
        told = [f"Number {trace.place} of {trace.of} candidates{among}: {trace.why}."]
    if trace.skipped:
        told.append("Passed by: " + ", ".join(f"{name} ({why})" for name, why in trace.skipped.items()) + ".")
    if trace.failed:
        told.append("Tried before: " + ", ".join(f"{name} ({what})" for name, what in trace.failed) + ".")
    if trace.waited_ms:
        told.append(f"It waited {trace.waited_ms / 1000:.1f} s for its turn.")
    return told
