"""Inception v3 up to its last pooling, as Frechet distances are measured with.

Szegedy et al. 2016, "Rethinking the Inception Architecture for Computer Vision", in two shapes.
TensorFlow's network of 2015-12-05, whose weights the published FID figures have: average pools
divide by the pixels that are there, and the last block pools by maximum. torchvision's, which was
trained on paintings for ArtFID: average pools, all of them, of a map with zeros around it. Batch
norms are folded into the convolutions before them.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

SIDE = 299  # pixels, that pictures are resized to
CHANNELS = 2048  # of the features
DIMENSIONS = ("NHWC", "HWIO", "NHWC")
InceptionParams = Mapping[str, Mapping[str, Any]]
# (name, map, output channels, kernel's sides, stride, whether the border is padded) -> map
Unit = Callable[..., Array]


class Pools(NamedTuple):
    """What the last branch of a block pools by: in all blocks but one, and in the last one."""

    inner: Callable[[Array], Array]
    last: Callable[[Array], Array]


def inception_features(params: InceptionParams, images: Array) -> Array:
    """Features of images for a Frechet distance.

    Args:
      params: name of a convolution to {"kernel": [h, w, I, O], "bias": [O]}; see `unit_shapes`.
      images: [B, H, W, 3], RGB in [0, 1]; resized to 299 x 299 without antialiasing, as the
        published program does.

    Returns:
      [B, 2048], the last maps' means over places.
    """
    shape = (len(images), SIDE, SIDE, images.shape[-1])
    x = jax.image.resize(images, shape, "bilinear", antialias=False)
    return inception_maps(params, 2 * x - 1).mean((1, 2))


def art_features(params: InceptionParams, images: Array) -> Array:
    """Features for ArtFID (Wright & Ommer 2022), as its published program makes them.

    Args:
      params: as of `inception_features`.
      images: [B, H, W, 3], RGB in [0, 1]; neither resized nor normalized.

    Returns:
      [B, 2048], the last maps' means over places.
    """
    return inception_maps(params, images, ART_POOLS).mean((1, 2))


def inception_maps(params: InceptionParams, x: Array, pools: Pools | None = None) -> Array:
    """The last maps, [B, h, w, 2048]: 8 x 8 of 299 x 299 pixels.

    Args:
      x: images as the network was trained on them; FID's in [-1, 1].
      pools: default FID's.
    """

    def unit(name, x, outputs, sides=(1, 1), stride=1, padded=True):
        p = params[name]
        x = lax.conv_general_dilated(
            x, jnp.asarray(p["kernel"]), (stride, stride), "SAME" if padded else "VALID",
            dimension_numbers=DIMENSIONS, precision=lax.Precision.HIGHEST,
        )  # fmt: skip
        return jax.nn.relu(x + jnp.asarray(p["bias"])[None, None, None])

    return _walk(unit, x, pools or FID_POOLS)


def unit_shapes() -> dict[str, tuple[int, int, int, int]]:
    """Name to kernel's shape, HWIO, of all 94 convolutions, in order."""
    shapes = {}

    def unit(name, x, outputs, sides=(1, 1), stride=1, padded=True):
        shapes[name] = (*sides, x.shape[-1], outputs)
        h, w = (
            -(-n // stride) if padded else (n - side) // stride + 1
            for n, side in zip(x.shape[1:3], sides, strict=True)
        )
        return jnp.zeros((len(x), h, w, outputs), x.dtype)

    jax.eval_shape(lambda x: _walk(unit, x, FID_POOLS), jnp.zeros((1, SIDE, SIDE, 3)))
    return shapes


def _walk(unit: Unit, x: Array, pools: Pools) -> Array:
    """The network, of whatever its convolutions are."""
    x = unit("Conv2d_1a_3x3", x, 32, (3, 3), 2, False)
    x = unit("Conv2d_2a_3x3", x, 32, (3, 3), 1, False)
    x = _largest(unit("Conv2d_2b_3x3", x, 64, (3, 3)))
    x = unit("Conv2d_3b_1x1", x, 80)
    x = _largest(unit("Conv2d_4a_3x3", x, 192, (3, 3), 1, False))
    for name, pooled in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
        x = _block_5(unit, name, x, pools.inner, pooled)
    x = _halving_6(unit, "Mixed_6a", x)
    for name, inner in (("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)):
        x = _block_6(unit, name, x, pools.inner, inner)
    x = _halving_7(unit, "Mixed_7a", x)
    x = _block_7(unit, "Mixed_7b", x, pools.inner)
    return _block_7(unit, "Mixed_7c", x, pools.last)


def _block_5(unit: Unit, name: str, x: Array, pool: Callable, pooled: int) -> Array:
    five = unit(f"{name}.branch5x5_1", x, 48)
    twice = unit(f"{name}.branch3x3dbl_1", x, 64)
    twice = unit(f"{name}.branch3x3dbl_2", twice, 96, (3, 3))
    return jnp.concatenate(
        [
            unit(f"{name}.branch1x1", x, 64),
            unit(f"{name}.branch5x5_2", five, 64, (5, 5)),
            unit(f"{name}.branch3x3dbl_3", twice, 96, (3, 3)),
            unit(f"{name}.branch_pool", pool(x), pooled),
        ],
        -1,
    )


def _halving_6(unit: Unit, name: str, x: Array) -> Array:
    twice = unit(f"{name}.branch3x3dbl_1", x, 64)
    twice = unit(f"{name}.branch3x3dbl_2", twice, 96, (3, 3))
    return jnp.concatenate(
        [
            unit(f"{name}.branch3x3", x, 384, (3, 3), 2, False),
            unit(f"{name}.branch3x3dbl_3", twice, 96, (3, 3), 2, False),
            _largest(x),
        ],
        -1,
    )


def _block_6(unit: Unit, name: str, x: Array, pool: Callable, inner: int) -> Array:
    once = unit(f"{name}.branch7x7_1", x, inner)
    once = unit(f"{name}.branch7x7_2", once, inner, (1, 7))
    twice = unit(f"{name}.branch7x7dbl_1", x, inner)
    for number, sides in ((2, (7, 1)), (3, (1, 7)), (4, (7, 1))):
        twice = unit(f"{name}.branch7x7dbl_{number}", twice, inner, sides)
    return jnp.concatenate(
        [
            unit(f"{name}.branch1x1", x, 192),
            unit(f"{name}.branch7x7_3", once, 192, (7, 1)),
            unit(f"{name}.branch7x7dbl_5", twice, 192, (1, 7)),
            unit(f"{name}.branch_pool", pool(x), 192),
        ],
        -1,
    )


def _halving_7(unit: Unit, name: str, x: Array) -> Array:
    once = unit(f"{name}.branch3x3_1", x, 192)
    seven = unit(f"{name}.branch7x7x3_1", x, 192)
    seven = unit(f"{name}.branch7x7x3_2", seven, 192, (1, 7))
    seven = unit(f"{name}.branch7x7x3_3", seven, 192, (7, 1))
    return jnp.concatenate(
        [
            unit(f"{name}.branch3x3_2", once, 320, (3, 3), 2, False),
            unit(f"{name}.branch7x7x3_4", seven, 192, (3, 3), 2, False),
            _largest(x),
        ],
        -1,
    )


def _block_7(unit: Unit, name: str, x: Array, pool: Callable[[Array], Array]) -> Array:
    once = unit(f"{name}.branch3x3_1", x, 384)
    twice = unit(f"{name}.branch3x3dbl_1", x, 448)
    twice = unit(f"{name}.branch3x3dbl_2", twice, 384, (3, 3))
    return jnp.concatenate(
        [
            unit(f"{name}.branch1x1", x, 320),
            unit(f"{name}.branch3x3_2a", once, 384, (1, 3)),
            unit(f"{name}.branch3x3_2b", once, 384, (3, 1)),
            unit(f"{name}.branch3x3dbl_3a", twice, 384, (1, 3)),
            unit(f"{name}.branch3x3dbl_3b", twice, 384, (3, 1)),
            unit(f"{name}.branch_pool", pool(x), 192),
        ],
        -1,
    )


def _largest(x: Array, stride: int = 2, padding: str = "VALID") -> Array:
    strides = (1, stride, stride, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), strides, padding)


def _total(x: Array) -> Array:
    """Of the 3 x 3 pixels around each, those of the map alone."""
    return lax.reduce_window(x, 0.0, lax.add, (1, 3, 3, 1), (1, 1, 1, 1), "SAME")


def _mean(x: Array) -> Array:
    return _total(x) / _total(jnp.ones_like(x[:1, :, :, :1]))


def _padded_mean(x: Array) -> Array:
    return _total(x) / 9


FID_POOLS = Pools(_mean, lambda x: _largest(x, 1, "SAME"))
ART_POOLS = Pools(_padded_mean, _padded_mean)
