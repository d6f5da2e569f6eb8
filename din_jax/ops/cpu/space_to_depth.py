"""Space to depth: convolution of n x n pixels at a time, their channels side by side.

A pixel of the result is a block of the n x n * O channels, computed from whole blocks of n x n
pixels by a kernel of ceil((K + n - 1) / n) blocks, which holds the K x K one once per pixel of the
block, moved to it. That costs more products, (K + n - 1 rounded up)^2 / K^2, and gives the matrix
product inside enough rows and columns.

    y = depth_to_space(conv(space_to_depth(padded), space_to_depth_kernel(kernel)), H, W)
"""

import jax.numpy as jnp
from jax import Array


def space_to_depth(padded: Array, n: int = 2) -> Array:
    """[B, H, W, C] to [B, ceil(H / n), ceil(W / n), n n C], zeros where blocks stand out."""
    b, height, width, channels = padded.shape
    rows, columns = -(-height // n), -(-width // n)
    padded = jnp.pad(padded, ((0, 0), (0, rows * n - height), (0, columns * n - width), (0, 0)))
    blocks = padded.reshape(b, rows, n, columns, n, channels).transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(b, rows, columns, n * n * channels)


def depth_to_space(blocks: Array, height: int, width: int, n: int = 2) -> Array:
    """[B, rows, columns, n n C] to [B, height, width, C], what stands out cut off."""
    b, rows, columns, _ = blocks.shape
    y = blocks.reshape(b, rows, columns, n, n, -1).transpose(0, 1, 3, 2, 4, 5)
    return y.reshape(b, rows * n, columns * n, -1)[:, :height, :width]


def space_to_depth_kernel(kernel: Array, n: int = 2) -> Array:
    """[..., K, K, I, O] to [..., T, T, n n I, n n O] with T = ceil((K + n - 1) / n)."""
    *lead, side, _, inputs, outputs = kernel.shape
    taps = -(-(side + n - 1) // n)
    rest = taps * n - side
    whole = [(0, 0)] * len(lead)
    moved = [
        jnp.pad(kernel, (*whole, (i, rest - i), (j, rest - j), (0, 0), (0, 0)))
        for i in range(n)
        for j in range(n)
    ]
    moved = jnp.stack(moved, -2).reshape(*lead, taps, n, taps, n, inputs, n * n * outputs)
    return moved.swapaxes(-5, -4).reshape(*lead, taps, taps, n * n * inputs, n * n * outputs)
