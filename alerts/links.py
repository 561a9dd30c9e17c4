"""Addresses of admin pages, as messages give them."""

from django.conf import settings
from django.urls import reverse


def page(name: str, *args: object) -> str:
    """`https://ai.example.com/admin/…` of an admin page's name."""
    public: str = settings.PUBLIC_URL
    return public.rstrip("/") + reverse(f"admin:{name}", args=args)
