"""Upsampling, shrinking and pooling of feature maps."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from din_jax.ops.padding import check_border, repeat_border, zero_border
from din_jax.ops.shapes import check_map
from din_jax.ops.widening import wide_type

_EXACT = lax.Precision.HIGHEST


def upsample_bilinear(x: Array, *, halo: bool = False) -> Array:
    """Bilinear x2, pixel centers at half integers (align_corners=False), borders repeated.

    [B, H, W, C] -> [B, 2H, 2W, C]. PyTorch's `F.interpolate(scale_factor=2, mode="bilinear")`; its
    align_corners=True differs by up to a third of the largest value on noise, its antialiasing by
    nothing when it enlarges.

    The four pixels that each pixel becomes are computed side by side from a padded map, not one
    axis after the other, which writes a map between, and the gradient is written out, since XLA's
    own adds padded copies: on CPU 6 against 11 ms and 11 against 29 on [4, 128, 128, 64]. Reverse
    mode only.

    With `halo` the map is [B, H + 2, W + 2, C] and brings the pixels around it, in the place of the
    repeated border.
    """
    check_map(x)
    if halo:
        check_border(x, 1, halo)
    return _upsample(x, halo)


def shrink(x: Array, factor: int) -> Array:
    """Mean over blocks of `factor` by `factor` pixels: [B, H, W, C] -> [B, H // factor, ...].

    Rows and columns that fill no block are left out.
    """
    h, w = (n // factor for n in x.shape[1:3])
    whole = x[:, : h * factor, : w * factor]
    blocks = whole.reshape(-1, h, factor, w, factor, x.shape[3])
    return blocks.mean((2, 4), dtype=wide_type(x)).astype(x.dtype)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _upsample(x: Array, halo: bool) -> Array:
    padded = x if halo else repeat_border(x)
    h, w = (n - 2 for n in padded.shape[1:3])
    pixels = []
    for i in (0, 2):
        rows = 0.75 * padded[:, 1 : h + 1] + 0.25 * padded[:, i : i + h]
        pixels += [0.75 * rows[:, :, 1 : w + 1] + 0.25 * rows[:, :, j : j + w] for j in (0, 2)]
    y = jnp.stack(pixels, 3).reshape(-1, h, w, 2, 2, x.shape[3]).swapaxes(2, 3)
    return y.reshape(-1, 2 * h, 2 * w, x.shape[3])


def _upsample_forward(x: Array, halo: bool) -> tuple[Array, None]:
    return _upsample(x, halo), None


def _upsample_backward(halo: bool, _: None, gradient: Array) -> tuple[Array]:
    """dx[i] = sum_j (1, 3, 3, 1)/4 [j] g[2i - 1 + j] along either axis.

    What lies outside is g's own end: a border pixel is its own neighbor. A halo has dx at -1 and H
    too, and nothing outside.
    """
    padded = zero_border(gradient, 3) if halo else repeat_border(gradient)
    h, w = (n // 2 + 2 * halo for n in gradient.shape[1:3])

    def reduced(x: Array, count: int, axis: int) -> Array:
        ends = [lax.slice_in_dim(x, j, j + 2 * count - 1, 2, axis) for j in range(4)]
        return 0.25 * (ends[0] + ends[3]) + 0.75 * (ends[1] + ends[2])

    return (reduced(reduced(padded, h, 1), w, 2),)


_upsample.defvjp(_upsample_forward, _upsample_backward)


def upsample_nearest(x: Array) -> Array:
    """Every pixel becomes a 2 x 2 block, [B, H, W, C] -> [B, 2H, 2W, C]."""
    check_map(x, floats=False)
    b, h, w, c = x.shape
    x = jnp.broadcast_to(x[:, :, None, :, None], (b, h, 2, w, 2, c))
    return x.reshape(b, 2 * h, 2 * w, c)


@jax.custom_vjp
def max_pool(x: Array) -> Array:
    """Maximum over 2 x 2 blocks, an odd last row or column left out (ceil_mode=False).

    [B, H, W, C] -> [B, H // 2, W // 2, C]. The published AdaIN pools the odd rest too: the same at
    multiples of 8 pixels, else another size, and at 45 x 53 up to half of relu4_1's largest value.

    Maxima of strided slices, with a gradient of their own, which equal maxima share by halves: that
    of `reduce_window` takes some 60 times as long on CPU (131 against 2 ms on a [4, 128, 128, 64]
    map), that of the slices adds padded copies. Reverse mode only.
    """
    check_map(x, floats=False)
    h, w = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    x = x[:, :h, :w]
    with jax.named_scope("max_pool"):
        top = jnp.maximum(x[:, ::2, ::2], x[:, ::2, 1::2])
        bottom = jnp.maximum(x[:, 1::2, ::2], x[:, 1::2, 1::2])
        return jnp.maximum(top, bottom)


def _max_pool_forward(x: Array) -> tuple[Array, Array]:
    return max_pool(x), x


def _max_pool_backward(x: Array, gradient: Array) -> tuple[Array]:
    b, h, w, c = x.shape
    rows, columns = h // 2, w // 2
    blocks = x[:, : 2 * rows, : 2 * columns].reshape(b, rows, 2, columns, 2, c)

    def share(x: Array, axis: int) -> tuple[Array, Array]:
        """What part of the gradient goes to x and not to its neighbor, and the larger of both."""
        other = jnp.flip(x, axis)
        part = jnp.where(x > other, 1.0, jnp.where(x < other, 0.0, 0.5)).astype(gradient.dtype)
        return part, jnp.maximum(x, other)

    across, larger = share(blocks, 4)
    down, _ = share(larger, 2)
    to_x = across * down * gradient[:, :, None, :, None]
    rest = ((0, 0), (0, h - 2 * rows), (0, w - 2 * columns), (0, 0))
    return (jnp.pad(to_x.reshape(b, 2 * rows, 2 * columns, c), rest),)


max_pool.defvjp(_max_pool_forward, _max_pool_backward)


def _pooling_matrix(size: int, target: int) -> np.ndarray:
    """[target, size]: row i averages pixels floor(i size/target) .. ceil((i+1) size/target) - 1."""
    matrix = np.zeros((target, size))
    for i in range(target):
        start, stop = i * size // target, -(-(i + 1) * size // target)
        matrix[i, start:stop] = 1 / (stop - start)
    return matrix


def adaptive_average_pool(x: Array, rows: int, columns: int | None = None) -> Array:
    """Averages a map of any size to rows x columns, with PyTorch's bin borders.

    y[i, j] = mean of x over floor(iH/rows) .. ceil((i+1)H/rows) - 1 and likewise for columns;
    maps smaller than the target repeat pixels. Products and sums are in full float32 (or wider) on
    every backend and under every `jax.default_matmul_precision`: a mean of n pixels by a factor
    1 / n of 8 or 11 bits is off by the rounding of that factor.

    Args:
      x: [B, H, W, C].
      rows: target height.
      columns: target width; None takes `rows`.

    Returns:
      [B, rows, columns, C] of the type of x.
    """
    check_map(x)
    columns = rows if columns is None else columns
    if x.shape[1:3] == (rows, columns):
        return x
    wide = wide_type(x)
    down = jnp.asarray(_pooling_matrix(x.shape[1], rows), wide)
    across = jnp.asarray(_pooling_matrix(x.shape[2], columns), wide)
    with jax.named_scope("pool"):
        y = jnp.einsum("rh,bhwc,qw->brqc", down, x.astype(wide), across, precision=_EXACT)
        return y.astype(x.dtype)
