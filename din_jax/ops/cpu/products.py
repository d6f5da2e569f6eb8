"""Matrix products in the precision that JAX is told to use."""

import jax
import jax.numpy as jnp
from jax import Array


def matmul(a: Array, b: Array) -> Array:
    """a @ b, float32; under `jax.default_matmul_precision("bfloat16")` of rounded factors.

    That is what the setting means on TPU, where XLA obeys it by itself: factors of 8 bits, sums in
    float32. XLA on CPU ignores it, so the factors are rounded here. On processors with AVX512-BF16
    or AMX a product is then up to twice as fast, if its factors are only just computed: rounding
    arrays that lie in memory costs what the product gains.
    """
    if a.dtype == jnp.float32 and jax.config.jax_default_matmul_precision == "bfloat16":
        a, b = a.astype(jnp.bfloat16), b.astype(jnp.bfloat16)
        return jnp.matmul(a, b, preferred_element_type=jnp.float32)
    return jnp.matmul(a, b)
