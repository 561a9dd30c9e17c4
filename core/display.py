"""How figures read to people, on every admin page: money, prices, counts, times and coloured labels."""

from __future__ import annotations

from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Literal

from django.template.loader import render_to_string
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from core.money import PICO_PER_USD, usd_text

MOST_OFFERED = 200  # of a longer list nobody chooses: what is sought is typed

Tone = Literal["success", "warning", "danger", "info", "primary", "default"]


def dollars(amount_pico: int | None) -> str:
    """`$0.0000125`, `$1,234.5`: exact, for one call; `unknown` where nobody knows."""
    if amount_pico is None:
        return "unknown"
    sign = "-" if amount_pico < 0 else ""
    whole, point, rest = usd_text(abs(amount_pico)).partition(".")
    return f"{sign}${int(whole):,}{point}{rest}"


def dollars_rounded(amount_pico: int | None) -> str:
    """`$1,234.56`, or `$0.0123` below a dollar (`$0.50`): for sums, where the exact figure would only be noise."""
    if amount_pico is None:
        return "unknown"
    amount = abs(Decimal(amount_pico)) / PICO_PER_USD
    sign = "-" if amount_pico < 0 else ""
    if amount_pico == 0 or amount >= 1:
        return f"{sign}${amount:,.2f}"
    if amount >= Decimal("0.01"):
        return f"{sign}${amount:.4f}".removesuffix("00")
    if amount >= Decimal("0.0001"):
        return f"{sign}${amount:.2g}"
    return "over -$0.0001" if sign else "under $0.0001"


def rate(amount: Decimal | None, currency: str = "USD") -> str:
    """A price per million tokens: `$2.50`, `$0.075`, `1.20 EUR`; a dash where there is none of its own."""
    if amount is None:
        return "–"
    digits = plain(amount)
    whole, _, fraction = digits.partition(".")
    text = f"{int(whole):,}.{fraction.ljust(2, '0')}" if fraction else f"{int(whole):,}"
    return f"${text}" if currency == "USD" else f"{text} {currency}"


def plain(amount: Decimal) -> str:
    """The exact number without trailing zeros and never in exponent form."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def count(number: int) -> str:
    """`950`, `12,345`, `1.2 M`, `3.4 B`."""
    if number >= 10**9:
        return f"{number / 10**9:.1f} B"
    return f"{number / 10**6:.1f} M" if number >= 10**6 else f"{number:,}"


def milliseconds(value: float | None) -> str:
    """`340 ms`, `2.4 s`; a dash where it was not measured."""
    if value is None:
        return "–"
    return f"{value:,.0f} ms" if value < 1000 else f"{value / 1000:,.1f} s"


def ago(moment: datetime | None, *, now: datetime) -> str:
    """`3 minutes ago`."""
    if moment is None:
        return "never"
    seconds = max(0, int((now - moment).total_seconds()))
    if seconds < 60:
        return "just now"
    size, name = next(unit for unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")) if seconds >= unit[0])
    number = seconds // size
    return f"{number} {name}{'' if number == 1 else 's'} ago"


def day(moment: datetime, zone: tzinfo | None = None) -> str:
    """`3 Nov 2025`, by the reader's clock, or in `zone`."""
    return f"{_local(moment, zone):%-d %b %Y}"


def minute(moment: datetime, zone: tzinfo | None = None) -> str:
    """`3 Nov 2025, 14:05`, by the reader's clock, or in `zone`."""
    return f"{_local(moment, zone):%-d %b %Y, %H:%M}"


def _local(moment: datetime, zone: tzinfo | None) -> datetime:
    """As it is kept where the reader's clock has no such year: rows may be older than `moment_of_any_clock`."""
    try:
        return timezone.localtime(moment, zone)
    except OverflowError:
        return moment


def label(text: str, tone: Tone, *, title: str = "") -> SafeString:
    """A coloured label; `title` is what hovering tells."""
    context = {"text": text, "type": tone, "label_title": title, "class": "aip-label"}
    return mark_safe(render_to_string("unfold/helpers/label.html", context))  # noqa: S308 -- the template escapes


def two_lines(first: str, second: str) -> SafeString:
    """A table cell's fact with a quieter one below it."""
    return format_html('<span class="aip-two"><span>{}</span><small>{}</small></span>', first, second)


def with_link(text: str, url: str, link_text: str) -> SafeString:
    """A sentence with what to do about it."""
    return format_html("{} {}", text, link(url, link_text))


def link(url: str, text: str) -> SafeString:
    return format_html('<a class="aip-link" href="{}">{}</a>', url, text)
