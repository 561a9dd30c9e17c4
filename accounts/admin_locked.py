"""Fields that a page shows, and that not everybody may change who may change the rest of it."""

from __future__ import annotations

import copy
from typing import Any


def lock(form: type[Any], *names: str, why: str) -> None:
    """Of the form class `form`, made for one request: whatever is posted, these keep the row's values."""
    for name in names:
        if name in form.base_fields:
            field = copy.copy(form.base_fields[name])  # what a form declares is shared by all requests
            field.disabled, field.help_text = True, why
            form.base_fields[name] = field
