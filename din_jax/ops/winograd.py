"""3x3 convolution of many channels by Winograd's minimal filtering F(2x2, 3x3): a form for CPU.

A tile of 2 x 2 outputs reads 4 x 4 inputs. Direct convolution takes 36 products per channel pair,

    Y = A^T [ (G k G^T) * (B^T x B) ] A

takes 16 (Lavin & Gray 2016, section 4.1; * is element by element, and a matrix product over
channels). B^T and A^T only add and subtract, so that the error in float32 is about that of the
direct form, 1e-6 of the largest value; F(4x4, 3x3) is at most an eighth faster here and ten times
less exact.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

TILE = 2  # outputs per side
READ = TILE + 2
INPUT = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))  # B^T
OUTPUT = ((1, 1, 1, 0), (0, 1, -1, -1))  # A^T
KERNEL = np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]]) / 2  # G


@jax.custom_vjp
def winograd_conv(padded: Array, kernel: Array) -> Array:
    """Convolution without padding, stride 1.

    Args:
      padded: [B, H + 2, W + 2, I].
      kernel: [3, 3, I, O], or [B, 3, 3, I, O], one for every image.

    Returns:
      [B, H, W, O].
    """
    b, height, width, inputs = padded.shape
    size = height - 2, width - 2
    rows, columns = (-(-n // TILE) for n in size)
    # Odd sizes get tiles that stand out, on zeros, and are cut off.
    rest = [(0, TILE * count - n) for count, n in zip((rows, columns), size, strict=True)]
    # Else XLA on CPU pads anew in every read.
    padded = lax.optimization_barrier(jnp.pad(padded, ((0, 0), *rest, (0, 0))))

    def every(x: Array, axis: int, count: int) -> list[Array]:
        """The pixels that a tile reads along an axis, each of all tiles."""
        last = TILE * (count - 1) + 1
        return [lax.slice_in_dim(x, i, i + last, TILE, axis) for i in range(READ)]

    down = _combine(INPUT, every(padded, 1, rows))
    tiles = [tile for row in down for tile in _combine(INPUT, every(row, 2, columns))]
    transform = KERNEL.astype(kernel.dtype)
    kernels = jnp.einsum("ai,cj,...ijxy->ac...xy", transform, transform, kernel)
    pixels = (-1, inputs) if kernel.ndim == 4 else (b, -1, inputs)
    products = [
        (tile.reshape(pixels) @ kernels[i // READ, i % READ]).reshape(b, rows, columns, -1)
        for i, tile in enumerate(tiles)
    ]
    across = [_combine(OUTPUT, products[i : i + READ]) for i in range(0, READ * READ, READ)]
    parts = [_combine(OUTPUT, column) for column in zip(*across, strict=True)]
    y = jnp.stack([jnp.stack(row, 3) for row in zip(*parts, strict=True)], 2)
    return y.reshape(b, TILE * rows, TILE * columns, -1)[:, : size[0], : size[1]]


def _combine(matrix: Sequence[Sequence[int]], arrays: Sequence[Array]) -> list[Array]:
    """The product of a matrix of -1, 0 and 1 with a list of arrays, as sums alone."""
    sums = []
    for row in matrix:
        total = None
        for sign, x in zip(row, arrays, strict=True):
            if sign and total is None:
                total = x if sign > 0 else -x
            elif sign:
                total = total + x if sign > 0 else total - x
        sums.append(total)
    return sums


def _forward(padded: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return winograd_conv(padded, kernel), (padded, kernel)


def _backward(saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    padded, kernel = saved
    spread = jnp.pad(gradient, ((0, 0), (2, 2), (2, 2), (0, 0)))
    to_padded = winograd_conv(spread, kernel[..., ::-1, ::-1, :, :].swapaxes(-2, -1))
    return to_padded, _kernel_gradient(padded, gradient, kernel)


def _kernel_gradient(padded: Array, gradient: Array, kernel: Array) -> Array:
    """The sum over pixels, and images where they share a kernel, of tap^T gradient."""
    if kernel.ndim == 4:

        def direct(kernel: Array) -> Array:
            return lax.conv_general_dilated(
                padded, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )

        return jax.linear_transpose(direct, kernel)(gradient)[0]
    b, height, width, outputs = gradient.shape
    gradient = gradient.reshape(b, -1, outputs)
    taps = [
        padded[:, i : i + height, j : j + width].reshape(b, height * width, -1)
        for i in range(3)
        for j in range(3)
    ]
    # Fused into the product, the slices make XLA take a loop of its own: 493 against 82 ms at
    # [1, 512, 512, 32].
    taps = lax.optimization_barrier(taps)
    products = [jnp.einsum("bni,bno->bio", tap, gradient) for tap in taps]
    return jnp.stack(products, 1).reshape(kernel.shape)


winograd_conv.defvjp(_forward, _backward)
