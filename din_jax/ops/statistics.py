"""Per-channel statistics of feature maps, accumulated in at least float32."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array, lax

from din_jax.ops.shapes import check_map, check_weights
from din_jax.ops.widening import wide_type, widen

EPSILON = 1e-5
_EXACT = lax.Precision.HIGHEST


def mean_and_variance(x: Array, weights: Array | None = None) -> tuple[Array, Array]:
    """Mean and biased variance of each channel over rows and columns.

    mu = 1/(HW) sum x,  var = 1/(HW) sum (x - mu)^2. Two passes: the one-pass form
    E[x^2] - mu^2 loses digits where the mean is far from zero.

    Args:
      x: [B, H, W, C], any float type.
      weights: [B, H, W], none negative: 1/(HW) becomes w / sum w, so that a mask gives the
        statistics of its region. Where all are zero, so are mean and variance.

    Returns:
      Two arrays [B, C], float32 or wider.

    Raises:
      ValueError: shapes or types that do not fit, at trace time.
    """
    check_map(x)
    check_weights(x, weights)
    x = widen(x)
    shares = None if weights is None else _shares(weights)
    mean = _mean(x, shares)
    return mean, _mean(jnp.square(x - mean[:, None, None]), shares)


def mean_and_covariance(x: Array, weights: Array | None = None) -> tuple[Array, Array]:
    """Mean [B, C] and biased covariance [B, C, C] of the channels over rows and columns.

    cov = 1/(HW) sum (x - mu) (x - mu)^T, products in full float32 on every backend; its diagonal is
    the variance. `x` and `weights` as in `mean_and_variance`.
    """
    check_map(x)
    check_weights(x, weights)
    x = widen(x)
    shares = None if weights is None else _shares(weights)
    mean = _mean(x, shares)
    b, h, w, c = x.shape
    flat = (x - mean[:, None, None]).reshape(b, h * w, c)
    weighted = flat / (h * w) if shares is None else flat * shares.reshape(b, h * w, 1)
    return mean, jnp.einsum("bni,bnj->bij", weighted, flat, precision=_EXACT)


def _shares(weights: Array) -> Array:
    """[B, H, W] to [B, H, W, 1] with sum 1 in each image, or 0 where nothing is there to share."""
    weights = widen(weights)
    total = weights.sum((1, 2), keepdims=True)
    return (weights / jnp.where(total > 0, total, 1))[..., None]


def _mean(x: Array, shares: Array | None) -> Array:
    # By columns: LiteRT adds in order, and one sum over all pixels put pictures of 256 px 4e-4 off.
    # XLA makes one reduction of the two.
    if shares is not None:
        return (x * shares).sum(1).sum(1)
    return x.sum(1).sum(1) / (x.shape[1] * x.shape[2])


def mean_and_std(x: Array, epsilon: float = EPSILON) -> tuple[Array, Array]:
    """Mean and sqrt(variance + epsilon) of each channel: the "BN statistics" of a style.

    Epsilon stands inside the root, as in the published AdaIN; variance is biased (ddof 0), where
    the published AdaIN divides by HW - 1: its deviation is larger by 1.7 % on a 5 x 6 map, by
    0.05 % on 32 x 32.

    Args:
      x: [B, H, W, C].
      epsilon: keeps the gradient of the root finite on constant channels.

    Returns:
      Two arrays [B, C], float32 or wider.
    """
    mean, variance = mean_and_variance(x)
    return mean, jnp.sqrt(variance + epsilon)


def log_statistics(features: Sequence[Array], floor: float = 1e-3) -> Array:
    """log(max(mean, floor)) and log(max(std, floor)) of every channel of some maps, in a row.

    Statistics of ReLU features are positive and span decades; their logarithm is what a net can
    read. Maps are [B, H_i, W_i, C_i]; the result is [B, 2 sum C_i], mean then std by map.
    """
    return log_of_statistics([mean_and_std(x) for x in features], floor)


def log_of_statistics(statistics: Sequence[tuple[Array, Array]], floor: float = 1e-3) -> Array:
    """`log_statistics` from the (mean, std) of each map."""
    parts = [part for pair in statistics for part in pair]
    return jnp.log(jnp.maximum(jnp.concatenate(parts, -1), floor))


def gram_matrix(x: Array) -> Array:
    """G = X^T X / (H W C) of each image, [B, H, W, C] -> [B, C, C] (Gatys et al. 2016).

    Float32 or wider, products in full float32 on every backend and under every
    `jax.default_matmul_precision`.
    """
    check_map(x)
    _, h, w, c = x.shape
    flat = x.reshape(x.shape[0], h * w, c)
    wide = wide_type(x)
    gram = jnp.einsum("bni,bnj->bij", flat, flat, precision=_EXACT, preferred_element_type=wide)
    return gram / (h * w * c)
