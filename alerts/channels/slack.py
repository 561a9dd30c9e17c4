"""Slack's incoming webhooks, and whoever takes the same body (Mattermost, Rocket.Chat, Discord's /slack address).

The address itself is the secret: who knows it may post.
"""

from __future__ import annotations

import msgspec
from django.core.exceptions import ValidationError

from alerts.channels.base import Channel, Message, Target
from alerts.channels.posting import post
from core.http import validate_address
from core.vault import Secret

_COLOURS = {"critical": "#dc2626", "warning": "#d97706", "info": "#2563eb", "good": "#16a34a"}
_ESCAPED = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}


def _validate(_address: str, secret: Secret) -> None:
    if not secret.reveal():
        raise ValidationError({"secret": "Paste the webhook's address, as Slack shows it where webhooks are added."})
    try:
        validate_address(secret.reveal(), may_have_query=True)
    except ValidationError as error:
        raise ValidationError({"secret": error.messages}) from error


def _send(target: Target, message: Message) -> str:
    attachment = {
        "color": _COLOURS.get(message.tone, _COLOURS["info"]),
        "fallback": message.subject,
        "text": f"{_escaped(message.summary or message.text)}\n<{message.url}|Look at it>",
        "mrkdwn_in": ["text"],
    }
    body = {"text": f"*{_escaped(message.subject)}*", "attachments": [attachment]}
    return post(target.secret.reveal(), msgspec.json.encode(body), {})


def _escaped(text: str) -> str:
    return "".join(_ESCAPED.get(char, char) for char in text)


CHANNEL = Channel(
    label="Slack, or what takes Slack's webhooks",
    validate=_validate,
    send=_send,
)
