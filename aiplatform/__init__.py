"""Wiring: settings, URLs, ASGI, Celery and the home page."""
