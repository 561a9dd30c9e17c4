"""A saved provider is tested at once by the background worker, not with the next round."""

from __future__ import annotations

from typing import Any

from tests.admin.modelhost import ModelHost
from tests.conftest import NewProduct
from tests.journeys import operating
from tests.product import Product
from tests.servers import wait_until

_SOON_S = 45  # a round starts each minute


def health(product: Product, provider_id: str) -> dict[str, Any]:
    listed = product.request("GET", "/api/ai-providers/health/check", key=product.manage_key).json()["providers"]
    found: dict[str, Any] = next(each for each in listed if each["id"] == provider_id)
    return found


def test_a_new_provider_is_checked_and_its_models_found(new_product: NewProduct) -> None:
    with ModelHost() as host, new_product(jobs=True) as product:
        body = {"name": "House", "type": "CUSTOM", "endpoint": host.url, "model": "house-small"}
        made = product.request("POST", "/api/ai-providers", body=body, key=product.manage_key).json()

        wait_until(
            lambda: health(product, made["id"])["status"] == "healthy", timeout_s=_SOON_S, what="the first check"
        )

        models = f"/api/ai-providers/{made['id']}/models"
        offered = product.request("GET", models, key=product.manage_key).json()["models"]
        assert {each["name"]: each["verdict"] for each in offered} == {"house-large": "new", "house-small": "here"}
        added = product.request("POST", models, body={"models": ["house-large"]}, key=product.manage_key)
        assert added.json() == {"added": ["house/house-large"]}
        _only_who_may_use_all_models_is_told_which_there_are(product, made["slug"])


def _only_who_may_use_all_models_is_told_which_there_are(product: Product, slug: str) -> None:
    restricted = {"client": "default", "allowedModels": ["demo"]}
    key = operating.manage(product, "POST", "/api/accounts/keys", restricted)["key"]
    product.until_in_force()

    path = f"/api/v1/providers/{slug}/health"
    whole, told = (product.request("GET", path, key=each).json()["last_check"] for each in (product.key, key))

    assert "offered" in whole["detail"]
    assert told == whole | {"detail": ""}
