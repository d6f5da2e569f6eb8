"""Procedural paintings computed pixel by pixel: `f(rng, size) -> uint8 [size, size, 3]`.

With `strokes` they stand in for a set of paintings where none is at hand: each has the palette,
stroke size, orientation and contrast of one manner of painting, so that a style transfer has
statistics to carry over.
"""

import math

import numpy as np
from PIL import Image, ImageFilter

from din_jax.data.drawn.noise import (
    colorize,
    fractal_noise,
    grid,
    palette,
    relief,
    smooth_noise,
    to_uint8,
)


def stained_glass(rng: np.random.Generator, size: int) -> np.ndarray:
    """Voronoi cells of glowing glass between dark leads."""
    y, x = grid(size)
    cells = int(rng.integers(28, 56))
    colors = palette(rng)[rng.integers(1, 6, cells)]
    colors = colors * rng.uniform(0.75, 1.25, (cells, 1)).astype(np.float32)
    nearest = np.full((size, size), 9.0, np.float32)
    second = nearest.copy()
    owner = np.zeros((size, size), np.intp)
    for cell, (cy, cx) in enumerate(rng.random((cells, 2)).tolist()):
        distance = np.square(y - cy) + np.square(x - cx)
        closer = distance < nearest
        np.minimum(second, np.maximum(nearest, distance), out=second)
        np.copyto(nearest, distance, where=closer)
        owner[closer] = cell
    gap = np.sqrt(second) - np.sqrt(nearest)
    glow = 0.8 + 0.45 * np.clip(1 - np.sqrt(nearest) * 7, 0, 1)
    glass = colors[owner] * (glow * (0.85 + 0.3 * fractal_noise(rng, size, size, 10, 3)))[..., None]
    lead = np.clip((gap - 0.008) / 0.008, 0, 1)[..., None]
    return to_uint8(glass * lead + (1 - lead) * np.array([0.07, 0.06, 0.08]))


def waves(rng: np.random.Generator, size: int) -> np.ndarray:
    """Woodblock sea: bands of flat color with dark outlines and foam, under a graded sky."""
    y, x = grid(size)
    colors = palette(rng)
    index = np.full((size, size), -1, np.int8)  # -1 sky, else a row of `colors`
    row = x[0]
    count = int(rng.integers(7, 11))
    for band in range(count):
        depth = band / count
        frequency, phase = rng.uniform(5, 11), rng.uniform(0, 2 * math.pi)
        height = 0.035 + 0.05 * depth
        hump = np.abs(np.sin(row * frequency / 2 + phase)) ** 1.5
        crest = 0.22 + 0.85 * depth - 2 * height * hump
        edge = y - crest
        # Lines inside a wave follow its crest, as the block cutter's lines do.
        bend = 0.1 * np.sin(row * frequency + phase)
        line = np.sin((edge + bend) * (95 - 30 * depth)) > 0.72
        np.copyto(index, 1 + band % 3, where=edge > 0)
        np.copyto(index, 0, where=line & (edge > 0))
        foam = 0.016 + 0.014 * np.sin(row * 60 + phase) ** 2
        np.copyto(index, 5, where=(edge > 0) & (edge < foam))
        np.copyto(index, 0, where=np.abs(edge - 0.003) < 0.003)
    sky = colorize(np.clip(y * 2, 0, 1), colors[[3, 5, 4]])
    image = np.where((index < 0)[..., None], sky, colors[index])
    paper = 0.93 + 0.1 * smooth_noise(rng, size, size, size / 3)
    smooth = Image.fromarray(to_uint8(image * paper[..., None]))
    return np.asarray(smooth.filter(ImageFilter.GaussianBlur(size / 640)))


def cubism(rng: np.random.Generator, size: int) -> np.ndarray:
    """Facets between straight cuts, each shaded across, with dark edges."""
    y, x = grid(size)
    colors = palette(rng)
    code = np.zeros((size, size), np.intp)
    edge = np.ones((size, size), np.float32)
    shade = np.zeros((size, size), np.float32)
    for cut in range(int(rng.integers(8, 12))):
        angle, offset = rng.uniform(0, math.pi), rng.uniform(-0.42, 0.42)
        distance = (x - 0.5) * math.cos(angle) + (y - 0.5) * math.sin(angle) - offset
        if rng.random() < 0.25:  # some cuts are arcs
            distance = np.hypot(x - rng.random(), y - rng.random()) - rng.uniform(0.15, 0.4)
        side = distance > 0
        code = code * 2 + side
        edge = np.minimum(edge, np.abs(distance))
        shade += np.where(side, 1, -1) * np.exp(-np.abs(distance) * 12) * (0.5 if cut % 2 else -0.5)
    index = (code * 2654435761 % 2**32) >> 8
    tone = 0.82 + 0.36 / 15 * ((index >> 6) % 16).astype(np.float32)
    facets = colors[index % 6] * tone[..., None]
    facets = facets + 0.16 * np.clip(shade, -1.5, 1.5)[..., None]
    brush = fractal_noise(rng, size, size, 30, 2) - 0.5
    ink = np.clip((edge - 0.002) / 0.006, 0.25, 1)[..., None]
    return to_uint8(relief((facets + 0.14 * brush[..., None]) * ink, 0.4))


def hatching(rng: np.random.Generator, size: int) -> np.ndarray:
    """Ink lines on tinted paper that thicken and cross with the tone, as in an etching."""
    y, x = grid(size)
    colors = palette(rng)
    tone = np.clip(fractal_noise(rng, size, size, 3, 3) * 1.5 - 0.25, 0, 1)
    warp = 0.12 * (smooth_noise(rng, size, size, 3) - 0.5)
    ink = np.zeros((size, size), np.float32)
    first, pitch = rng.uniform(0, math.pi), rng.uniform(230, 330)
    for layer, angle in enumerate((first, first + 1.1, first + 0.5)):
        ramp = np.sin((x * math.cos(angle) + y * math.sin(angle) + warp) * pitch)
        level = 1.6 * (tone - 0.3 * layer) - 0.75
        ink = np.maximum(ink, np.clip((level - ramp) * 2 + 0.5, 0, 1))
    paper = np.clip(colors[5] * 0.35 + 0.62, 0, 1) * np.ones((size, size, 1), np.float32)
    paper = paper * (1 - 0.35 * tone[..., None] * (1 - colors[2]))
    return to_uint8(paper + (colors[0] * 0.7 - paper) * ink[..., None])


def marbling(rng: np.random.Generator, size: int) -> np.ndarray:
    """Marbled paper: veins of color folded by two warps."""
    y, x = grid(size)
    warp_y, warp_x = (fractal_noise(rng, size, size, 3, 3) - 0.5 for _ in range(2))
    bands = np.sin((x + 0.9 * warp_x) * rng.uniform(8, 16) + 14 * warp_y + 3 * y)
    fine = np.sin(bands * 5 + 16 * warp_x)
    image = colorize(0.5 + 0.5 * bands, rng.permutation(palette(rng)))
    vein = np.clip(1 - np.abs(fine) * 3.5, 0, 1)[..., None]
    return to_uint8(image + (palette(rng)[5] - image) * 0.75 * vein)


def stripes(rng: np.random.Generator, size: int) -> np.ndarray:
    """Hard bands of color that bend together, with dry-brush grain along them."""
    y, x = grid(size)
    angle = rng.uniform(0, math.pi)
    along = x * math.cos(angle) + y * math.sin(angle)
    across = y * math.cos(angle) - x * math.sin(angle)
    across = across + rng.uniform(0.02, 0.09) * np.sin(along * rng.uniform(5, 12))
    count = int(rng.integers(30, 60))
    bounds = np.sort(rng.uniform(-0.9, 1.3, count)).astype(np.float32)
    tint = palette(rng)[rng.integers(0, 6, count + 1)]
    index = np.searchsorted(bounds, across)
    grain = np.sin(across * 260 + 8 * smooth_noise(rng, size, size, 8)) * 0.05
    return to_uint8(relief(tint[index] + grain[..., None], 0.35))


def watercolor(rng: np.random.Generator, size: int) -> np.ndarray:
    """Translucent washes with dark rims on rough white paper."""
    y, x = grid(size)
    image = np.full((size, size, 3), 0.97, np.float32)
    colors = palette(rng)
    wobble = [0.28 * (fractal_noise(rng, size, size, 6, 4) - 0.5) for _ in range(3)]
    for wash in range(12):
        (cy, cx), radius = rng.random(2).tolist(), rng.uniform(0.1, 0.34)
        edge = wobble[wash % 3] + radius - np.hypot((y - cy) * rng.uniform(0.7, 1.5), x - cx)
        body = np.clip(edge * 60, 0, 1)
        rim = np.clip(1.3 - np.abs(edge) * 80, 0, 1)
        strength = body * (0.55 + 0.35 * rim)
        image *= 1 - strength[..., None] * (1 - colors[rng.integers(0, 5)])
    paper = 0.92 + 0.14 * smooth_noise(rng, size, size, size / 2.5)
    return to_uint8(image * paper[..., None])


def circles(rng: np.random.Generator, size: int) -> np.ndarray:
    """Concentric rings in a grid of colored fields, painted unevenly."""
    y, x = grid(size)
    cells = int(rng.integers(2, 5))
    wobble = 0.06 * (fractal_noise(rng, size, size, 8, 3) - 0.5)
    row, col = (y * cells).astype(np.intp), (x * cells).astype(np.intp)
    distance = np.hypot(y * cells - row - 0.5, x * cells - col - 0.5) + wobble * cells / 2
    rings = 5
    ring = np.clip((distance / 0.62 * rings).astype(int), 0, rings - 1)
    tint = palette(rng)[rng.integers(0, 6, (cells, cells, rings))]
    tint = tint * rng.uniform(0.85, 1.15, (cells, cells, rings, 1)).astype(np.float32)
    image = tint[row, col, ring]
    brush = fractal_noise(rng, size, size, 24, 3) - 0.5
    return to_uint8(relief(image + 0.22 * brush[..., None], 0.5))


def halftone(rng: np.random.Generator, size: int) -> np.ndarray:
    """Pop art: a screen of dots over flat color with a thick black outline."""
    y, x = grid(size)
    colors = palette(rng)
    field = fractal_noise(rng, size, size, 2.5, 2)
    area = (field * 5).astype(int).clip(0, 4)
    flat = np.clip(colors[rng.permutation(6)[:5]] * 1.15, 0, 1)[area]
    angle, pitch = rng.uniform(0.3, 1.2), rng.uniform(28, 44)
    u = (x * math.cos(angle) + y * math.sin(angle)) * pitch
    v = (y * math.cos(angle) - x * math.sin(angle)) * pitch
    dot = np.hypot(u % 1 - 0.5, v % 1 - 0.5)
    radius = 0.2 + 0.3 * smooth_noise(rng, size, size, 3)
    cover = np.clip((radius - dot) * 8 + 0.5, 0, 1) * np.isin(area, rng.permutation(5)[:3])
    image = flat + (colors[rng.integers(0, 6)] - flat) * cover[..., None]
    ink = np.clip(np.abs(field * 5 - np.rint(field * 5)) / 0.07 - 0.4, 0, 1)[..., None]
    return to_uint8(image * ink + 0.05 * (1 - ink))
