"""Depthwise convolution as a sum of K * K shifted products, with its gradient.

XLA on CPU runs a grouped convolution 9 to 40 times slower than oneDNN does. Its own gradient of the
sum takes some ten times as long as the sum: the transposed slices become K * K padded copies, and
each tap's reduction a pass of its own. So it is written out.
"""

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax

from din_jax.ops.cpu.padding import reflect_in_place
from din_jax.ops.taps import shifted_taps
from din_jax.ops.widening import wide_type


def depthwise_on_cpu(x: Array, kernel: Array, stride: int, halo: bool) -> Array:
    """`ops.depthwise_conv2d` of a map and a kernel of one type."""
    pad = 0 if halo else kernel.shape[0] // 2
    return depthwise_by_taps(reflect_in_place(x, pad, pad), kernel[:, :, 0], stride, 1)


def _sum_of_products(padded: Array, kernel: Array, stride: int, dilation: int) -> Array:
    taps = shifted_taps(padded, kernel.shape[0], stride, dilation)
    kernel = kernel if kernel.ndim == 6 else kernel[:, :, None, None, None]
    return sum(tap * kernel[i, j] for (i, j), tap in taps)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def depthwise_by_taps(padded: Array, kernel: Array, stride: int, dilation: int) -> Array:
    """Depthwise convolution of a padded map, [B, H + D (K - 1), W + D (K - 1), C] by [K, K, C].

    A kernel [K, K, B, 1, 1, C] holds one for every image; its taps are D = `dilation` pixels apart.
    Returns [B, ceil(H / stride), ceil(W / stride), C]. Reverse mode only.
    """
    return _sum_of_products(lax.optimization_barrier(padded), kernel, stride, dilation)


def _by_taps_forward(padded, kernel, stride, dilation):
    return depthwise_by_taps(padded, kernel, stride, dilation), (padded, kernel)


def _by_taps_backward(stride, dilation, saved, gradient):
    padded, kernel = saved
    to_padded = _transposed(gradient, kernel, padded.shape[1:3], stride, dilation)
    return to_padded, _kernel_gradient(padded, gradient, kernel, stride, dilation)


depthwise_by_taps.defvjp(_by_taps_forward, _by_taps_backward)


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
    return _sum_of_products(lax.optimization_barrier(spread), turned, 1, dilation)


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
    wide = wide_type(padded)
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
