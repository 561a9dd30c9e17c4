"""Anthropic's door, also under /anthropic for clients whose base URL holds more than the host."""

from gateway.asgi import Door
from gateway.doors.chat import answer_chat
from wire import anthropic_messages

_MESSAGES = Door("anthropic.messages", anthropic_messages, answer_chat)

ROUTES = {
    ("POST", "/v1/messages"): _MESSAGES,
    ("POST", "/anthropic/v1/messages"): _MESSAGES,
}
