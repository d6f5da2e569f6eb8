"""Line charts as SVG text: curves over steps, without a library, a script or a file beside them."""

import html
import math
from collections.abc import Sequence
from typing import NamedTuple

# Okabe & Ito's palette, distinct for the color-blind.
BLUE, ORANGE, GREEN = "#0072B2", "#D55E00", "#009E73"
WIDTH, HEIGHT = 640, 240
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 28, 28  # margins, px
POINTS = 400  # of a curve; more are averaged, since nobody sees them


class Curve(NamedTuple):
    """Values over ascending steps; `dots` marks each, for a curve of few."""

    label: str
    steps: Sequence[int]
    values: Sequence[float]
    color: str = BLUE
    dots: bool = False


def thinned(curve: Curve) -> Curve:
    """At most `POINTS` points, each the mean of as many neighbors; only of finite numbers."""
    pairs = [(s, v) for s, v in zip(curve.steps, curve.values, strict=True) if math.isfinite(v)]
    size = -(-len(pairs) // POINTS) or 1
    groups = [pairs[i : i + size] for i in range(0, len(pairs), size)]
    steps = [group[len(group) // 2][0] for group in groups]
    return curve._replace(
        steps=steps, values=[sum(v for _, v in group) / len(group) for group in groups]
    )


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Round numbers from `low` to `high`, at most so many."""
    if not high > low:
        return [low]
    raw = (high - low) / most
    power = 10 ** math.floor(math.log10(raw))
    unit = next(power * n for n in (1, 2, 5, 10) if power * n >= raw * (1 - 1e-9))
    first = math.ceil(low / unit - 1e-9)
    return [unit * n for n in range(first, math.floor(high / unit + 1e-9) + 1)]


def chart(title: str, curves: Sequence[Curve]) -> str:
    """One chart of all curves on common axes; "" if none has a number."""
    curves = [curve for curve in map(thinned, curves) if curve.steps]
    if not curves:
        return ""
    values = [v for curve in curves for v in curve.values]
    steps = [s for curve in curves for s in curve.steps]
    low, high, last = min(0.0, *values), max(values), max(max(steps), 1)
    high += (high - low) * 0.05 or 1.0

    def x(step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * step / last

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / (high - low)

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" '
        f'aria-label="{html.escape(title)}">',
        f'<text x="{LEFT}" y="16" class="title">{html.escape(title)}</text>',
    ]
    for value in ticks(low, high):
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" '
            f'y2="{y(value):.1f}"/>'
            f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>'
        )
    for step in ticks(0, last):
        parts.append(
            f'<text x="{x(step):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{step:g}</text>'
        )
    for number, curve in enumerate(curves):
        points = [(x(s), y(v)) for s, v in zip(curve.steps, curve.values, strict=True)]
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        parts.append(f'<polyline points="{path}" stroke="{curve.color}"/>')
        if curve.dots or len(points) == 1:
            parts += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{curve.color}"/>'
                      for a, b in points]  # fmt: skip
        parts.append(
            f'<text x="{WIDTH - RIGHT - 120 * number}" y="16" text-anchor="end" '
            f'style="fill:{curve.color}">{html.escape(curve.label)}</text>'
        )
    return "".join([*parts, "</svg>"])
