"""A signed webhook for programs, after the Standard Webhooks convention (standardwebhooks.com).

`webhook-signature` is `v1,` and the base64 of HMAC-SHA256 over `webhook-id.webhook-timestamp.body`, by the secret's
bytes (base64 after `whsec_`). The id stays the same when a message is sent again. A query in the address may hold a
token: it is neither logged nor shown on lists.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from datetime import UTC, datetime

import msgspec
from django.core.exceptions import ValidationError

from alerts.channels.base import Channel, Message, Target
from alerts.channels.posting import post
from core.http import validate_address
from core.vault import Secret

_PREFIX = "whsec_"
_SECRET_BYTES = 32
_LEAST_BYTES = 24


def signature(secret: Secret, *, message_id: str, timestamp: int, body: bytes) -> str:
    key = base64.b64decode(secret.reveal().removeprefix(_PREFIX))
    signed = hmac.new(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"


def _new_secret() -> Secret:
    return Secret(_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode())


def _validate(address: str, secret: Secret) -> None:
    try:
        validate_address(address, may_have_query=True)
    except ValidationError as error:
        raise ValidationError({"address": error.messages}) from error
    try:
        long_enough = len(base64.b64decode(secret.reveal().removeprefix(_PREFIX), validate=True)) >= _LEAST_BYTES
    except (binascii.Error, ValueError):
        long_enough = False
    if not long_enough:
        raise ValidationError({"secret": f"A signing secret is {_PREFIX} and base64 of {_LEAST_BYTES} bytes or more."})


def _send(target: Target, message: Message) -> str:
    now = datetime.now(UTC)
    event = {"id": message.id, "type": message.kind, "timestamp": now, "data": message.data}
    body, sent_at = msgspec.json.encode(event), int(now.timestamp())
    signed = signature(target.secret, message_id=message.id, timestamp=sent_at, body=body)
    headers = {"webhook-id": message.id, "webhook-timestamp": str(sent_at), "webhook-signature": signed}
    return post(target.address, body, headers)


CHANNEL = Channel(
    label="Webhook (signed JSON)",
    validate=_validate,
    send=_send,
    new_secret=_new_secret,
)
