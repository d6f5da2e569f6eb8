"""im2col (unfold), and the shifted sum that is its mirror image (kn2row): few channels on one side.

    im2col(x)[p, (t, c)] = x[p + t, c]          shift_add(y)[p, c] = sum_t y[p + t, (t, c)]

t runs over K x K, row by row. With a product before or after they are a convolution from few, or to
few channels, where the map that is K * K times as wide stays small:

    y = im2col(x) @ kernel[(t, i), o]           y = shift_add(x @ kernel[i, (t, o)])

Each is the other's gradient, turned around, reverse mode only; XLA's own, from slices, takes
longer on CPU.
"""

import functools

import jax
import jax.numpy as jnp
from jax import Array, lax

from din_jax.ops.padding import zero_border


def _views(padded: Array, side: int) -> list[Array]:
    height, width = (n - side + 1 for n in padded.shape[1:3])
    # Else XLA on CPU pads anew in every read.
    padded = lax.optimization_barrier(padded)
    return [padded[:, i : i + height, j : j + width] for i in range(side) for j in range(side)]


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def im2col(padded: Array, side: int) -> Array:
    """[B, H + K - 1, W + K - 1, C] to [B, H, W, K K C]."""
    return jnp.concatenate(_views(padded, side), -1)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def shift_add(padded: Array, side: int) -> Array:
    """[B, H + K - 1, W + K - 1, K K C] to [B, H, W, C]."""
    channels = padded.shape[-1] // side**2
    views = enumerate(_views(padded, side))
    return sum(view[..., i * channels : (i + 1) * channels] for i, view in views)


def _turned(x: Array, side: int) -> Array:
    """The taps in reverse order: [B, H, W, K K C]."""
    *pixels, channels = x.shape
    taps = x.reshape(*pixels, side**2, channels // side**2)
    return taps[..., ::-1, :].reshape(x.shape)


def _im2col_backward(side: int, _: None, gradient: Array) -> tuple[Array]:
    return (shift_add(zero_border(_turned(gradient, side), side - 1), side),)


def _shift_add_backward(side: int, _: None, gradient: Array) -> tuple[Array]:
    views = _views(zero_border(gradient, side - 1), side)
    return (jnp.concatenate(views[::-1], -1),)


im2col.defvjp(lambda padded, side: (im2col(padded, side), None), _im2col_backward)
shift_add.defvjp(lambda padded, side: (shift_add(padded, side), None), _shift_add_backward)
