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
