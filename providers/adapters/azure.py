"""Azure OpenAI, by its v1 API (https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle).

There the path and the body are OpenAI's, `model` is the name of a deployment, and no dated `api-version` is needed, so
that a provider is its resource's address (`https://NAME.openai.azure.com`) and a key. Every resource answers there; the
older paths, a deployment and a version in each, are not spoken.
"""

from __future__ import annotations

from providers.adapters.base import Chat, Embeddings
from providers.adapters.openai import ChatCompletions, OpenAIAdapter, Responses
from providers.specs import CredentialSpec, DeploymentSpec
from wire import openai_embeddings

PATH = "/openai/v1"


class _AzureResponses(Responses):
    def url(self, deployment: DeploymentSpec, *, stream: bool) -> str:
        del stream
        return f"{deployment.provider.address}{PATH}/responses"


class AzureAdapter(OpenAIAdapter):
    def __init__(self) -> None:
        chat: Chat = ChatCompletions(path=f"{PATH}/chat/completions", bound_field="max_completion_tokens")
        super().__init__(chat, _AzureResponses(), embeddings=Embeddings(openai_embeddings, f"{PATH}/embeddings"))

    def headers(self, deployment: DeploymentSpec, credential: CredentialSpec | None) -> dict[str, str]:
        del deployment
        headers = {"Content-Type": "application/json"}
        if credential:
            headers["api-key"] = credential.secret.reveal()
        return headers
