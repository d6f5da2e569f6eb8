"""Spatially adaptive instance normalization: a weight and a bias of its own for every position."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from din_jax.ops.normalization import instance_norm
from din_jax.ops.shapes import check_map
from din_jax.ops.statistics import EPSILON
from din_jax.ops.widening import wide_type, widen


def spatial_instance_norm(x: Array, weight: Array, bias: Array, epsilon: float = EPSILON) -> Array:
    """y[p] = weight[p] * instance_norm(x)[p] + bias[p] (Jing et al. 2020, the spatially adaptive
    dynamic convolution: one depthwise 1x1 kernel per position).

    Where instance norm and every convolution with one kernel per image give a constant, on a flat
    area, this does not (the paper's figure 7).

    Args:
      x: [B, H, W, C], not normalized; statistics are float32.
      weight: [B, h, w, C] of any size, resized to H x W by `resize_map`.
      bias: [B, h, w, C], likewise.
      epsilon: inside the root.

    Returns:
      [B, H, W, C] of the type of x.

    Raises:
      ValueError: shapes that do not fit, at trace time.
    """
    return spatial_affine(instance_norm(x, epsilon), weight, bias)


def spatial_affine(x: Array, weight: Array, bias: Array) -> Array:
    """y[p] = weight[p] * x[p] + bias[p] of a map that is normalized already; the rest as above."""
    check_map(x)
    b, h, w, c = x.shape
    for name, value in (("weight", weight), ("bias", bias)):
        if value.ndim != 4 or value.shape[0] != b or value.shape[3] != c:
            raise ValueError(
                f"A spatially adaptive {name} for x {x.shape} must be [B, h, w, C] = ({b}, h, w, "
                f"{c}), not {value.shape}: repeat the style code per image, and use one of as many "
                "channels."
            )
    weight, bias = resize_map(weight, h, w), resize_map(bias, h, w)
    wide = wide_type(x, weight, bias)
    return (x.astype(wide) * weight.astype(wide) + bias.astype(wide)).astype(x.dtype)


def resize_map(x: Array, rows: int, columns: int) -> Array:
    """[B, h, w, C] -> [B, rows, columns, C], bilinear between pixel centers at half integers.

    A smaller target averages with a triangle of the width of its pixels, so that no position of
    the map is lost; pooling by blocks would show its borders where the target is larger. PyTorch's
    `F.interpolate(mode="bilinear", antialias=True)`; without antialias, 16 x 16 maps of noise
    reduced to 9 x 11 differ by more than their largest value.
    """
    check_map(x, floats=False)
    with jax.named_scope("resize"):
        wide = widen(x)
        if x.shape[1:3] == (rows, columns):
            return wide
        down, across = (
            jnp.asarray(_resize_matrix(*sizes), wide.dtype)
            for sizes in ((x.shape[1], rows), (x.shape[2], columns))
        )
        return jnp.einsum("bhwc,hr,wq->brqc", wide, down, across, precision=lax.Precision.HIGHEST)


@functools.lru_cache(maxsize=256)
def _resize_matrix(size: int, target: int) -> np.ndarray:
    """[size, target] of `jax.image.resize(..., "linear", antialias=True)`, made by NumPy.

    As a part of the program XLA on CPU would sum its columns by windows that read past their ends;
    by JAX while tracing it took some fifty small programs for each new size.
    """
    scale = size / target
    centers = (np.arange(target) + 0.5) * scale - 0.5
    distances = np.abs(np.arange(size)[:, None] - centers) / max(scale, 1.0)
    weights = np.maximum(1 - distances, 0)
    return weights / weights.sum(0)
