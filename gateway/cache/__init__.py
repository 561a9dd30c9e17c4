"""Answers kept for callers who ask the same again: whose they are, where they lie, and how one call serves many.

See docs/cache.md.
"""
