"""Fields by which a caller has a call charged at another price: refused by name at every door, also where the body
would pass through.

The hold and the books know one price of a model, its standard one; the tables say what asks for that. Sources:
openai-python 3.54.0, `types/chat/completion_create_params.py` and `types/beta/beta_service_tier.py`;
Groq's API reference, whose standard tier is `on_demand`; Anthropic's
documentation on fast mode and on data residency; google-genai 3.4.0, `types.ServiceTier`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wire.body import ANY, NOTHING, Fields
from wire.errors import unsupported

Standard = Mapping[str, list[Any]]

OPENAI: Standard = {"service_tier": ["auto", "default", "on_demand"]}
ANTHROPIC: Standard = {"speed": ["standard"], "inference_geo": ["global"]}
GEMINI: Standard = {"serviceTier": ["unspecified", "standard", "SERVICE_TIER_UNSPECIFIED"]}


def refuse_other_prices(fields: Fields, standard: Standard) -> None:
    for name, allowed in standard.items():
        if name in fields and ANY.read(fields, name) not in (*NOTHING, *allowed):
            raise unsupported(name, f"may only be {' or '.join(allowed)}: no other price of a model is known here.")
