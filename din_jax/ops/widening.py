"""Sums and statistics are kept in float32, or wider where an input is.

Said by name, not left to JAX's promotion of types, so that the operations also run where that is
strict (`jax.numpy_dtype_promotion("strict")`).
"""

import jax
import jax.numpy as jnp
from jax import Array


def wide_type(*arrays: Array) -> jnp.dtype:
    """float32, or the widest type of some arrays of float types where that is wider."""
    # NumPy's float64 is float32 here unless JAX is told otherwise.
    types = (jax.dtypes.canonicalize_dtype(x.dtype) for x in arrays)
    return max((jnp.dtype(jnp.float32), *types), key=lambda t: t.itemsize)


def widen(x: Array) -> Array:
    """An array as float32 or wider."""
    return x.astype(wide_type(x))


def add_bias(x: Array, bias: Array) -> Array:
    """x + bias, [B, H, W, C] of the type of x, bias [C] or [B, C].

    Added in the wide type, so that the bias's gradient, a sum over pixels, is summed in it: in
    bfloat16 it stood still at 256 times one addend.
    """
    wide = wide_type(x)
    bias = bias.astype(wide).reshape(-1, 1, 1, x.shape[-1])
    return (x.astype(wide) + bias).astype(x.dtype)
