"""Depthwise convolution as a sum of K * K shifted products, with its gradient.

XLA on CPU runs a grouped convolution 9 to 40 times slower than oneDNN does. Its own gradient of the
sum takes some ten times as long as the sum: the transposed slices become K * K padded copies, and
each tap's reduction a pass of its own. So it is written out.
"""

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax

from din_jax.ops.padding import reflect_pad
from din_jax.ops.taps import shifted_taps


def depthwise_by_taps(x: Array, kernel: Array, stride: int, dilation: int = 1) -> Array:
    """Depthwise convolution with reflect padding, [B, H, W, C] by [K, K, C], K odd.

    A kernel [K, K, B, 1, 1, C] holds one for every image; its taps are `dilation` pixels apart.
    Returns [B, ceil(H / stride), ceil(W / stride), C]. Reverse mode only.
    """
    padded = reflect_pad(x, dilation * (kernel.shape[0] // 2))
    return _shifted_products(padded, kernel, stride, dilation, x.shape[1:3])


def _sum_of_products(
    padded: Array, kernel: Array, size: tuple[int, int], stride: int = 1, dilation: int = 1
) -> Array:
    taps = shifted_taps(padded, kernel.shape[0], size, stride, dilation)
    return sum(tap * kernel[i, j] for (i, j), tap in taps)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _shifted_products(
    padded: Array, kernel: Array, stride: int, dilation: int, size: tuple[int, int]
) -> Array:
    """Depthwise convolution of a padded map, [B, H + D (K - 1), W + D (K - 1), C] by [K, K, C]."""
    return _sum_of_products(lax.optimization_barrier(padded), kernel, size, stride, dilation)


def _shifted_products_forward(padded, kernel, stride, dilation, size):
    return _shifted_products(padded, kernel, stride, dilation, size), (padded, kernel)


def _shifted_products_backward(stride, dilation, size, saved, gradient):
    padded, kernel = saved
    to_padded = _transposed(gradient, kernel, padded.shape[1:3], stride, dilation)
    return to_padded, _kernel_gradient(padded, gradient, kernel, stride, dilation)


_shifted_products.defvjp(_shifted_products_forward, _shifted_products_backward)


def _transposed(
    gradient: Array, kernel: Array, size: tuple[int, int], stride: int, dilation: int
) -> Array:
    """The gradient to a padded map of `size`: the convolution transposed.

    That is `gradient` spread by the stride, with a zero border, by the kernel turned around.
    """
    reach = dilation * (kernel.shape[0] - 1)
    border = []
    for full, count in zip(size, gradient.shape[1:3], strict=True):
        spread = (count - 1) * stride + 1
        border.append((reach, full - spread, stride - 1))
    zero = jnp.zeros((), gradient.dtype)
    spread = lax.pad(gradient, zero, ((0, 0, 0), *border, (0, 0, 0)))
    turned = kernel[::-1, ::-1]
    return _sum_of_products(lax.optimization_barrier(spread), turned, size, dilation=dilation)


def _kernel_gradient(
    padded: Array, gradient: Array, kernel: Array, stride: int, dilation: int
) -> Array:
    """sum over pixels, and images where they share a kernel, of tap * gradient.

    One pass over the maps, a row of all taps in cache at a time, added to a row per tap: sums along
    the rows come last, since XLA on CPU runs each on one core (51 -> 26 ms on [8, 128, 128, 128]).
    The batch axis is summed at the very end, so that a sharded batch needs one reduction.
    """
    b, height, width, channels = gradient.shape
    side = kernel.shape[0]
    wide = jnp.promote_types(padded.dtype, jnp.float32)
    stop = (width - 1) * stride + 1

    def add_row(totals, row):
        rows = lax.dynamic_slice_in_dim(padded, row * stride, dilation * (side - 1) + 1, 1)
        rows = rows.astype(wide)
        g = lax.dynamic_index_in_dim(gradient, row, 1, keepdims=False).astype(wide)
        added = []
        for tap, total in enumerate(totals):
            top, left = dilation * (tap // side), dilation * (tap % side)
            added.append(total + rows[:, top, left : left + stop : stride] * g)
        return added, None

    start = [jnp.zeros((b, width, channels), wide)] * side**2
    totals, _ = lax.scan(add_row, start, jnp.arange(height))
    total = jnp.stack([each.sum(1) for each in totals], 1)
    if kernel.ndim == 3:
        return total.sum(0).reshape(kernel.shape).astype(kernel.dtype)
    return total.swapaxes(0, 1).reshape(kernel.shape).astype(kernel.dtype)
