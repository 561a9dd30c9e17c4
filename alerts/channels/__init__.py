"""The ways to people and programs, by the name that is stored: a line here and a file beside it (docs/alerts.md)."""

from __future__ import annotations

from alerts.channels import email, slack, webhook
from alerts.channels.base import Channel, DeliveryError, File, Image, Message, Target

__all__ = ["CHANNELS", "CHOICES", "Channel", "DeliveryError", "File", "Image", "Message", "Target"]

CHANNELS: dict[str, Channel] = {
    "email": email.CHANNEL,
    "slack": slack.CHANNEL,
    "webhook": webhook.CHANNEL,
}
CHOICES = [(name, kind.label) for name, kind in CHANNELS.items()]
