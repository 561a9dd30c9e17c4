"""A POST to a webhook, through the guard of `core.egress`: redirects are not followed, little of the answer is read."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ValidationError

from alerts.channels.base import DeliveryError
from core.egress import EgressRefusedError
from core.http import UnacceptableAnswerError, open_client, validate_address

TIMEOUT_S = 15.0  # of each step: connecting, sending, every part of the answer
_ANSWER_CHARS = 200
_LIKE_A_SECRET = 8  # characters; shorter pieces of an address are words
_TRY_LATER = (408, 425, 429)


def post(url: str, body: bytes, headers: Mapping[str, str]) -> str:
    """What the other side answered. Raises `DeliveryError`, whose text never holds the address: it may be a secret."""
    import httpx2  # noqa: PLC0415 - it takes long to import, and only workers post

    try:
        validate_address(url, may_have_query=True)
        with open_client(timeout_s=TIMEOUT_S) as client:
            answer = client.post(url, content=body, headers={"Content-Type": "application/json", **headers})
    except (ValidationError, EgressRefusedError) as error:
        text = error.messages[0] if isinstance(error, ValidationError) else str(error)
        raise DeliveryError(text, retryable=False) from None
    except httpx2.TimeoutException:
        raise DeliveryError(f"It did not answer within {TIMEOUT_S:.0f} seconds.", retryable=True) from None
    except UnacceptableAnswerError as error:  # nothing but the status matters of what was taken
        return _judged(error.status, "")
    except (httpx2.HTTPError, OSError) as error:
        raise DeliveryError(f"It could not be reached ({type(error).__name__}).", retryable=True) from None
    return _judged(answer.status_code, _without_address(answer.text.strip(), url)[:_ANSWER_CHARS])


def _without_address(said: str, url: str) -> str:
    """Some repeat in a refusal what was asked of them, in a form of their own: so its long pieces go by themselves."""
    parts = urlsplit(url)
    path = parts.path.strip("/")
    pieces = [each for each in re.split("[/?&=]", f"{path}?{parts.query}") if len(each) >= _LIKE_A_SECRET]
    for part in (parts.query, path, *pieces):
        for form in (part, html.escape(part), unquote(part)):
            said = said.replace(form, "…") if form else said
    return said


def _judged(status: int, said: str) -> str:
    if 200 <= status < 300:
        return f"Accepted ({status})."
    retryable = status >= 500 or status in _TRY_LATER
    raise DeliveryError(f"It answered with status {status}{f': {said}' if said else '.'}", retryable=retryable)
