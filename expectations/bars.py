"""Bars as inline SVG: a picture that needs no script and reads aloud as a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT, _FOOT = 960, 200, 18
_LABELS = 12


@dataclass(frozen=True)
class Bar:
    """One bar; `usual` draws a line across it, and `off` marks what is not allowed."""

    name: str
    value: int
    usual: int | None = None
    off: bool = False


def bars(drawn: Sequence[Bar], title: str) -> str:
    """The bars side by side, from zero to the highest."""
    top = max([1, *(bar.value for bar in drawn), *(bar.usual or 0 for bar in drawn)])
    step = _WIDTH / max(1, len(drawn))
    every = -(-len(drawn) // _LABELS)
    parts = []
    for place, bar in enumerate(drawn):
        x, height = place * step, _HEIGHT * bar.value / top
        said = f"{bar.name}: {bar.value:,} rows" + (f", usually {bar.usual:,}" if bar.usual is not None else "")
        shape = f'x="{x + step * 0.1:.1f}" y="{_HEIGHT - height:.1f}" width="{step * 0.8:.1f}" height="{height:.1f}"'
        parts.append(f'<rect class="{"off" if bar.off else "bar"}" {shape}><title>{escape(said)}</title></rect>')
        if bar.usual is not None:
            y = _HEIGHT - _HEIGHT * bar.usual / top
            parts.append(f'<line class="usual" x1="{x:.1f}" x2="{x + step:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>')
        if place % every == 0:
            parts.append(f'<text x="{x:.1f}" y="{_HEIGHT + 14}">{escape(bar.name)}</text>')
    return (
        f'<svg role="img" aria-label="{escape(title)}, at most {top:,}" viewBox="0 0 {_WIDTH} {_HEIGHT + _FOOT}">\n' + "\n".join(parts) + "\n</svg>"
    )
