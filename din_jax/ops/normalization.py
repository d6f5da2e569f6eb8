"""Normalization as an affine map of the channels, instance normalization, and AdaIN.

Every normalization of a styled layer is y = S (x - mu) at each pixel, with mu and S from statistics
of the map or of another one: S = 1 centers, a diagonal S = 1 / sigma is instance or batch norm, the
inverse root of the covariance whitens. What is a pair of small arrays can be folded into a 1 x 1
convolution and can come from elsewhere.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from din_jax.ops.shapes import check_map, check_pair
from din_jax.ops.statistics import EPSILON, mean_and_std, mean_and_variance
from din_jax.ops.widening import wide_type


class Affine(NamedTuple):
    """x -> matrix^T (scale * (x - mean)) of the channels at every pixel; None is no such step.

    `mean` and `scale` are [B, C], `matrix` is [B, C, C], all float32 or wider; a first axis of 1 is
    one map for the whole batch.
    """

    mean: Array
    scale: Array | None = None
    matrix: Array | None = None

    def __call__(self, x: Array) -> Array:
        """[B, H, W, C] -> the same, of the type of x.

        The product is exact on every backend, as the whitening that gives such matrices is: with
        factors of 8 bits a whitened map has not the identity for a covariance.

        Raises:
          ValueError: shapes or types that do not fit, at trace time.
        """
        self.check(x)
        wide = wide_type(x, self.mean)
        y = x.astype(wide) - self.mean[:, None, None].astype(wide)
        if self.scale is not None:
            y = y * self.scale[:, None, None].astype(wide)
        y = y.astype(x.dtype)
        if self.matrix is not None:
            b, h, w, c = y.shape
            matrix = jnp.broadcast_to(self.matrix, (b, c, c)).astype(x.dtype)
            flat = y.reshape(b, h * w, c)
            y = jnp.matmul(flat, matrix, precision=lax.Precision.HIGHEST).reshape(b, h, w, c)
        return y

    def check(self, x: Array):
        """Raises ValueError for a map that is not of as many images and channels."""
        check_map(x)
        b, _, _, c = x.shape
        for name, value in self._asdict().items():
            sizes = (c, c) if name == "matrix" else (c,)
            if value is not None and value.shape not in ((b, *sizes), (1, *sizes)):
                raise ValueError(
                    f"The {name} of an affine map of x {x.shape} is {(b, *sizes)}, or "
                    f"{(1, *sizes)} for the whole batch, not {value.shape}."
                )


def instance_affine(x: Array, epsilon: float = EPSILON) -> Affine:
    """Instance normalization of x as an affine map: mu, and 1 / sqrt(var + epsilon)."""
    mean, variance = mean_and_variance(x)
    return Affine(mean, lax.rsqrt(variance + epsilon))


def instance_norm(x: Array, epsilon: float = EPSILON) -> Array:
    """y = (x - mu) / sqrt(var + epsilon), per image and channel (Ulyanov et al. 2016, eq. 3).

    Args:
      x: [B, H, W, C]; statistics are float32, the result has the type of x.
      epsilon: inside the root.

    Returns:
      [B, H, W, C], mean 0 and variance var / (var + epsilon) in each channel.

    Raises:
      ValueError: no map [B, H, W, C] of a float type, at trace time.
    """
    return instance_affine(x, epsilon)(x)


def adain(content: Array, style: Array, epsilon: float = EPSILON) -> Array:
    """y = sigma(style) * instance_norm(content) + mu(style) (Huang & Belongie 2017, eq. 8).

    Args:
      content: [B, H, W, C].
      style: [B, H', W', C], any size, or [1, H', W', C] for the whole batch.
      epsilon: inside both roots.

    Returns:
      [B, H, W, C] with the channel means and standard deviations of the style.

    Raises:
      ValueError: shapes or types that do not fit, at trace time.
    """
    check_pair(content, style)
    mean, std = mean_and_std(style.astype(wide_type(content, style)), epsilon)
    y = instance_norm(content, epsilon).astype(std.dtype)
    y = y * std[:, None, None] + mean[:, None, None]
    return y.astype(content.dtype)
