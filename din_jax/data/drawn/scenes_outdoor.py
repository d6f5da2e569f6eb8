"""Procedural photographs taken outdoors: `f(rng, size) -> uint8 [size, size, 3]`.

With `scenes_indoor` they stand in for photographs where none are at hand: depth by haze, light
from one side, cast shadows, crisp outlines and fine grain, so that a stylized picture can be
recognized.
"""

import math

import numpy as np
from PIL import Image, ImageDraw

from din_jax.data.drawn.canvas import Canvas, random_hue
from din_jax.data.drawn.noise import as_color, fractal_noise, to_uint8

_SKIES = (
    ((0.25, 0.48, 0.82), (0.80, 0.90, 0.97)),
    ((0.16, 0.20, 0.45), (0.98, 0.62, 0.38)),
    ((0.45, 0.60, 0.75), (0.95, 0.93, 0.85)),
    ((0.05, 0.08, 0.22), (0.30, 0.32, 0.55)),
    ((0.35, 0.70, 0.88), (0.97, 0.90, 0.78)),
)


def _sky(rng: np.random.Generator, size: int) -> tuple[Canvas, np.ndarray]:
    """A sky with sun and clouds, and the color of the haze at the horizon."""
    top, bottom = (np.array(color) for color in _SKIES[rng.integers(len(_SKIES))])
    canvas = Canvas(rng, size, top, bottom)
    x, y, radius = 0.5 + 0.35 * canvas.light, rng.uniform(0.1, 0.3), rng.uniform(0.03, 0.07)
    canvas.ellipse(x, y, radius * 1.25, radius * 1.25, bottom * 0.6 + 0.38)
    canvas.ellipse(x, y, radius, radius, (1.0, 0.97, 0.84))
    if rng.random() < 0.75:
        cloud = fractal_noise(rng, 64, 64, 3, 4)
        fade = np.linspace(1, 0, 64)[:, None]
        cover = np.clip((cloud - rng.uniform(0.5, 0.6)) * 6, 0, 0.92) * fade
        mask = Image.fromarray(to_uint8(cover)).resize(canvas.image.size, Image.Resampling.BICUBIC)
        canvas.image.paste(as_color(bottom * 0.45 + 0.55), (0, 0), mask)
    return canvas, bottom


def _ridge(rng: np.random.Generator, base: float, height: float, rough: float) -> np.ndarray:
    """Points of a skyline around y = base: [N, 2]."""
    x = np.linspace(0, 1, 90)
    y = sum(
        np.abs(np.sin(x * f * math.pi + rng.uniform(0, 6))) * height / f**rough * 2
        for f in (1.3, 2.9, 6.1, 13.7, 31.0)
    )
    line = np.stack([x, base - y + height], axis=-1)
    return np.concatenate([line, [[1, 1.05], [0, 1.05]]])


def _tree(canvas: Canvas, x: float, y: float, height: float, color) -> None:
    """A broad-leaved tree or a fir with its shadow; (x, y) is the foot."""
    rng, color = canvas.rng, np.asarray(color)
    canvas.shadow(x - canvas.light * height * 0.25, y, height * 0.4, height * 0.07)
    canvas.box(x - height * 0.035, y - height * 0.45, x + height * 0.035, y, (0.3, 0.2, 0.13))
    if rng.random() < 0.4:
        for k in range(4):
            top, low = y - height * (1 - 0.2 * k), y - height * (0.62 - 0.17 * k)
            half = height * (0.13 + 0.06 * k)
            shape = [[x, top], [x + half, low], [x - half, low]]
            canvas.region(shape, color * 1.1, color * 0.6, sideways=0.6)
        return
    for k in range(7):
        dx, dy = rng.normal(0, 0.11, 2).tolist()
        radius = height * rng.uniform(0.15, 0.24)
        center = x + dx * height, y - height * 0.68 + dy * height
        canvas.ball(*center, radius, radius * 0.9, color * (0.8 + 0.06 * k), gloss=0.05)


def _house(canvas: Canvas, x: float, y: float, width: float) -> None:
    """A house with a lit front and a darker side; (x, y) is the foot of the front's left edge."""
    rng = canvas.rng
    wall = random_hue(rng, 0.02, 0.16, rng.uniform(0.08, 0.45), rng.uniform(0.75, 0.98))
    roof = random_hue(rng, -0.03, 0.07, rng.uniform(0.45, 0.7), rng.uniform(0.45, 0.7))
    height, deep, rise = width * rng.uniform(0.6, 1.0), width * 0.55, width * 0.5
    top, lift = y - height, width * 0.12
    right, far = x + width, x + width + deep
    canvas.shadow(x + width * 0.7, y, width, width * 0.12)
    front, side = (1.0, 0.62) if canvas.light < 0 else (0.66, 0.95)
    canvas.polygon(
        [[x, y], [right, y], [right, top], [x + width / 2, top - rise], [x, top]], wall * front
    )
    canvas.polygon([[right, y], [far, y - lift], [far, top - lift], [right, top]], wall * side)
    ridge = [x + width / 2, top - rise]
    ridge_far = [ridge[0] + deep, ridge[1] - lift]
    eave = [right + width * 0.06, top + width * 0.05]
    eave_far = [eave[0] + deep, eave[1] - lift]
    canvas.polygon([ridge, ridge_far, eave_far, eave], roof * (0.75 if side < 0.8 else 1.1))
    canvas.line([[x - width * 0.06, top + width * 0.05], ridge, eave], roof * 0.7, width * 0.05)
    door = x + width * 0.38
    canvas.box(door, y - height * 0.5, door + width * 0.24, y, roof * 0.5)
    for left in (x + width * 0.1, x + width * 0.7):
        canvas.box(
            left - 0.02 * width,
            top + height * 0.13,
            left + width * 0.22,
            top + height * 0.47,
            (0.95, 0.94, 0.9),
        )
        canvas.box(
            left, top + height * 0.16, left + width * 0.2, top + height * 0.44, (0.2, 0.28, 0.38)
        )
        canvas.line(
            [[left + width * 0.1, top + height * 0.16], [left + width * 0.1, top + height * 0.44]],
            (0.95, 0.94, 0.9),
            width * 0.02,
        )


def landscape(rng: np.random.Generator, size: int) -> np.ndarray:
    """Hazy mountains, meadows, trees and perhaps a house."""
    canvas, haze = _sky(rng, size)
    horizon, count = rng.uniform(0.45, 0.6), int(rng.integers(2, 4))
    rock = random_hue(rng, 0.5, 0.75, 0.35, 0.42)
    for k in range(count):
        near = (k + 1) / (count + 1)
        color = haze * (1 - near) + rock * near
        ridge = _ridge(rng, horizon - 0.12 + 0.1 * k, 0.16 - 0.03 * k, rng.uniform(0.9, 1.3))
        canvas.region(ridge, color * 0.85, color * 0.5 + haze * 0.5)
    grass = random_hue(rng, 0.17, 0.36, rng.uniform(0.45, 0.65), rng.uniform(0.5, 0.7))
    for k, base in enumerate((horizon + 0.03, horizon + 0.16, horizon + 0.32)):
        tone = grass * (1.12 - 0.12 * k)
        canvas.region(_ridge(rng, base, 0.03, 1.6), tone * 1.15, tone * 0.65)
    if rng.random() < 0.6:
        _house(canvas, rng.uniform(0.1, 0.6), horizon + 0.17, rng.uniform(0.13, 0.22))
    for depth in np.sort(rng.uniform(0.08, 0.42, int(rng.integers(4, 9)))).tolist():
        leaf = grass * rng.uniform(0.6, 0.95)
        _tree(canvas, rng.uniform(0, 1), horizon + depth, 0.08 + 0.75 * depth, leaf)
    return canvas.finish()


def lake(rng: np.random.Generator, size: int) -> np.ndarray:
    """Mountains mirrored in water, with a sailing boat."""
    canvas, haze = _sky(rng, size)
    rock = random_hue(rng, 0.5, 0.9, 0.4, 0.4)
    for k in range(3):
        color = haze * (0.6 - 0.25 * k) + rock * (0.4 + 0.25 * k)
        canvas.region(_ridge(rng, 0.42 + 0.03 * k, 0.16 - 0.04 * k, 1.1), color, color * 0.6)
    large, shore = canvas.large, round(0.52 * canvas.large)
    above = canvas.image.crop((0, 2 * shore - large, large, shore)).transpose(
        Image.Transpose.FLIP_TOP_BOTTOM
    )
    blue = Image.new("RGB", above.size, as_color(haze * 0.35 + np.array([0.05, 0.15, 0.25])))
    mirror = np.asarray(Image.blend(above, blue, 0.4))
    rows = np.arange(mirror.shape[0])
    shift = (np.sin(rows**0.75 * 0.9) * rows / 45).astype(int)
    cols = (np.arange(large)[None, :] + shift[:, None]).clip(0, large - 1)
    canvas.image.paste(Image.fromarray(mirror[rows[:, None], cols]), (0, shore))
    canvas.draw = ImageDraw.Draw(canvas.image)
    x, y, side = rng.uniform(0.25, 0.7), rng.uniform(0.62, 0.8), rng.uniform(0.12, 0.2)
    canvas.shadow(x, y + 0.02, side * 0.8, 0.03, 0.4)
    sail = random_hue(rng, 0, 1, 0.35, 0.97)
    canvas.region(
        [[x, y - side * 1.9], [x + side * 0.75, y - 0.02], [x, y - 0.02]], sail, sail * 0.75
    )
    canvas.polygon(
        [[x - 0.015, y - side * 1.6], [x - side * 0.5, y - 0.02], [x - 0.015, y - 0.02]], sail * 0.7
    )
    hull = random_hue(rng, -0.05, 0.1, 0.7, 0.55)
    canvas.polygon(
        [
            [x - side * 0.8, y - 0.01],
            [x + side * 0.9, y - 0.01],
            [x + side * 0.6, y + 0.05],
            [x - side * 0.55, y + 0.05],
        ],
        hull,
    )
    return canvas.finish()


def town(rng: np.random.Generator, size: int) -> np.ndarray:
    """A street of tall houses that runs to a vanishing point."""
    canvas, haze = _sky(rng, size)
    vx, vy = rng.uniform(0.38, 0.62), rng.uniform(0.5, 0.6)
    canvas.region(
        [[0, 1.02], [1, 1.02], [vx + 0.02, vy], [vx - 0.02, vy]], haze * 0.7, (0.36, 0.35, 0.37)
    )
    for side in (-1, 1):
        edge = 0.0 if side < 0 else 1.0
        marks = np.cumsum(np.concatenate([[0], rng.uniform(0.16, 0.26, 4)])).clip(0, 0.9)
        for near, far in reversed(list(zip(marks[:-1], marks[1:], strict=True))):
            wall = random_hue(rng, 0.0, 0.17, rng.uniform(0.15, 0.5), rng.uniform(0.7, 0.95))
            wall = wall * (1.05 if side != canvas.light else 0.6)
            wall = wall * (1 - 0.5 * near) + haze * 0.5 * near
            tall = rng.uniform(0.75, 1.25)
            _facade(canvas, (vx, vy), edge, (near, far), tall, wall)
    for _ in range(int(rng.integers(2, 5))):
        depth, x = rng.uniform(0.25, 0.7), rng.uniform(-0.3, 0.3)
        foot, height = vy + (1 - vy) * (1 - depth), 0.3 * (1 - depth)
        _person(canvas, vx + x * (1 - depth), foot, height)
    return canvas.finish()


def _facade(canvas, vanishing, edge, span, tall, wall) -> None:
    """One house front between two depths (0 the picture's edge, 1 the vanishing point)."""
    vx, vy = vanishing

    def place(depth, level):  # level 0 the street, 1 the eaves
        x = edge + (vx - edge) * depth
        return [x, vy + (1 - depth) * ((1.05 - vy) - level * (0.6 + 0.55 * tall))]

    near, far = span
    canvas.polygon([place(near, 0), place(near, 1), place(far, 1), place(far, 0)], wall)
    canvas.line([place(near, 1), place(far, 1)], wall * 0.5, 0.012)
    for floor in range(4):
        for k in range(2):
            left = near + (far - near) * (0.18 + 0.42 * k)
            right = left + (far - near) * 0.24
            low, high = 0.1 + 0.22 * floor, 0.22 + 0.22 * floor
            lit = canvas.rng.random() < 0.2
            pane = (0.98, 0.86, 0.5) if lit else (0.17, 0.22, 0.3)
            corners = [place(left, low), place(left, high), place(right, high), place(right, low)]
            canvas.polygon(corners, pane)
            canvas.line([*corners, corners[0]], wall * 0.6, 0.004)


def _person(canvas: Canvas, x: float, y: float, height: float) -> None:
    coat = random_hue(canvas.rng, 0, 1, 0.6, 0.5)
    canvas.shadow(x - canvas.light * height * 0.3, y, height * 0.35, height * 0.06)
    for foot in (-0.06, 0.06):
        canvas.line([[x, y - height * 0.45], [x + foot * height, y]], coat * 0.4, height * 0.09)
    body = [
        [x - height * 0.12, y - height * 0.82],
        [x + height * 0.12, y - height * 0.82],
        [x + height * 0.15, y - height * 0.35],
        [x - height * 0.15, y - height * 0.35],
    ]
    canvas.region(body, coat, coat * 0.7, sideways=0.7)
    canvas.ball(x, y - height * 0.91, height * 0.085, height * 0.1, (0.9, 0.7, 0.58), 0.1)
