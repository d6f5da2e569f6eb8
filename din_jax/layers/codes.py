"""The style code: one (kernel, bias) per styled layer, the only thing the two halves exchange.

A styled layer computes y = transform(normalize(x); kernel) + bias. Every method of the family is a
way to fill in the code:

    IN     kernel = identity, bias = 0
    CIN    kernel = diag(a row of a table), bias = a row of another     (depthwise 1x1)
    AdaIN  kernel = diag(std(style)), bias = mean(style)                (depthwise 1x1)
    WCT    kernel = covariance(style)^(1/2), bias = mean(style)         (dense 1x1)
    DIN    kernel, bias = weight net(style), bias net(style)

A spatially adaptive layer has a weight and a bias per position instead: maps of both. Codes mix
linearly, or by masks: see `layers.mixtures`.
"""

import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike

from din_jax.ops.statistics import mean_and_covariance, mean_and_std
from din_jax.ops.whitening import covariance_root
from din_jax.style_code import AnyCode, LayerCode, MapCode, StyleCode

__all__ = [
    "AnyCode",
    "LayerCode",
    "MapCode",
    "StyleCode",
    "channel_code",
    "covariance_code",
    "identity_code",
    "identity_kernel",
    "kernel_change",
    "statistics_code",
]


def identity_kernel(
    rows: int, columns: int, per_group: int, channels: int, dtype: DTypeLike = jnp.float32
) -> Array:
    """The kernel [K, K, C / groups, C] that changes nothing: one at the center of each channel."""
    place = jnp.arange(channels)[None] % per_group
    own = (place == jnp.arange(per_group)[:, None]).astype(dtype)
    kernel = jnp.zeros((rows, columns, per_group, channels), dtype)
    return kernel.at[rows // 2, columns // 2].set(own)


def kernel_change(code: AnyCode) -> Array:
    """Kernel minus the identity, of the kernel's shape."""
    if isinstance(code, MapCode):
        return code.kernel - 1
    return code.kernel - identity_kernel(*code.kernel.shape[1:], code.kernel.dtype)[None]


def identity_code(batch: int, channels: int) -> LayerCode:
    """Plain instance norm as a code: kernel I, bias 0."""
    kernel = jnp.broadcast_to(jnp.eye(channels), (batch, 1, 1, channels, channels))
    return LayerCode(kernel, jnp.zeros((batch, channels)))


def channel_code(scale: Array, shift: Array) -> LayerCode:
    """y = scale * normalize(x) + shift as a depthwise 1x1 code, from two arrays [B, C]."""
    return LayerCode(scale[:, None, None, None], shift)


def statistics_code(style: Array) -> LayerCode:
    """AdaIN as a code: depthwise 1x1 kernel std(style), bias mean(style); style is [B, H, W, C]."""
    mean, std = mean_and_std(style)
    return channel_code(std, mean)


def covariance_code(style: Array) -> LayerCode:
    """WCT's coloring as a code: dense 1x1 kernel covariance(style)^(1/2), bias mean(style).

    Behind a whitened map it is the transform of Li et al. 2017c; style is [B, H, W, C].
    """
    mean, covariance = mean_and_covariance(style)
    return LayerCode(covariance_root(covariance)[:, None, None], mean)
