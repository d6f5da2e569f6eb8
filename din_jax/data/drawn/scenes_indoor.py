"""Procedural photographs taken indoors: `f(rng, size) -> uint8 [size, size, 3]`."""

import math

import numpy as np

from din_jax.data.drawn.canvas import Canvas, random_hue


def still_life(rng: np.random.Generator, size: int) -> np.ndarray:
    """Fruit, a bottle and a bowl on a table before a wall."""
    wall = random_hue(rng, 0, 1, 0.3, rng.uniform(0.45, 0.8))
    canvas = Canvas(rng, size, wall * 1.1, wall * 0.7)
    table, cloth = rng.uniform(0.52, 0.62), random_hue(rng, 0, 1, 0.45, rng.uniform(0.5, 0.9))
    canvas.region([[0, table], [1, table], [1, 1.02], [0, 1.02]], cloth * 0.75, cloth * 1.1)
    for k in range(8):  # woven stripes of the cloth, in perspective
        x = (k + 0.5) / 8
        canvas.line(
            [[0.5 + (x - 0.5) * 0.9, table], [0.5 + (x - 0.5) * 1.9, 1.02]], cloth * 0.8, 0.004
        )
    _vessel(canvas, rng.uniform(0.2, 0.4), table + 0.12, rng.uniform(0.42, 0.58))
    if rng.random() < 0.7:
        _vessel(canvas, rng.uniform(0.62, 0.82), table + 0.1, rng.uniform(0.26, 0.38))
    for depth in np.sort(rng.uniform(0.1, 0.36, int(rng.integers(4, 8)))).tolist():
        x, radius = rng.uniform(0.12, 0.88), rng.uniform(0.055, 0.085) * (0.8 + depth)
        y = table + depth - radius * 0.8
        canvas.shadow(x - canvas.light * radius * 0.9, y + radius * 0.8, radius * 1.3, radius * 0.4)
        peel = random_hue(rng, -0.08, 0.3, 0.8, 0.9)
        canvas.ball(x, y, radius, radius * rng.uniform(0.88, 1.05), peel)
        canvas.line(
            [[x, y - radius * 0.85], [x + radius * 0.2, y - radius * 1.25]],
            (0.25, 0.17, 0.1),
            radius * 0.1,
        )
    return canvas.finish()


def _vessel(canvas: Canvas, x: float, foot: float, height: float) -> None:
    """A turned bottle or vase: a profile mirrored at its axis, lit like a cylinder."""
    rng = canvas.rng
    t = np.linspace(0, 1, 40)
    neck, belly = rng.uniform(0.25, 0.6), rng.uniform(0.16, 0.26) * height
    profile = belly * (neck + (1 - neck) * np.clip(np.sin(math.pi * (0.15 + 0.85 * t**0.8)), 0, 1))
    profile = np.where(t < 0.06, profile * 1.15, profile)
    y = foot - height * (1 - t)
    outline = np.concatenate([np.stack([x + profile, y], -1), np.stack([x - profile, y], -1)[::-1]])
    color = random_hue(rng, 0, 1, rng.uniform(0.3, 0.7), rng.uniform(0.5, 0.9))
    canvas.shadow(x - canvas.light * belly * 1.2, foot, belly * 1.7, belly * 0.35)
    canvas.ellipse(x, foot, profile[-1], profile[-1] * 0.25, color * 0.55)
    canvas.region(outline, color * 1.1, color * 0.75, sideways=0.8)
    canvas.ellipse(x, y[0], profile[0], profile[0] * 0.22, color * 0.35)
    shine = [[x + canvas.light * profile[k] * 0.55, y[k]] for k in range(9, 30)]
    canvas.line(shine, color * 0.4 + 0.6, belly * 0.1)


def portrait(rng: np.random.Generator, size: int) -> np.ndarray:
    """Head and shoulders of an invented person."""
    wall = random_hue(rng, 0, 1, 0.35, rng.uniform(0.3, 0.8))
    canvas = Canvas(rng, size, wall * 1.15, wall * 0.7)
    x, y, w, h = rng.uniform(0.46, 0.54), 0.42, rng.uniform(0.17, 0.2), rng.uniform(0.23, 0.26)
    skin = np.array([0.96, 0.76, 0.64]) * rng.uniform(0.5, 1.0)
    hair = random_hue(rng, 0.02, 0.12, rng.uniform(0.2, 0.7), rng.uniform(0.12, 0.7))
    coat = random_hue(rng, 0, 1, 0.6, rng.uniform(0.35, 0.8))
    long = rng.random() < 0.5
    canvas.ball(x, y - h * 0.18, w * 1.28, h * 1.05, hair, 0.15)
    if long:
        canvas.region(
            [
                [x - w * 1.27, y - h * 0.2],
                [x + w * 1.27, y - h * 0.2],
                [x + w * 1.4, y + h * 1.35],
                [x - w * 1.4, y + h * 1.35],
            ],
            hair,
            hair * 0.6,
            sideways=0.7,
        )
    shoulders = np.stack(
        [
            x + np.cos(np.linspace(math.pi, 2 * math.pi, 30)) * w * 2.3,
            1.05 + np.sin(np.linspace(math.pi, 2 * math.pi, 30)) * 0.31,
        ],
        -1,
    )
    canvas.region(shoulders, coat, coat * 0.6, sideways=0.8)
    canvas.region(
        [
            [x - w * 0.42, y + h * 0.6],
            [x + w * 0.42, y + h * 0.6],
            [x + w * 0.55, y + h * 1.5],
            [x, y + h * 1.85],
            [x - w * 0.55, y + h * 1.5],
        ],
        skin * 0.6,
        skin * 0.9,
        sideways=0.6,
    )
    for side in (-1, 1):
        canvas.ball(x + side * w * 0.98, y + h * 0.05, w * 0.16, h * 0.17, skin * 0.85, 0, 0.5)
    canvas.ball(x, y, w, h, skin * 1.02, 0.1, ambient=0.62)
    _features(canvas, x, y, w, h, skin, hair)
    fringe = np.stack(
        [
            x + np.linspace(-1.02, 1.02, 30) * w,
            y - h * (0.55 + 0.25 * np.sin(np.linspace(0.3, 2.6, 30))),
        ],
        -1,
    )
    crown = np.stack(
        [
            x + np.cos(np.linspace(0, -math.pi, 30)) * w * 1.06,
            y - h * 0.35 + np.sin(np.linspace(0, -math.pi, 30)) * h * 0.82,
        ],
        -1,
    )
    canvas.region(np.concatenate([fringe, crown]), hair * 1.2, hair * 0.8, sideways=0.6)
    return canvas.finish(0.02)


def _features(canvas: Canvas, x, y, w, h, skin, hair) -> None:
    iris = random_hue(canvas.rng, 0.05, 0.65, 0.6, 0.5)
    for side in (-1, 1):
        ex, ey = x + side * w * 0.42, y - h * 0.05
        canvas.ellipse(ex, ey, w * 0.22, h * 0.085, (0.97, 0.96, 0.94))
        canvas.ellipse(ex, ey, w * 0.1, h * 0.08, iris)
        canvas.ellipse(ex, ey, w * 0.05, h * 0.042, (0.03, 0.03, 0.04))
        canvas.ellipse(ex + 0.03 * w, ey - 0.025 * h, w * 0.025, h * 0.02, (1, 1, 1))
        arc = np.linspace(-1, 1, 9)
        lid = np.stack([ex + arc * w * 0.24, ey - h * 0.09 * (1 - arc**2)], -1)
        canvas.line(lid, hair * 0.4, w * 0.035)
        canvas.line(lid - [0, h * 0.12], hair * 0.7, w * 0.075)
    nose = x - canvas.light * w * 0.13
    canvas.line(
        [
            [x - canvas.light * w * 0.05, y - h * 0.02],
            [nose, y + h * 0.3],
            [x + canvas.light * w * 0.1, y + h * 0.32],
        ],
        skin * 0.62,
        w * 0.045,
    )
    arc = np.linspace(-1, 1, 12)
    bow = 0.55 - 0.05 * np.cos(arc * 5) * (1 - arc**2)
    upper = np.stack([x + arc * w * 0.38, y + h * bow], -1)
    lower = np.stack([x + arc[::-1] * w * 0.38, y + h * (0.55 + 0.12 * (1 - arc**2))], -1)
    canvas.polygon(np.concatenate([upper, lower]), skin * [0.8, 0.42, 0.42])
    canvas.line(
        [[x - w * 0.36, y + h * 0.55], [x, y + h * 0.57], [x + w * 0.36, y + h * 0.55]],
        skin * [0.45, 0.2, 0.2],
        w * 0.025,
    )


def solids(rng: np.random.Generator, size: int) -> np.ndarray:
    """Spheres, cubes and cones on a chequered floor."""
    wall = random_hue(rng, 0, 1, 0.25, rng.uniform(0.55, 0.9))
    canvas = Canvas(rng, size, wall * 0.8, wall * 1.1)
    floor, tint = rng.uniform(0.42, 0.5), random_hue(rng, 0, 1, 0.35, 0.85)
    edges = floor + (1.05 - floor) * np.linspace(0, 1, 8) ** 1.8
    for i, (far, near) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        for j in range(-8, 8):
            spread = [0.25 + 0.9 * (v - floor) for v in (far, near)]
            corners = [
                [0.5 + j * spread[0] * 0.6, far],
                [0.5 + (j + 1) * spread[0] * 0.6, far],
                [0.5 + (j + 1) * spread[1] * 0.6, near],
                [0.5 + j * spread[1] * 0.6, near],
            ]
            canvas.polygon(corners, tint if (i + j) % 2 else tint * 0.35)
    for depth in np.sort(rng.uniform(0.1, 0.42, int(rng.integers(3, 6)))).tolist():
        x, y, r = rng.uniform(0.1, 0.9), floor + depth, 0.06 + 0.22 * depth
        color = random_hue(rng, 0, 1, 0.75, 0.9)
        canvas.shadow(x - canvas.light * r * 0.8, y, r * 1.5, r * 0.4, 0.65)
        kind = rng.integers(3)
        if kind == 0:
            canvas.ball(x, y - r * 0.85, r, r, color)
        elif kind == 1:
            base = [[x - r, y], [x - r * 0.5, y + r * 0.2], [x + r * 0.5, y + r * 0.2], [x + r, y]]
            canvas.region([[x, y - 2.2 * r], *base[::-1]], color * 1.1, color * 0.9, sideways=0.85)
        else:
            left, right = (1.0, 0.55) if canvas.light < 0 else (0.55, 1.0)
            top, bottom, high = y - r * 0.15, y + r * 0.25, 1.4 * r
            canvas.polygon(
                [[x - r, top], [x, bottom], [x, bottom - high], [x - r, top - high]], color * left
            )
            canvas.polygon(
                [[x + r, top], [x, bottom], [x, bottom - high], [x + r, top - high]], color * right
            )
            canvas.polygon(
                [
                    [x - r, top - high],
                    [x, bottom - high],
                    [x + r, top - high],
                    [x, top - high - r * 0.4],
                ],
                color * 1.2,
            )
    return canvas.finish()
