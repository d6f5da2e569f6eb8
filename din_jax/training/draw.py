"""Random crops of resident pictures, drawn on the device inside the jitted step.

Every number comes from a key that is made of the run's seed, the step and the place in the batch,
so that a resumed run draws what the uninterrupted one would have drawn.
"""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from din_jax.config import DataConfig
from din_jax.data.pairs import crop_side, short_sides

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


class PictureArrays(NamedTuple):
    """`data.resident.Pictures` on a device: pixels uint8 [total, 3], starts [N], sizes [N, 2]."""

    pixels: Array
    starts: Array
    sizes: Array


@dataclasses.dataclass(frozen=True)
class Cropper:
    """How crops are drawn, as `data.pairs.RandomCrop` does on the host.

    Attributes:
      crop: side of the result, px.
      short_sides: (least, greatest) short side after resizing, px; drawn log-uniformly.
      flip: mirror left and right with probability 1/2.
      jitter: strength of the color jitter, 0..1.
    """

    crop: int
    short_sides: tuple[int, int]
    flip: bool = True
    jitter: float = 0.0

    @classmethod
    def of(cls, config: DataConfig, kind: str) -> "Cropper":
        """That of the "content" or "style" side of a run."""
        crop = crop_side(config, kind)
        jitter = config.style_jitter if kind == "style" else 0.0
        return cls(crop, short_sides(config, crop), config.flip, jitter)

    def __call__(self, pictures: PictureArrays, index: Array, key: Array) -> Array:
        """A crop of picture `index`, uint8 [crop, crop, 3]."""
        scale_key, corner_key, flip_key, jitter_key = jax.random.split(key, 4)
        low, high = self.short_sides
        short = jnp.round(low * (high / low) ** jax.random.uniform(scale_key))
        size = pictures.sizes[index]
        resized = resized_sizes(size, short)
        corner = jnp.floor(jax.random.uniform(corner_key, (2,)) * (resized - self.crop + 1))
        crop = self.cut(pictures, index, corner, resized)
        if self.flip:
            crop = jnp.where(jax.random.bernoulli(flip_key), crop[:, ::-1], crop)
        if self.jitter:
            crop = jitter_colors(jnp.round(crop), self.jitter, jitter_key)
        return jnp.clip(jnp.round(crop), 0, 255).astype(jnp.uint8)

    def cut(self, pictures: PictureArrays, index: Array, corner: Array, resized: Array) -> Array:
        """The crop at `corner` (row, column) of the picture resized to `resized`, float32 0..255.

        Pillow's bilinear filter: a triangle as wide as a pixel of the result or of the source,
        whichever is larger, so that shrinking does not alias.
        """
        rows, columns = pictures.sizes[index]
        scale = jnp.asarray([rows, columns], jnp.float32) / resized
        # What the widest crop can reach; kept pictures have at most the greatest short side.
        most = self.short_sides[1] / self.short_sides[0]
        reach = math.ceil(self.crop * most + 2 * max(most, 1.0)) + 3
        down, first_row = _weights(corner[0], scale[0], rows, self.crop, reach)
        across, first_column = _weights(corner[1], scale[1], columns, self.crop, reach)
        i = jnp.clip(first_row + jnp.arange(reach), 0, rows - 1)
        j = jnp.clip(first_column + jnp.arange(reach), 0, columns - 1)
        window = pictures.pixels[pictures.starts[index] + i[:, None] * columns + j[None]]
        window = window.astype(jnp.float32)
        high = jax.lax.Precision.HIGHEST
        half = jnp.einsum("im,mnc->inc", down, window, precision=high)
        return jnp.einsum("jn,inc->ijc", across, half, precision=high)


def resized_sizes(size: Array, short: Array) -> Array:
    """Rows and columns, float32 [2], of a picture resized to a short side, aspect ratio kept."""
    size = size.astype(jnp.float32)
    longer = jnp.round(size * (short / size.min()))
    return jnp.where(size == size.min(), short, jnp.maximum(short, longer))


def _weights(corner: Array, scale: Array, size: Array, crop: int, reach: int):
    """The filter along an axis, [crop, reach], and the source pixel of its first column."""
    centers = (corner + jnp.arange(crop, dtype=jnp.float32) + 0.5)[:, None] * scale
    width = jnp.maximum(scale, 1.0)
    first = jnp.floor(corner * scale - width).astype(jnp.int32)
    pixels = first + jnp.arange(reach)[None]
    weights = jnp.maximum(0, 1 - jnp.abs(pixels.astype(jnp.float32) + 0.5 - centers) / width)
    weights = jnp.where((pixels >= 0) & (pixels < size), weights, 0)
    return weights / weights.sum(1, keepdims=True), first


def jitter_colors(image: Array, strength: float, key: Array) -> Array:
    """`data.crops.jitter_colors` on float32 [H, W, 3] in 0..255; not rounded, not clipped."""
    luma = jnp.asarray(LUMA, jnp.float32)[None, None]
    brightness, contrast, saturation = 1 + strength * (jax.random.uniform(key, (3,)) - 0.5)
    image = image * brightness
    mean = (image * luma).sum(-1).mean()
    image = mean + (image - mean) * contrast
    gray = (image * luma).sum(-1, keepdims=True)
    return gray + (image - gray) * saturation


def draw_crops(pictures: PictureArrays, cropper: Cropper, indices: Array, keys: Array) -> Array:
    """One crop of each picture in `indices` [B], from its key: uint8 [B, crop, crop, 3]."""
    return jax.vmap(lambda index, key: cropper(pictures, index, key))(indices, keys)
