"""The style code: one (kernel, bias) per styled layer, the only thing the two halves exchange.

A styled layer computes y = conv(normalize(x); kernel) + bias. Every method of the family is a way
to fill in the code:

    IN     kernel = identity, bias = 0
    AdaIN  kernel = diag(std(style)), bias = mean(style)     (depthwise 1x1)
    DIN    kernel, bias = weight net(style), bias net(style)
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from din_jax.ops.dynamic import dynamic_instance_norm
from din_jax.ops.statistics import mean_and_std


class LayerCode(NamedTuple):
    """Kernel [B, K, K, I / groups, O] and bias [B, O] of one styled layer."""

    kernel: Array
    bias: Array


# Level name ("level1" = full size .. "level3" = quarter size) to its code.
StyleCode = dict[str, LayerCode]


def apply_code(x: Array, code: LayerCode, form: str = "auto") -> Array:
    """The styled layer: y = conv(instance_norm(x); kernel) + bias, [B, H, W, I] -> [B, H, W, O]."""
    with jax.named_scope("din"):
        return dynamic_instance_norm(x, code.kernel, code.bias, form)


def identity_code(batch: int, channels: int) -> LayerCode:
    """Plain instance norm as a code: kernel I, bias 0."""
    kernel = jnp.broadcast_to(jnp.eye(channels), (batch, 1, 1, channels, channels))
    return LayerCode(kernel, jnp.zeros((batch, channels)))


def statistics_code(style: Array) -> LayerCode:
    """AdaIN as a code: depthwise 1x1 kernel std(style), bias mean(style); style is [B, H, W, C]."""
    mean, std = mean_and_std(style)
    return LayerCode(std[:, None, None, None, :], mean)
