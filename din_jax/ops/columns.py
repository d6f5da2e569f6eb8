"""The product of a convolution's columns with its kernel, dense, grouped or depthwise.

    y[n, o] = sum_{t, i} columns[n, t, i] kernel[t, i, o],     i over the channels of o's group

Columns hold for every point n what the taps t of the kernel read there (im2col).
"""

import jax
import jax.numpy as jnp
from jax import Array, lax


def product(columns: Array, kernel: Array, kept: jnp.dtype) -> Array:
    """[B, N, taps, I] by [taps, I / groups, O] or [B, taps, I / groups, O] -> [B, N, O]."""
    batch, points, taps, channels = columns.shape
    *image, _, per_group, out = kernel.shape
    if _is_depthwise(columns, kernel):
        # Elementwise, so that it becomes part of the loop that samples.
        weights = kernel[..., 0, :].astype(kept)
        weights = weights[:, None] if image else weights[None, None]
        return (columns.astype(kept) * weights).sum(2)
    if per_group == channels:
        columns = columns.reshape(batch, points, taps * channels)
        kernel = kernel.reshape(*image, taps * channels, out)
        return jnp.matmul(columns, kernel, preferred_element_type=kept)
    groups = channels // per_group
    columns = columns.reshape(batch, points, taps, groups, per_group)
    kernel = kernel.reshape(*image, taps, per_group, groups, out // groups)
    product = "bntgi,btigo->bngo" if image else "bntgi,tigo->bngo"
    y = jnp.einsum(product, columns, kernel, preferred_element_type=kept)
    return y.reshape(batch, points, out)


def product_gradient(columns: Array, kernel: Array, gradient: Array) -> tuple[Array, Array]:
    """The gradients of `product` to its columns and its kernel, from [B, N, O] of their type."""
    batch, points, taps, channels = columns.shape
    if not _is_depthwise(columns, kernel):
        _, pull = jax.vjp(lambda c, k: product(c, k, columns.dtype), columns, kernel)
        return pull(gradient)
    # The sum over points as a product: XLA on CPU does not vectorize a sum over samples.
    terms = (columns * gradient[:, :, None]).reshape(batch, points, taps * channels)
    ones = jnp.ones((batch, 1, points), terms.dtype)
    to_kernel = jnp.matmul(ones, terms, precision=lax.Precision.HIGHEST).reshape(
        batch, taps, 1, channels
    )
    weights = kernel[..., 0, :]
    weights = weights[:, None] if kernel.ndim == 4 else weights[None, None]
    return gradient[:, :, None] * weights, to_kernel if kernel.ndim == 4 else to_kernel.sum(0)


def _is_depthwise(columns: Array, kernel: Array) -> bool:
    return kernel.shape[-2] == 1 and kernel.shape[-1] == columns.shape[-1]
