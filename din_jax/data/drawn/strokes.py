"""Procedural paintings made mark by mark: `f(rng, size) -> uint8 [size, size, 3]`."""

import math

import numpy as np
from PIL import Image, ImageDraw

from din_jax.data.drawn.noise import (
    as_color,
    colorize,
    fractal_noise,
    grid,
    palette,
    relief,
    smooth_noise,
    to_uint8,
)


def _composition(rng: np.random.Generator, size: int, cells: float = 2.5) -> np.ndarray:
    """A blurry underpainting, float32 [size, size, 3]: large fields of the palette's colors."""
    colors = palette(rng)
    field = fractal_noise(rng, size, size, cells, octaves=3)
    tilt = grid(size)[0] * rng.uniform(-0.5, 0.5)
    field = np.clip(field * 1.2 - 0.1 + tilt, 0, 1)
    return colorize(field, colors if rng.random() < 0.6 else rng.permutation(colors))


def _finish(canvas: Image.Image, size: int, impasto: float = 0.0) -> np.ndarray:
    """A canvas drawn at twice the size, reduced (which smooths edges) and lit."""
    image = np.asarray(canvas.resize((size, size), Image.Resampling.BOX))
    if impasto <= 0:
        return image
    return to_uint8(relief(image.astype(np.float32) / 255, impasto))


def _strokes(rng, size, *, count, length, width, angle, under, variation, impasto, curve=0.0):
    """Brush strokes of the underpainting's color that follow the field `angle`, coarse to fine.

    `under` and `angle` are square and of one, usually smaller, size.
    """
    large = 2 * size
    canvas = Image.fromarray(to_uint8(under)).resize((large, large), Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(canvas)
    spots = rng.random((count, 2))
    rows, cols = (spots * len(under)).astype(int).T
    vary = rng.normal(0, variation, (count, 1)) + rng.normal(0, variation / 2, (count, 3))
    tints = to_uint8(under[rows, cols] + vary)
    sizes = rng.uniform(0.6, 1.2, (count, 2)) * np.linspace(1.5, 0.8, count)[:, None]
    steps = np.linspace(-0.5, 0.5, 4 if curve else 2)
    theta = angle[rows, cols][:, None] + curve * steps
    reach = (length * large * sizes[:, :1]) * steps
    x = spots[:, 1:] * large + np.cos(theta) * reach
    y = spots[:, :1] * large + np.sin(theta) * reach
    points = np.stack([x, y], axis=-1).reshape(count, -1).tolist()
    widths = np.maximum(1, np.rint(width * large * sizes[:, 1])).astype(int).tolist()
    for line, color, thick in zip(points, tints.tolist(), widths, strict=True):
        draw.line(line, fill=tuple(color), width=thick)
    return _finish(canvas, size, impasto)


def flow_strokes(rng: np.random.Generator, size: int) -> np.ndarray:
    """Long strokes along a swirling field, with whirls around lights."""
    coarse = max(32, size // 3)
    y, x = grid(coarse)
    angle = smooth_noise(rng, coarse, coarse, 3) * 2 * math.pi
    vector = np.exp(1j * angle) * 0.7
    under = _composition(rng, coarse)
    light = palette(rng)[4]
    lights = rng.uniform((0.1, 0.1, 0.08), (0.9, 0.9, 0.22), (rng.integers(2, 5), 3))
    for cy, cx, radius in lights.tolist():
        distance = np.hypot(y - cy, x - cx)
        weight = np.exp(-((distance / (2 * radius)) ** 2))
        vector = vector + 3 * weight * np.exp(1j * (np.arctan2(y - cy, x - cx) + math.pi / 2))
        rings = (0.5 + 0.5 * np.cos(distance / radius * 9)) * np.exp(-((distance / radius) ** 2))
        under = under + (light - under) * (0.9 * rings)[..., None]
    return _strokes(
        rng,
        size,
        count=1500,
        length=0.085,
        width=0.013,
        angle=np.angle(vector),
        under=under,
        variation=0.09,
        impasto=0.9,
        curve=0.5,
    )


def dabs(rng: np.random.Generator, size: int) -> np.ndarray:
    """Short broad impressionist dabs, mostly of one direction."""
    coarse = max(32, size // 2)
    angle = rng.uniform(-0.4, 0.4) + 1.2 * (smooth_noise(rng, coarse, coarse, 4) - 0.5)
    return _strokes(
        rng,
        size,
        count=1700,
        length=0.04,
        width=0.018,
        angle=angle,
        under=_composition(rng, coarse, 3.5),
        variation=0.11,
        impasto=0.7,
    )


def pointillism(rng: np.random.Generator, size: int) -> np.ndarray:
    """Dots of divided color on a pale ground."""
    large, count = 2 * size, 2600
    under, colors = _composition(rng, size), palette(rng)
    ground = to_uint8(0.55 * under + 0.45 * np.array([0.95, 0.92, 0.85], np.float32))
    canvas = Image.fromarray(ground).resize((large, large), Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(canvas)
    spots = rng.random((count, 2))
    rows, cols = (spots * size).astype(int).T
    stray = (rng.random(count) < 0.22)[:, None]
    tint = np.where(stray, colors[rng.integers(0, 6, count)], under[rows, cols])
    tint = to_uint8((tint - 0.5) * 1.25 + 0.5 + rng.normal(0, 0.06, (count, 3)))
    radius = rng.uniform(0.006, 0.012, count) * large
    x, y = spots[:, 1] * large, spots[:, 0] * large
    boxes = np.stack([x - radius, y - radius, x + radius, y + radius], axis=-1).tolist()
    for box, color in zip(boxes, tint.tolist(), strict=True):
        draw.ellipse(box, fill=tuple(color))
    return _finish(canvas, size, 0.3)


def mosaic(rng: np.random.Generator, size: int) -> np.ndarray:
    """Small irregular stone tiles in pale or dark grout, laid along waves."""
    large, tiles = 2 * size, int(rng.integers(22, 34))
    under = _composition(rng, size)
    grout = rng.choice(np.array([[0.82, 0.78, 0.7], [0.16, 0.15, 0.17]]))
    canvas = Image.new("RGB", (large, large), as_color(grout))
    draw = ImageDraw.Draw(canvas)
    line = np.linspace(-0.04, 1.04, tiles + 1)
    y, x = np.meshgrid(line, line, indexing="ij")
    phase, bend = rng.uniform(0, 6, 2).tolist(), rng.uniform(0.01, 0.035)
    y, x = y + bend * np.sin(x * 9 + phase[0]), x + bend * np.sin(y * 8 + phase[1])
    y, x = (v + rng.normal(0, 0.1 / tiles, v.shape) for v in (y, x))
    corners = np.stack(
        [
            np.stack([x[i : i + tiles, j : j + tiles], y[i : i + tiles, j : j + tiles]], -1)
            for i, j in ((0, 0), (0, 1), (1, 1), (1, 0))
        ],
        axis=2,
    )
    middle = corners.mean(axis=2, keepdims=True)
    quads = ((middle + (corners - middle) * 0.84) * large).reshape(tiles**2, 8)
    cols, rows = np.clip(middle.reshape(-1, 2).T * size, 0, size - 1).astype(int)
    tint = to_uint8(under[rows, cols] + rng.normal(0, 0.07, (tiles**2, 1)))
    for quad, color in zip(quads.tolist(), tint.tolist(), strict=True):
        draw.polygon(quad, fill=tuple(color))
    return _finish(canvas, size, 0.5)
