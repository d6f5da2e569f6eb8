"""What a style code is made of; what codes mean stands in `layers.codes`.

Without JAX, so that banks and mixtures also serve where models run without it (`din_jax.lite`).
"""

from typing import Any, NamedTuple


class LayerCode(NamedTuple):
    """Kernel [B, K, K, I / groups, O] and bias [B, O] of one styled layer."""

    kernel: Any
    bias: Any


class MapCode(NamedTuple):
    """Spatially adaptive: a depthwise 1x1 kernel and a bias per position, both [B, h, w, C]."""

    kernel: Any
    bias: Any


AnyCode = LayerCode | MapCode
# Level name ("level1" = full size .. "level3" = quarter size) to its code.
StyleCode = dict[str, AnyCode]
