"""Signatures of thoughts in Gemini's dialect <-> neutral ones (`wire.signatures`).

Here a bare one is Gemini's, and what another provider has signed or sealed is marked (in base64, as Gemini's clients
require), so that it finds its way back there.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode

import msgspec

from wire.body import MALFORMED, Fields
from wire.neutral import Part, Thinking
from wire.signatures import GEMINI

# Gemini 3 wants its signature on the first call of each step, and takes this for calls that it did not make, or whose
# signature got lost on the way (https://ai.google.dev/gemini-api/docs/thought-signatures, FAQs). It signs nothing.
UNSIGNED = "skip_thought_signature_validator"
_NO_SIGNATURES = (UNSIGNED, b64encode(UNSIGNED.encode()).decode())

# Of nine bytes each: twelve characters of base64, whatever follows.
_SIGNED = b"elsewhere"
_SEALED = b"sealed-by"
_SIGNED_PREFIX, _SEALED_PREFIX = b64encode(_SIGNED).decode(), b64encode(_SEALED).decode()
_FOREIGN = re.compile(
    rb'("thought(?:Signature|_signature)"\s*:\s*)"(?:%s|%s)[^"]*"' % (_SIGNED_PREFIX.encode(), _SEALED_PREFIX.encode())
)
_CALLED = re.compile(rb'"function(?:Call|_call)"')
_UNSIGNED, _NOTHING = msgspec.Raw(msgspec.json.encode(UNSIGNED)), msgspec.Raw(b"[]")
_NULL = msgspec.Raw(b"null")
_NO_TEXT = (_NULL, msgspec.Raw(b'""'))  # what clients write who dump all that they know of
_SIGNATURES = ("thoughtSignature", "thought_signature")
_OBJECTS: msgspec.json.Decoder[list[Fields]] = msgspec.json.Decoder(list[Fields])


def without_foreign(contents: msgspec.Raw) -> msgspec.Raw:
    """The same for Google itself, which refuses what others have signed."""
    if not _FOREIGN.search(contents):
        return contents
    return msgspec.Raw(_FOREIGN.sub(rb'\1"%s"' % UNSIGNED.encode(), bytes(contents)))


def with_signed_calls(contents: msgspec.Raw) -> msgspec.Raw:
    """The same for Gemini 3, which wants a signature on each step's first call, and refuses what others called."""
    if not _CALLED.search(contents):
        return contents
    try:
        turns = [turn | _with_signed_call(turn) for turn in _OBJECTS.decode(contents)]
    except MALFORMED:  # Google will say what is wrong with it
        return contents
    return msgspec.Raw(msgspec.json.encode(turns))


def _with_signed_call(turn: Fields) -> Fields:
    parts = _OBJECTS.decode(turn.get("parts", _NOTHING))
    call = next((part for part in parts if part.keys() & {"functionCall", "function_call"}), None)
    if call is None or any(call.get(name, _NULL) not in _NO_TEXT for name in _SIGNATURES):
        return {}
    for name in _SIGNATURES:
        call.pop(name, None)
    call["thoughtSignature"] = _UNSIGNED
    return {"parts": msgspec.Raw(msgspec.json.encode(parts))}


def decode_signature(signature: str) -> Thinking:
    """A signature in Gemini's dialect -> a neutral thought without words."""
    if signature.startswith(_SEALED_PREFIX):
        return Thinking(redacted=_unwrapped(signature, _SEALED))
    if signature.startswith(_SIGNED_PREFIX):
        return Thinking(signature=_unwrapped(signature, _SIGNED))
    return Thinking(signature=GEMINI + signature)


def sign(parts: list[Part], signature: str) -> None:
    """Add the signature of a part of Gemini's: it ends the thought that is open, or is a thought without words."""
    if signature in _NO_SIGNATURES:
        return
    thought, last = decode_signature(signature), parts[-1] if parts else None
    if thought.signature and isinstance(last, Thinking) and last.signature is None and last.redacted is None:
        parts[-1] = msgspec.structs.replace(thought, text=last.text)
    else:
        parts.append(thought)


def encode_signature(signature: str | None, redacted: str | None = None) -> str | None:
    """A neutral thought's signature or seal, as Gemini's dialect carries it."""
    if redacted is not None:
        return b64encode(_SEALED + redacted.encode()).decode()
    if not signature:
        return None
    if signature.startswith(GEMINI):
        return signature.removeprefix(GEMINI)
    return b64encode(_SIGNED + signature.encode()).decode()


def _unwrapped(signature: str, mark: bytes) -> str:
    """What was damaged on its way goes on all the same: who has signed it will say so."""
    try:
        return b64decode(standard_base64(signature)).removeprefix(mark).decode()
    except ValueError:  # no base64, or no text
        return signature


def standard_base64(data: str) -> str:
    """Google's JSON takes the alphabet of URLs too (its Python client writes it), and padding left out."""
    standard = data.replace("-", "+").replace("_", "/")
    return standard + "=" * (-len(standard) % 4)
