"""A batch in parts, one after the other: the memory of a part, the gradient of the whole."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array


def accumulated(gradients: Callable, parts: int) -> Callable:
    """Of gradients(params, stats, batch) -> (gradient, metrics, stats), one over `parts` parts.

    Losses are means over pairs, so that the mean of the parts' gradients is the gradient of the
    whole batch where no pair sees another: with instance norms. Batch norms normalize with the
    statistics of a part, and their running statistics follow every part. Metrics are means over
    parts.

    Args:
      gradients: pure; every leaf of its batch has pairs along its first axis.
      parts: divides the pairs of each device; 1 gives `gradients` itself.
    """
    if parts == 1:
        return gradients

    def split(x: Array) -> Array:
        # Every `parts`-th pair, so that a part lies on all devices as the whole batch does.
        return jnp.moveaxis(x.reshape(len(x) // parts, parts, *x.shape[1:]), 1, 0)

    def whole(params, stats, batch: dict[str, Any]):
        batches = jax.tree.map(split, batch)
        first = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype), batches)
        kinds = jax.eval_shape(gradients, params, stats, first)[:2]
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), kinds)

        def add(carry, part):
            sums, stats = carry
            *found, stats = gradients(params, stats, part)
            return (jax.tree.map(jnp.add, sums, tuple(found)), stats), None

        # XLA on CPU runs the body of a loop on one core.
        unroll = parts if jax.default_backend() == "cpu" else 1
        (sums, stats), _ = jax.lax.scan(add, (zeros, stats), batches, unroll=unroll)
        gradient, metrics = jax.tree.map(lambda x: x / jnp.asarray(parts, x.dtype), sums)
        return gradient, metrics, stats

    return whole
