"""A canvas in unit coordinates with lit shapes, on which the synthetic scenes are drawn."""

import functools

import numpy as np
from PIL import Image, ImageDraw

from din_jax.data.drawn.noise import as_color, fractal_noise, to_uint8

_OVER = 2  # drawing scale: outlines are smoothed when the canvas is reduced


class Canvas:
    """A picture in unit coordinates (x right, y down, both 0..1), drawn at twice its size."""

    def __init__(self, rng: np.random.Generator, size: int, top, bottom):
        self.rng, self.size, self.large = rng, size, size * _OVER
        self.image = Image.fromarray(to_uint8(_ramp(top, bottom, 64)[:, None]))
        self.image = self.image.resize((self.large, self.large), Image.Resampling.BILINEAR)
        self.draw = ImageDraw.Draw(self.image)
        self.light = -1 if rng.random() < 0.5 else 1  # the side that light comes from

    def scale(self, points) -> list:
        return (np.asarray(points, np.float64) * self.large).reshape(-1).tolist()

    def polygon(self, points, color) -> None:
        self.draw.polygon(self.scale(points), fill=as_color(np.asarray(color)))

    def box(self, x0, y0, x1, y1, color) -> None:
        self.draw.rectangle(self.scale([x0, y0, x1, y1]), fill=as_color(np.asarray(color)))

    def ellipse(self, x, y, rx, ry, color) -> None:
        box = self.scale([x - rx, y - ry, x + rx, y + ry])
        self.draw.ellipse(box, fill=as_color(np.asarray(color)))

    def line(self, points, color, width) -> None:
        self.draw.line(
            self.scale(points), as_color(np.asarray(color)), max(1, round(width * self.large))
        )

    def shaded(self, mask: Image.Image, corner, top, bottom, sideways=0.0) -> None:
        """Pastes a mask's shape, a ramp from `top` to `bottom` that darkens away from light."""
        width, height = mask.size
        fill = _ramp(top, bottom, 24)[:, None] * np.ones((1, 24, 1))
        if sideways:
            side = np.linspace(-1, 1, 24) * self.light
            falloff = 0.25 * side - 0.75 * side**2 * (side < 0)
            fill = fill * (1 + sideways * falloff)[:, None]
        fill = Image.fromarray(to_uint8(fill)).resize((width, height), Image.Resampling.BILINEAR)
        self.image.paste(fill, corner, mask)

    def region(self, points, top, bottom, sideways=0.0) -> None:
        """A polygon filled by a ramp from the color `top` to `bottom` over its height."""
        points = np.asarray(points, np.float64) * self.large
        low = np.clip(np.floor(points.min(0)), -self.large, self.large).astype(int)
        high = np.clip(np.ceil(points.max(0)), low + 1, 2 * self.large).astype(int)
        mask = Image.new("L", tuple((high - low).tolist()))
        ImageDraw.Draw(mask).polygon((points - low).reshape(-1).tolist(), fill=255)
        self.shaded(mask, tuple(low.tolist()), top, bottom, sideways)

    def ball(self, x, y, rx, ry, color, gloss=0.7, ambient=0.25) -> None:
        """A lit sphere or egg with a highlight and a soft dark side."""
        width, height = max(2, round(2 * rx * self.large)), max(2, round(2 * ry * self.large))
        lambert, shine = _lit_sphere(self.light)
        tint = np.asarray(color) * (ambient + (1.2 - ambient) * lambert) + gloss * shine
        fill = Image.fromarray(to_uint8(tint)).resize((width, height), Image.Resampling.BICUBIC)
        mask = Image.new("L", (width, height))
        ImageDraw.Draw(mask).ellipse((0, 0, width - 1, height - 1), fill=255)
        self.image.paste(fill, (round((x - rx) * self.large), round((y - ry) * self.large)), mask)

    def shadow(self, x, y, rx, ry, strength=0.5) -> None:
        """A soft dark ellipse on the ground."""
        width, height = max(2, round(3 * rx * self.large)), max(2, round(3 * ry * self.large))
        mask = Image.fromarray(to_uint8(strength * _soft_disk()))
        mask = mask.resize((width, height), Image.Resampling.BILINEAR)
        corner = round((x - 1.5 * rx) * self.large), round((y - 1.5 * ry) * self.large)
        self.image.paste((12, 10, 22), corner, mask)

    def finish(self, grain=0.03) -> np.ndarray:
        """Reduces to the picture's size and adds the light and grain of a photograph."""
        small = self.image.resize((self.size, self.size), Image.Resampling.BOX)
        values = np.asarray(small).astype(np.float32) / 255
        mottle = fractal_noise(self.rng, self.size, self.size, self.size / 8, 2) - 0.5
        values *= (1 + 3 * grain * mottle)[..., None]
        return to_uint8(values)


@functools.lru_cache
def _lit_sphere(light: int) -> tuple[np.ndarray, np.ndarray]:
    """Diffuse and specular light on a sphere lit from the upper left (-1) or right (1)."""
    v, u = np.mgrid[-1:1:32j, -1:1:32j]
    depth = np.sqrt(np.clip(1 - u**2 - v**2, 0, 1))
    diffuse = np.clip(0.5 * u * light - 0.6 * v + 0.62 * depth, 0, 1)
    specular = np.clip(0.4 * u * light - 0.5 * v + 0.77 * depth, 0, 1) ** 22
    return diffuse[..., None], specular[..., None]


@functools.lru_cache
def _soft_disk() -> np.ndarray:
    v, u = np.mgrid[-1.5:1.5:32j, -1.5:1.5:32j]
    return np.clip(1.6 - 1.3 * np.hypot(u, v), 0, 1)


def _ramp(top, bottom, count: int) -> np.ndarray:
    t = np.linspace(0, 1, count)[:, None]
    return np.asarray(top) * (1 - t) + np.asarray(bottom) * t


def random_hue(
    rng: np.random.Generator, low=0.0, high=1.0, saturation=0.6, value=0.8
) -> np.ndarray:
    """A color whose hue is drawn from [low, high] of the circle: float [3] in [0, 1]."""
    hue = rng.uniform(low, high) % 1
    wheel = np.clip(np.abs((hue * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    return value * (1 - saturation + saturation * wheel)
