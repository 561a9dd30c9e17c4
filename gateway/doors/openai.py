"""OpenAI's door: what its SDKs call when only their base URL is changed."""

from gateway.asgi import Door
from gateway.doors.chat import answer_chat
from gateway.doors.embeddings import answer_embeddings
from gateway.doors.models import list_models, show_model
from gateway.doors.responses import answer_responses
from wire import openai_chat, openai_completions, openai_embeddings, openai_responses

ROUTES = {
    ("POST", "/v1/chat/completions"): Door("openai.chat", openai_chat, answer_chat),
    ("POST", "/v1/completions"): Door("openai.completions", openai_completions, answer_chat),
    ("POST", "/v1/embeddings"): Door("openai.embeddings", openai_embeddings, answer_embeddings),
    ("POST", "/v1/responses"): Door("openai.responses", openai_responses, answer_responses),
    ("GET", "/v1/models"): Door("openai.models", openai_chat, list_models),
}
PREFIXES = {
    ("GET", "/v1/models/"): Door("openai.models", openai_chat, show_model),
}
