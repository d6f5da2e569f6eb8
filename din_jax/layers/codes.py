"""The style code: one (kernel, bias) per styled layer, the only thing the two halves exchange.

A styled layer computes y = conv(normalize(x); kernel) + bias. Every method of the family is a way
to fill in the code:

    IN     kernel = identity, bias = 0
    AdaIN  kernel = diag(std(style)), bias = mean(style)     (depthwise 1x1)
    DIN    kernel, bias = weight net(style), bias net(style)

A spatially adaptive layer has a weight and a bias per position instead: maps [B, h, w, C] of both.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from din_jax.ops.dynamic import dynamic_instance_norm
from din_jax.ops.spatial import spatial_instance_norm
from din_jax.ops.statistics import mean_and_std


class LayerCode(NamedTuple):
    """Kernel [B, K, K, I / groups, O] and bias [B, O] of one styled layer.

    Spatially adaptive: both are maps [B, h, w, C], told by the four axes of the bias.
    """

    kernel: Array
    bias: Array


# Level name ("level1" = full size .. "level3" = quarter size) to its code.
StyleCode = dict[str, LayerCode]


def apply_code(x: Array, code: LayerCode, form: str = "auto", dilation: int = 1) -> Array:
    """The styled layer: y = conv(instance_norm(x); kernel) + bias, [B, H, W, I] -> [B, H, W, O]."""
    with jax.named_scope("din"):
        if code.bias.ndim == 4:
            return spatial_instance_norm(x, code.kernel, code.bias)
        return dynamic_instance_norm(x, code.kernel, code.bias, form, dilation=dilation)


def identity_kernel(rows: int, columns: int, per_group: int, channels: int) -> Array:
    """The kernel [K, K, C / groups, C] that changes nothing: one at the center of each channel."""
    own = (jnp.arange(channels) % per_group == jnp.arange(per_group)[:, None]).astype(jnp.float32)
    return jnp.zeros((rows, columns, per_group, channels)).at[rows // 2, columns // 2].set(own)


def identity_code(batch: int, channels: int) -> LayerCode:
    """Plain instance norm as a code: kernel I, bias 0."""
    kernel = jnp.broadcast_to(jnp.eye(channels), (batch, 1, 1, channels, channels))
    return LayerCode(kernel, jnp.zeros((batch, channels)))


def statistics_code(style: Array) -> LayerCode:
    """AdaIN as a code: depthwise 1x1 kernel std(style), bias mean(style); style is [B, H, W, C]."""
    mean, std = mean_and_std(style)
    return LayerCode(std[:, None, None, None, :], mean)
