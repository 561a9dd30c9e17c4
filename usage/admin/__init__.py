"""The pages on which people read what was used, and set budgets."""

from usage.admin import books, budgets, calls, flight

__all__ = ["books", "budgets", "calls", "flight"]
