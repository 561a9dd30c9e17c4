"""The whole way, in the real product: calls fail, the worker looks, and an e-mail is there."""

from __future__ import annotations

from tests.alerts.receivers import MailReceiver
from tests.conftest import NewProduct
from tests.journeys import operating
from tests.product import Product
from tests.servers import wait_until
from tests.upstream import Fault, Upstream

_LOOK = "from alerts.tasks import evaluate_rules; evaluate_rules.delay()"


def test_failing_calls_bring_an_email_through_the_worker(new_product: NewProduct, upstream: Upstream) -> None:
    upstream.always("up-chat", Fault(status=500))
    with MailReceiver() as mail, new_product(env={"EMAIL_URL": mail.url}, jobs=True) as product:
        _make(product, "channels", {"name": "On-call", "kind": "email", "address": "oncall@example.com"})
        rule = {"name": "Any failure", "measure": "error_share", "scope": "provider", "limit": "1"}
        _make(product, "rules", rule | {"channels": ["On-call"]})
        for _ in range(3):
            assert product.chat(model="up-chat").status == 502
        operating.settled(product)
        [alert] = product.request("GET", "/api/ai-providers/alerts", key=product.manage_key).json()["alerts"]
        assert (alert["provider"], alert["value"], alert["state"]) == ("upstream", 100, "new")

        product.manage("shell", "-c", _LOOK)
        product.manage("shell", "-c", _LOOK)
        wait_until(lambda: mail.mails, what=f"an e-mail; the log: {product.log()[-2000:]}")

        [alert] = product.request("GET", "/api/ai-providers/alerts", key=product.manage_key).json()["alerts"]
        assert alert["state"] == "open"
        assert [each["Subject"] for each in mail.mails] == ["Alert: Any failure (upstream)"]
        body = mail.mails[0].get_body(("plain",))
        assert body is not None
        assert f"/admin/alerts/incident/{alert['id']}/change/" in body.get_content()


def test_an_open_circuit_is_told_of_where_there_is_no_redis(new_product: NewProduct, upstream: Upstream) -> None:
    upstream.always("up-chat", Fault(status=500))
    with MailReceiver() as mail, new_product(env={"EMAIL_URL": mail.url}, jobs=True) as product:
        _make(product, "channels", {"name": "On-call", "kind": "email", "address": "oncall@example.com"})
        watched = {"measure": "provider_down", "scope": "provider", "subject": "upstream"}
        _make(product, "rules", {"name": "Left alone", **watched})
        product.sql("UPDATE providers_provider SET failure_threshold = 2 WHERE slug = 'upstream'")
        product.restart()
        statuses = [product.chat(model="up-chat").status for _ in range(4)]
        assert statuses[-1] == 503

        def is_told() -> bool:
            product.manage("shell", "-c", _LOOK)
            return any(each["Subject"] == "Alert: Left alone (upstream)" for each in mail.mails)

        wait_until(is_told, what=f"an e-mail; the log: {product.log()[-2000:]}")


def _make(product: Product, what: str, body: dict[str, object]) -> None:
    answer = product.request("POST", f"/api/alerts/{what}", body=body, key=product.manage_key)
    assert answer.status == 201, answer.text
