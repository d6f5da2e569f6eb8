"""K x K convolution of many channels by Winograd's minimal filtering F(2x2, 3x3).

A tile of 2 x 2 outputs reads 4 x 4 inputs. Direct convolution takes 36 products per channel pair,

    Y = A^T [ (G k G^T) * (B^T x B) ] A

takes 16 (Lavin & Gray 2016, section 4.1; * is element by element, and a matrix product over
channels). B^T and A^T only add and subtract, so that the error in float32 is about that of the
direct form, 1e-6 of the largest value; F(4x4, 3x3) is at most an eighth faster here and ten times
less exact. The gradient to the kernel takes as few products, G^T [ (B^T x B)^T (A g A^T) ] G.

Larger kernels are cut into pieces of 3 x 3 taps, which share the last step: their products are
added before it. A piece with less than three taps along an axis has nothing in the last of its four
rows, so that 5 x 5 takes 49 products for 100 and 7 x 7 takes 121 for 196.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from din_jax.ops.cpu.products import matmul

TAPS = 3  # of a piece, per side
TILE = 2  # outputs per side
READ = TILE + TAPS - 1
INPUT = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))  # B^T
OUTPUT = ((1, 1, 1, 0), (0, 1, -1, -1))  # A^T
SPREAD = tuple(zip(*OUTPUT, strict=True))  # A
KERNEL = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))  # G
TAP_SUMS = tuple(zip(*KERNEL, strict=True))  # G^T


class _Sizes(NamedTuple):
    """Of a convolution without padding: its output, tiles of it, and pieces of the kernel."""

    height: int
    width: int
    rows: int
    columns: int
    pieces: int
    side: int


def _sizes(padded: Array, side: int) -> _Sizes:
    height, width = (n - side + 1 for n in padded.shape[1:3])
    rows, columns = (-(-n // TILE) for n in (height, width))
    return _Sizes(height, width, rows, columns, -(-side // TAPS), side)


@jax.custom_vjp
def winograd_conv(padded: Array, kernel: Array) -> Array:
    """Convolution without padding, stride 1. Reverse mode only.

    Args:
      padded: [B, H + K - 1, W + K - 1, I].
      kernel: [K, K, I, O], or [B, K, K, I, O], one for every image; K at least 3.

    Returns:
      [B, H, W, O].
    """
    b, _, _, inputs = padded.shape
    sizes = _sizes(padded, kernel.shape[-4])
    kernels = _transformed(kernel, sizes)
    pixels = (-1, inputs) if kernel.ndim == 4 else (b, -1, inputs)
    sums: dict[tuple[int, int], Array] = {}
    for (i, j, p, q), tile in _tiles(padded, sizes):
        product = matmul(tile.reshape(pixels), kernels[i, j, p, q])
        sums[i, j] = sums[i, j] + product if (i, j) in sums else product
    tiles = [
        [sums[i, j].reshape(b, sizes.rows, sizes.columns, -1) for j in range(READ)]
        for i in range(READ)
    ]
    across = [_combine(OUTPUT, row) for row in tiles]
    parts = [_combine(OUTPUT, column) for column in zip(*across, strict=True)]
    y = jnp.stack([jnp.stack(row, 3) for row in zip(*parts, strict=True)], 2)
    y = y.reshape(b, TILE * sizes.rows, TILE * sizes.columns, -1)
    return y[:, : sizes.height, : sizes.width]


def _transformed(kernel: Array, sizes: _Sizes) -> Array:
    """G k G^T of every piece: [..., K, K, I, O] to [4, 4, pieces, pieces, ..., I, O]."""
    lead = kernel.ndim - 4
    rest = TAPS * sizes.pieces - sizes.side
    kernel = jnp.pad(kernel, ((0, 0),) * lead + ((0, rest),) * 2 + ((0, 0),) * 2)
    cut = (sizes.pieces, TAPS, sizes.pieces, TAPS)
    kernel = kernel.reshape(*kernel.shape[:lead], *cut, *kernel.shape[-2:])
    down = jnp.stack(_combine(KERNEL, _along(kernel, lead + 1)))
    across = jnp.stack(_combine(KERNEL, _along(down, lead + 3)), 1)
    return jnp.moveaxis(across, (lead + 2, lead + 3), (2, 3))


def _along(x: Array, axis: int) -> list[Array]:
    return [lax.index_in_dim(x, i, axis, keepdims=False) for i in range(x.shape[axis])]


def _tiles(padded: Array, sizes: _Sizes) -> Iterator[tuple[tuple[int, int, int, int], Array]]:
    """B^T x B of all tiles, element by element, for every piece of the kernel.

    As ((i, j, p, q), [B, rows, columns, I]): element i, j of what piece p, q reads. Elements that
    meet a zero of the kernel's transform are left out.
    """
    # Odd sizes and short pieces read further than the map reaches, zeros whose results are cut off
    # or multiplied by zero.
    full = [TILE * n + TAPS * sizes.pieces - 1 for n in (sizes.rows, sizes.columns)]
    rest = [(0, n - size) for n, size in zip(full, padded.shape[1:3], strict=True)]
    # Else XLA on CPU pads anew in every read.
    padded = lax.optimization_barrier(jnp.pad(padded, ((0, 0), *rest, (0, 0))))

    def every(x: Array, axis: int, count: int, piece: int) -> list[Array]:
        """The pixels that a tile reads along an axis, each of all tiles."""
        first, span = TAPS * piece, TILE * (count - 1) + 1
        return [
            lax.slice_in_dim(x, first + i, first + i + span, TILE, axis)
            for i in range(_elements(sizes, piece))
        ]

    def along(x: Array, axis: int, count: int) -> Iterator[tuple[int, int, Array]]:
        for piece in range(sizes.pieces):
            pixels = every(x, axis, count, piece)
            matrix = [row[: len(pixels)] for row in INPUT[: len(pixels)]]
            for i, element in enumerate(_combine(matrix, pixels)):
                yield i, piece, element

    for i, p, row in along(padded, 1, sizes.rows):
        for j, q, tile in along(row, 2, sizes.columns):
            yield (i, j, p, q), tile


def _elements(sizes: _Sizes, piece: int) -> int:
    """How many of a piece's four elements along an axis meet a kernel that is not zero."""
    return READ if TAPS * (piece + 1) <= sizes.side else READ - 1


def _combine(matrix: Sequence[Sequence[float]], arrays: Sequence[Array]) -> list[Array]:
    """The product of a matrix of few, small entries with a list of arrays, as sums.

    Not as a matrix product, which is thin: with sums for the kernel's transform, 3x3 at
    [1, 64, 64, 128] took 5.0 instead of 6.5 ms on two cores.
    """
    sums = []
    for row in matrix:
        terms = [
            x if abs(factor) == 1 else abs(factor) * x
            for factor, x in zip(row, arrays, strict=True)
            if factor
        ]
        signs = [factor > 0 for factor in row if factor]
        total = terms[0] if signs[0] else -terms[0]
        for term, positive in zip(terms[1:], signs[1:], strict=True):
            total = total + term if positive else total - term
        sums.append(total)
    return sums


def _forward(padded: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return winograd_conv(padded, kernel), (padded, kernel)


def _backward(saved: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    padded, kernel = saved
    border = kernel.shape[-4] - 1
    spread = jnp.pad(gradient, ((0, 0), (border, border), (border, border), (0, 0)))
    to_padded = winograd_conv(spread, kernel[..., ::-1, ::-1, :, :].swapaxes(-2, -1))
    return to_padded, _kernel_gradient(padded, gradient, kernel)


def _kernel_gradient(padded: Array, gradient: Array, kernel: Array) -> Array:
    """G^T [ (B^T x B)^T (A g A^T) ] G, summed over tiles, and images where they share a kernel."""
    sizes = _sizes(padded, kernel.shape[-4])
    b, _, _, outputs = gradient.shape
    rest = [(0, TILE * sizes.rows - sizes.height), (0, TILE * sizes.columns - sizes.width)]
    # One copy here, not one in every read.
    gradient = lax.optimization_barrier(jnp.pad(gradient, ((0, 0), *rest, (0, 0))))

    def halves(x: Array, axis: int) -> list[Array]:
        return [lax.slice_in_dim(x, i, None, TILE, axis) for i in range(TILE)]

    spread = [_combine(SPREAD, halves(row, 2)) for row in _combine(SPREAD, halves(gradient, 1))]
    products: dict[tuple[int, int, int, int], Array] = {}
    for (i, j, p, q), tile in _tiles(padded, sizes):
        columns = tile.reshape(b, -1, tile.shape[-1])
        rows = spread[i][j].reshape(b, -1, outputs)
        # Image by image also for a shared kernel: at [1, 512, 512, 32] one sum over both axes takes
        # twice the time.
        products[i, j, p, q] = jnp.einsum("bni,bno->bio", columns, rows)
    shape = (READ, READ, sizes.pieces, sizes.pieces)
    nothing = jnp.zeros_like(products[0, 0, 0, 0])
    elements = jnp.stack([products.get(index, nothing) for index in np.ndindex(shape)])
    if kernel.ndim == 4:  # once for all, so that a sharded batch needs one reduction
        elements = elements.sum(1)
    elements = elements.reshape(*shape, *elements.shape[1:])
    down = jnp.stack(_combine(TAP_SUMS, _along(elements, 0)))
    taps = jnp.stack(_combine(TAP_SUMS, _along(down, 1)), 1)
    lead = kernel.ndim - 4
    taps = jnp.moveaxis(taps, (2, 0, 3, 1), tuple(range(lead, lead + 4)))
    full = TAPS * sizes.pieces
    taps = taps.reshape(*kernel.shape[:-4], full, full, *kernel.shape[-2:])
    return taps[..., : sizes.side, : sizes.side, :, :]


winograd_conv.defvjp(_forward, _backward)
