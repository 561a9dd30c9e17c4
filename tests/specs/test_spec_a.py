"""Specification A's examples, as printed."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.specs.conftest import Installation

GENERATE = {
    "prompt": "Explain machine learning",
    "provider": "openai",
    "max_tokens": 500,
    "temperature": 0.7,
    "use_cache": True,
}
CURL = {"prompt": "Explain AI", "provider": "openai", "max_tokens": 500}


def test_health_check(installation: Installation) -> None:
    assert installation.product.request("GET", "/health").json()["status"] == "ok"


@pytest.mark.parametrize("body", [GENERATE, CURL], ids=["endpoint", "curl"])
def test_generate_text(installation: Installation, body: dict[str, Any]) -> None:
    told = installation.post("/generate", body).json()

    assert set(told) == {"text", "provider", "model", "usage", "cached", "cost_usd"}
    assert told["provider"] == installation.provider("openai")
    assert told["text"]
    assert set(told["usage"]) == {"prompt_tokens", "completion_tokens", "total_tokens"}
    assert told["cost_usd"] is not None


def test_generate_text_from_python(installation: Installation) -> None:
    """As in its usage example, with a key."""
    with httpx.Client(headers={"Authorization": f"Bearer {installation.product.key}"}) as client:
        response = client.post(
            f"{installation.product.base_url}/generate",
            json={"prompt": "Write a Python function for fibonacci", "provider": "openai", "max_tokens": 500},
        )
        assert response.json()["text"]


def test_an_identical_prompt_is_answered_from_the_cache(installation: Installation) -> None:
    body = GENERATE | {"prompt": "Explain caches"}
    first, again = installation.post("/generate", body).json(), installation.post("/generate", body).json()

    assert (first["cached"], again["cached"]) == (False, True)
    assert again["text"] == first["text"]
    assert again["cost_usd"] == 0


def test_list_providers(installation: Installation) -> None:
    listed = installation.get("/providers").json()["providers"]
    assert installation.provider("openai") in {each["name"] for each in listed}


def test_clear_cache(installation: Installation) -> None:
    product = installation.product
    installation.post("/generate", GENERATE | {"prompt": "Explain forgetting"})

    cleared = product.request("POST", "/cache/clear", key=product.manage_key)

    assert (cleared.status, set(cleared.json())) == (200, {"cleared"})
    assert installation.post("/generate", GENERATE | {"prompt": "Explain forgetting"}).json()["cached"] is False


def test_cache_health(installation: Installation) -> None:
    assert installation.get("/cache/health").json()["status"] == "ok"
