"""A dynamic convolution as one batched matrix product per tap: for every platform.

y_b = sum_t view_t(x_b) kernel_b[t],     view_t the map moved by the tap
"""

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax

from din_jax.ops.padding import zero_border


def shifted_taps(padded: Array, side: int, stride: int, dilation: int):
    """The K * K views of a padded map that a convolution multiplies, as ((i, j), view) pairs."""
    # Up to the last pixel that is read, so that symbolic sizes are those of a convolution.
    height, width = ((n - 1) // stride * stride + 1 for n in _size(padded, side, dilation))
    for i in range(side):
        for j in range(side):
            top, left = i * dilation, j * dilation
            yield (i, j), padded[:, top : top + height : stride, left : left + width : stride]


def block_diagonal(kernel: Array, groups: int) -> Array:
    """[B, K, K, I / groups, O] to the dense [B, K, K, I, O] that does the same."""
    per_group = kernel.shape[-2]
    # By padding: the gradient of a product with a mask is a sum over groups, which jaxlib 0.10.2
    # hands to YNNPACK, and that read outside its memory with two groups.
    columns = [
        jnp.pad(part, ((0, 0),) * 3 + ((i * per_group, (groups - 1 - i) * per_group), (0, 0)))
        for i, part in enumerate(jnp.split(kernel, groups, -1))
    ]
    return jnp.concatenate(columns, -1) if groups > 1 else kernel


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def conv_by_taps(padded: Array, kernel: Array, groups: int, dilation: int, apart: bool) -> Array:
    """A product per tap, of [B, H + D (K - 1), W + D (K - 1), I] by [B, K, K, I / groups, O].

    `apart` cuts each view out before its product: XLA on CPU would do so in every pass. Reverse
    mode only.
    """
    b, side, _, per_group, out = kernel.shape
    size = _size(padded, side, dilation)
    kernel = kernel.reshape(b, side, side, per_group, groups, out // groups)

    def product(tap: Array, weights: Array) -> Array:
        if groups == 1:
            y = jnp.matmul(tap.reshape(b, -1, per_group), weights[:, :, 0])
        else:
            tap = tap.reshape(b, -1, groups, per_group)
            y = jnp.einsum("bngi,bigo->bngo", tap, weights)
        return y.reshape(b, *size, out)

    taps = _taps(padded, side, dilation, apart)
    return sum(product(tap, kernel[:, i, j]) for (i, j), tap in taps)


def _size(padded: Array, side: int, dilation: int) -> tuple[int, int]:
    height, width = (n - dilation * (side - 1) for n in padded.shape[1:3])
    return height, width


def _taps(padded: Array, side: int, dilation: int, apart: bool):
    for index, tap in shifted_taps(padded, side, 1, dilation):
        yield index, lax.optimization_barrier(tap) if apart else tap


def _forward(padded: Array, kernel: Array, groups: int, dilation: int, apart: bool):
    return conv_by_taps(padded, kernel, groups, dilation, apart), (padded, kernel)


def _backward(groups: int, dilation: int, apart: bool, saved: tuple[Array, Array], gradient: Array):
    """Written out, since XLA's own adds K * K padded copies."""
    padded, kernel = saved
    b, side, _, per_group, out = kernel.shape
    turned = kernel[:, ::-1, ::-1].reshape(b, side, side, per_group, groups, out // groups)
    turned = turned.swapaxes(3, 5).reshape(b, side, side, out // groups, groups * per_group)
    spread = zero_border(gradient, dilation * (side - 1))
    to_padded = conv_by_taps(spread, turned, groups, dilation, apart)
    columns = gradient.reshape(b, -1, groups, out // groups)
    to_kernel = [
        jnp.einsum("bngi,bngo->bigo", tap.reshape(b, -1, groups, per_group), columns)
        for _, tap in _taps(padded, side, dilation, apart)
    ]
    return to_padded, jnp.stack(to_kernel, 1).reshape(kernel.shape)


conv_by_taps.defvjp(_forward, _backward)
