"""How the admin looks: django-unfold's settings. Fonts, icons and charts come with it: nothing from other hosts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy

from aiplatform import reader_zone

Item = dict[str, Any]


def _static(path: str) -> Callable[[HttpRequest], str]:
    return lambda _request: static(path)


def _may_view(permission: str) -> Callable[[HttpRequest], bool]:
    return lambda request: request.user.has_perm(permission)


def _page(title: str, icon: str, model: str) -> Item:
    """A sidebar line for a model's list, shown to those who may see it. `icon` is a Material Symbols name."""
    app, name = model.split(".")
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app}_{name}_changelist"),
        "permission": _may_view(f"{app}.view_{name}"),
    }


_NAVIGATION: list[Item] = [
    {"items": [{"title": "Home", "icon": "space_dashboard", "link": reverse_lazy("admin:index")}]},
    {
        "title": "Where calls go",
        "separator": True,
        "items": [
            _page("Providers", "hub", "providers.provider"),
            _page("Models", "deployed_code", "providers.deployment"),
            _page("Prices", "sell", "providers.price"),
            _page("Exchange rates", "currency_exchange", "providers.exchangerate"),
            _page("Routes", "alt_route", "providers.route"),
            _page("Vector collections", "scatter_plot", "vectors.vectorcollection"),
            {
                "title": "Where would a call go?",
                "icon": "explore",
                "link": reverse_lazy("dry_run"),
                "permission": _may_view("providers.view_route"),
            },
            {
                "title": "Try a model",
                "icon": "forum",
                "link": reverse_lazy("playground"),
                "permission": lambda request: request.user.is_staff,
            },
        ],
    },
    {
        "title": "Who calls",
        "separator": True,
        "items": [
            _page("Clients", "apps", "accounts.client"),
            _page("API keys", "vpn_key", "accounts.apikey"),
            _page("Tiers", "speed", "accounts.tier"),
            {
                "title": "API reference",
                "icon": "menu_book",
                "link": reverse_lazy("docs"),
                "permission": lambda request: request.user.is_staff,
            },
        ],
    },
    {
        "title": "What was used",
        "separator": True,
        "items": [
            _page("Calls", "receipt_long", "usage.usagerecord"),
            _page("Calls in flight", "pending", "usage.hold"),
            _page("Re-pricing", "price_change", "usage.repricing"),
            _page("Budgets", "savings", "usage.budget"),
            _page("Books", "balance", "usage.proof"),
        ],
    },
    {
        "title": "Who must know",
        "separator": True,
        "items": [
            _page("Incidents", "notification_important", "alerts.incident"),
            _page("Alert rules", "rule", "alerts.rule"),
            _page("Channels", "campaign", "alerts.channel"),
            _page("Reports", "summarize", "alerts.reportschedule"),
            _page("Deliveries", "outbox", "alerts.delivery"),
        ],
    },
    {
        "title": "Administrators",
        "separator": True,
        "items": [
            _page("Users", "person", "auth.user"),
            _page("Groups", "group", "auth.group"),
            _page("Audit trail", "history", "accounts.auditentry"),
        ],
    },
]

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "AI Platform",
    "SITE_HEADER": "AI Platform",
    "SITE_SUBHEADER": reader_zone.said,
    "SITE_SYMBOL": "hub",
    "SITE_URL": None,
    "LOGIN": {"form": "accounts.sign_in.SignInForm"},
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": _static("aiplatform/icon.svg")}],
    "SHOW_VIEW_ON_SITE": False,
    "DASHBOARD_CALLBACK": "aiplatform.dashboard.add_figures",
    "STYLES": [_static("aiplatform/admin.css")],
    "SCRIPTS": [_static("aiplatform/admin.js")],
    "BORDER_RADIUS": "6px",
    "COLORS": {
        # A calm blue; the rest of the palette is unfold's own grey.
        "primary": {
            "50": "oklch(97% .014 254.6)",
            "100": "oklch(93.2% .032 255.6)",
            "200": "oklch(88.2% .059 254.1)",
            "300": "oklch(80.9% .105 251.8)",
            "400": "oklch(70.7% .165 254.6)",
            "500": "oklch(62.3% .188 259.8)",
            "600": "oklch(54.6% .215 262.9)",
            "700": "oklch(48.8% .217 264.4)",
            "800": "oklch(42.4% .18 265.6)",
            "900": "oklch(37.9% .138 265.5)",
            "950": "oklch(28.2% .087 267.9)",
        },
    },
    "SIDEBAR": {"show_search": False, "show_all_applications": False, "navigation": _NAVIGATION},
}
