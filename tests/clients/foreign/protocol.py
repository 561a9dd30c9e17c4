"""How a test plays a foreign client: a process in that client's own environment takes orders and tells outcomes.

An order is a line of JSON on stdin, with the members of `Order`; its outcome a line of JSON on stdout: what the
scenario returned, or `{"error": {"kinds", "status", "message"}}`, where `kinds` names the exception's class and its
bases.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
QUESTION = "Is it warmer in Paris or in Oslo?"
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="  # one red pixel
)
WEATHER = {"Paris": "21 degrees", "Oslo": "4 degrees"}
PERSON = {
    "title": "Person",
    "description": "A person.",
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


@dataclass(frozen=True, kw_only=True)
class Order:
    """Play `scenario` with `client`, which is given this address and key and nothing else to find the platform."""

    client: str
    scenario: str
    base_url: str
    key: str
    model: str


Scenario = Callable[[Order], Json]


def serve(scenarios: Mapping[str, Scenario]) -> None:
    """Play what is ordered until stdin ends. Whatever a library prints goes to stderr."""
    outcomes, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        order = Order(**json.loads(line))
        print(json.dumps(_outcome(scenarios[order.scenario], order)), file=outcomes, flush=True)


def _outcome(scenario: Scenario, order: Order) -> Json:
    try:
        return scenario(order)
    except Exception as error:  # noqa: BLE001  # whatever a library raises is what the test wants to see
        return {"error": _told(error)}


def _told(error: Exception) -> Json:
    kinds = [f"{kind.__module__.partition('.')[0]}.{kind.__name__}" for kind in type(error).__mro__]
    return {"kinds": kinds, "status": getattr(error, "status_code", None), "message": str(error)}
