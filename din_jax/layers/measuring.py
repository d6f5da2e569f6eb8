"""Statistics of what a map has of its picture: all of it, a part of the map, or a share.

A map that is a piece of a larger picture knows its own statistics alone. `measured` then binds
`pooled_statistics`, which nothing executes: who traces such a function cuts it there, pools what
the pieces give, and goes on with that (`inference.passes`).
"""

import jax
import jax.extend
from jax import Array

from din_jax.layers.normalizers import Moments, Normalizer
from din_jax.ops import extent

pooled_statistics = jax.extend.core.Primitive("pooled_statistics")
"""(share [B], *leaves of Moments) -> the same leaves, of all pieces; parameter: their structure."""
pooled_statistics.multiple_results = True
pooled_statistics.def_abstract_eval(lambda share, *leaves, structure: leaves)


def measured(normalizer: Normalizer, x: Array, weights: Array | None = None) -> Moments:
    """`normalizer.statistics(x, weights)` of what `ops.extent` says is the pictures'."""
    part = extent.current()
    if part is None:
        return normalizer.statistics(x, weights)
    share = part.share(x)
    weights = share if weights is None else share * weights
    moments = normalizer.statistics(x, weights)
    if not part.pooled:
        return moments
    leaves, structure = jax.tree.flatten(moments)
    leaves = pooled_statistics.bind(weights.sum((1, 2)), *leaves, structure=structure)
    return jax.tree.unflatten(structure, leaves)
