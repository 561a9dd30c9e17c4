"""What an operator does to a running product through its management API, and what its books then say."""

from __future__ import annotations

import functools
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

from tests.product import Answer, Product
from tests.servers import PATIENCE_S, wait_until

_numbers = itertools.count(1)
_PLAYS = 4
_TIMES = 8  # connections are new each time, so that all web processes have had their say
AFTER_THE_REST = -20  # a provider of this priority answers no call that was meant for another
INPUT_PICO, OUTPUT_PICO = 2_500_000, 10_000_000  # a token, at the scripted provider's $2.50 and $10 a million


def manage(product: Product, method: str, path: str, body: Any = None) -> Any:
    """A call of the management API that must succeed."""
    answer = product.request(method, path, body=body, key=product.manage_key)
    assert answer.status < 300, answer.text
    return answer.json() if answer.content else None


def add_provider(
    product: Product, *, name: str, kind: str, endpoint: str, model: str, wait: bool = True, **fields: Any
) -> str:
    """A provider of one model, as specification D's flat body makes it; its id. `wait`: until calls can reach it.

    Unless told otherwise it is asked once a call, and its circuit stays closed: a scripted fault is one failure.
    """
    body = {
        "name": name,
        "type": kind.upper(),
        "endpoint": endpoint,
        "apiKey": f"sk-canary-{name}",
        "model": model,
        "pricing": {"inputTokenCost": 0.0025, "outputTokenCost": 0.01},
        "priority": AFTER_THE_REST,
        "retryAttempts": 1,
        "failureThreshold": 10_000,
        **fields,
    }
    made: str = manage(product, "POST", "/api/ai-providers", body)["id"]
    if wait:
        product.until_in_force()
    return made


def limited_key(product: Product, **limits: int) -> str:
    """A new key with limits of its own, of a new client, known to the doors."""
    name = f"bounded-{next(_numbers)}"
    manage(product, "POST", "/api/accounts/clients", {"name": name})
    made: str = manage(product, "POST", "/api/accounts/keys", {"client": name, **limits})["key"]
    product.until_in_force()
    return made


def answer_known_names_alone(product: Product) -> None:
    """Switch the demo's catch-all route off, so that an unknown model is an error."""
    for route in manage(product, "GET", "/api/ai-providers/routes")["results"]:
        manage(product, "PATCH", f"/api/ai-providers/routes/{route['id']}", {"catchAll": False})
    product.until_in_force()


def until_ready(product: Product) -> None:
    """The database of a busy machine may have been slow just now, and who asks has been told so."""
    wait_until(lambda: product.request("GET", "/readyz").status == 200, what="the product to be ready")


def until_all_agree(condition: Callable[[], bool]) -> None:
    """Wait for what the web processes find out each by itself."""
    wait_until(lambda: all(condition() for _ in range(_TIMES)), what="all web processes to agree")


def rows(product: Product, request_id: str) -> list[dict[str, Any]]:
    """What the books hold of a call, in the order of its attempts; on a busy machine a row may be journalled first."""
    wait_until(lambda: not is_journalling(product), what="the journal to be in the books")
    return product.sql("SELECT * FROM usage_usagerecord WHERE request_id = %s ORDER BY attempt, id", request_id)


def row(product: Product, request_id: str) -> dict[str, Any]:
    """The one row of a call, as soon as it is there."""
    wait_until(lambda: rows(product, request_id), what=f"a usage row of {request_id}")
    (only,) = rows(product, request_id)
    return only


def row_of(product: Product, answer: Answer) -> dict[str, Any]:
    return row(product, answer.headers["x-request-id"])


def is_journalling(product: Product) -> bool:
    """Whether rows wait for their database, on disk."""
    journals = (product.state_dir / "journal").glob("*.journal")
    return any(path.stat().st_size for path in journals if path.exists())


def settled(product: Product, *others: Product, timeout_s: float = PATIENCE_S) -> None:
    """Wait until nothing is held, and no journal of these installations waits to be replayed."""

    def is_quiet() -> bool:
        return not any(map(is_journalling, (product, *others))) and open_holds(product) == 0

    wait_until(is_quiet, timeout_s=timeout_s, what="the books to close")


def open_holds(product: Product) -> int:
    count: int = product.sql("SELECT count(*) AS holds FROM usage_hold")[0]["holds"]
    return count


def cost_pico(input_tokens: int, output_tokens: int) -> int:
    """At the scripted provider's prices."""
    return input_tokens * INPUT_PICO + output_tokens * OUTPUT_PICO


def usd(pico: int) -> Decimal:
    return Decimal(pico).scaleb(-12)


def again_if_redis_was_slow(test: Callable[..., None]) -> Callable[..., None]:
    """Plays a test again, up to four times in all, where its product has lost Redis meanwhile, which nobody took away.

    The product waits 0.09 s for it, and a busy machine may take longer. What a test makes has new names each time.
    """

    @functools.wraps(test)
    def played(**given: Any) -> None:
        products = [each for each in given.values() if isinstance(each, Product)]
        for _ in range(_PLAYS - 1):
            before = sum(map(_losses_of_redis, products))
            try:
                return test(**given)
            except AssertionError:
                if sum(map(_losses_of_redis, products)) == before:
                    raise
            wait_until(lambda: all(map(_has_redis, products)), what="Redis to answer again")
            given["upstream"].reset()
        return test(**given)

    return played


def _losses_of_redis(product: Product) -> int:
    """How often one of its processes has said that Redis, for its limits or its cache, does not answer."""
    return product.log().count("Redis does not answer")


def _has_redis(product: Product) -> bool:
    return product.log().count("Redis answers again") >= _losses_of_redis(product)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """The block takes no longer."""
    began = time.monotonic()
    yield
    taken = time.monotonic() - began
    assert taken <= seconds, f"took {taken:.2f} s, not {seconds:g} s"
