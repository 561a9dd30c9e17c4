"""Charts as PNG, for mail programs: they show no scripts and no SVG. Drawn larger than shown, for sharp screens."""

from __future__ import annotations

import io
from collections.abc import Sequence

import msgspec
from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 568, 236  # as shown
COLOURS = ("#2563eb", "#0d9488", "#d97706", "#7c3aed", "#94a3b8")
_SCALE = 2  # pixels of the picture to one as shown
_SMOOTH = 2  # drawn larger still, then shrunk: edges without steps
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 4, 12, 30
_TEXT = 14  # still legible where a phone shows the picture at six tenths
_LINES = 4
_ROUND = (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10, 20)  # in powers of ten; a quarter of each is round too
_INK, _GRID, _PAPER = "#64748b", "#e2e8f0", "#ffffff"


class Bar(msgspec.Struct, frozen=True):
    """`label` is shown below it, or nothing; `parts` are stacked from below, in the colours' order."""

    label: str
    parts: Sequence[float]


def stacked_bars(bars: Sequence[Bar]) -> bytes:
    """Dollars as bars, as a PNG."""
    zoom = _SCALE * _SMOOTH
    picture = Image.new("RGB", (WIDTH * zoom, HEIGHT * zoom), _PAPER)
    pen = ImageDraw.Draw(picture)
    top = nice_ceiling(max((sum(bar.parts) for bar in bars), default=0))
    _draw_grid(pen, top, zoom)
    _draw_bars(pen, bars, top, zoom)
    small = picture.resize((WIDTH * _SCALE, HEIGHT * _SCALE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.quantize(128).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def nice_ceiling(most: float) -> float:
    """The smallest round number that is not below `most`, as an axis has it; 1 for nothing."""
    most = round(most, 12)  # 0.7 and three times 0.1 add up to a little less than 1
    if most <= 0:
        return 1.0
    power = 10.0 ** (len(str(int(most))) - 1) if most >= 1 else 10.0 ** -len(_zeros(most))
    return next(factor * power for factor in _ROUND if factor * power >= most)


def _zeros(below_one: float) -> str:
    """The zeros after the point, and the first digit."""
    digits = f"{below_one:.12f}".partition(".")[2]
    return digits[: len(digits) - len(digits.lstrip("0")) + 1]


def _draw_grid(pen: ImageDraw.ImageDraw, top: float, zoom: int) -> None:
    for number in range(_LINES + 1):
        value = top * number / _LINES
        y = _y(value, top)
        pen.line([(_LEFT * zoom, y * zoom), ((WIDTH - _RIGHT) * zoom, y * zoom)], fill=_GRID, width=zoom)
        pen.text(((_LEFT - 8) * zoom, y * zoom), _dollars(value, top), fill=_INK, font=_font(zoom), anchor="rm")


def _draw_bars(pen: ImageDraw.ImageDraw, bars: Sequence[Bar], top: float, zoom: int) -> None:
    step = (WIDTH - _LEFT - _RIGHT) / max(len(bars), 1)
    thick = min(step * 0.68, 44)
    for number, bar in enumerate(bars):
        middle = _LEFT + step * (number + 0.5)
        base = 0.0
        for part, colour in zip(bar.parts, COLOURS, strict=False):
            if part > 0:
                box = [middle - thick / 2, _y(base + part, top), middle + thick / 2, _y(base, top)]
                pen.rectangle([edge * zoom for edge in box], fill=colour)
            base += part
        half = pen.textlength(bar.label, _font(zoom)) / 2
        x = min(middle * zoom, WIDTH * zoom - half)  # the last one does not run over the edge
        pen.text((x, (HEIGHT - 8) * zoom), bar.label, fill=_INK, font=_font(zoom), anchor="ms")


def _y(value: float, top: float) -> float:
    return HEIGHT - _BOTTOM - (HEIGHT - _BOTTOM - _TOP) * value / top


def _font(zoom: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_TEXT * zoom)


def _dollars(value: float, top: float) -> str:
    if top >= 1_000_000:
        return f"${value / 1_000_000:,.3g}M" if value else "$0"
    if top >= 10_000:
        return f"${value / 1000:,.3g}k" if value else "$0"
    return f"${value:,.{_digits(top / _LINES)}f}" if value else "$0"


def _digits(step: float) -> int:
    """How many a grid line's value needs, so that none is shown rounded: 0, or at least cents."""
    if step == int(step):
        return 0
    return next(digits for digits in range(2, 13) if digits == 12 or abs(step * 10**digits % 1 - 0.5) > 0.499_999)
