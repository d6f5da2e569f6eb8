"""Dynamic convolution with the fewer products of Winograd's minimal filtering."""

import jax.numpy as jnp
from jax import Array, lax

from din_jax.ops.cpu.space_to_depth import (
    depth_to_space,
    space_to_depth,
    space_to_depth_kernel,
)
from din_jax.ops.cpu.winograd import winograd_conv
from din_jax.ops.taps import block_diagonal

# Winograd's form takes as many groups at once as have this many channels: 8 groups of 3x3 with
# gradients at [1, 64, 64, 128] 13.5, 10.0, 14.8 and 13.2 ms with 16, 32, 64 and all 128 channels on
# two CPU cores, at [1, 256, 256, 64] 76, 69 and 90 with 16, 32 and 64.
WIDE = 32
# Up to here 5x5 is 3x3 on blocks of 2 x 2 pixels: [1, 512, 512, 32] 110 -> 75 ms, [1, 256, 256, 64]
# 72 -> 65; with 128 channels 55 -> 76.
FEW_CHANNELS = 64


def dynamic_winograd_conv(padded: Array, kernel: Array, groups: int) -> Array:
    """[B, H + K - 1, W + K - 1, I] by [B, K, K, I / groups, O] to [B, H, W, O], K 3 or 5."""
    parts = [_dense_conv(*part) for part in _dense_parts(padded, kernel, groups)]
    return jnp.concatenate(parts, -1) if len(parts) > 1 else parts[0]


def _dense_conv(padded: Array, kernel: Array) -> Array:
    height, width = (n - kernel.shape[1] + 1 for n in padded.shape[1:3])
    if kernel.shape[1] == 5 and max(kernel.shape[3:]) <= FEW_CHANNELS:
        # As 3x3 on blocks of 2 x 2 pixels.
        blocks = lax.optimization_barrier(space_to_depth(padded))
        return depth_to_space(winograd_conv(blocks, space_to_depth_kernel(kernel)), height, width)
    return winograd_conv(padded, kernel)


def _dense_parts(padded: Array, kernel: Array, groups: int) -> list[tuple[Array, Array]]:
    """Channels and kernels of as many groups at a time as make a product wide enough."""
    per_group = padded.shape[-1] // groups
    together = next(
        n
        for n in range(1, groups + 1)
        if groups % n == 0 and (n * per_group >= WIDE or n == groups)
    )
    count = groups // together
    inputs, outputs = jnp.split(padded, count, -1), jnp.split(kernel, count, -1)
    dense = [block_diagonal(part, together) for part in outputs]
    return list(zip(inputs, dense, strict=True))
