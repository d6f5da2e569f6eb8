"""Transforms of a styled layer: what a code does to the normalized map.

A transform is called with the map, the affine map of its channels that normalizes it, and the code:

    transform(x, affine, code) = T(affine(x); code.kernel) + code.bias

so that one that can take the normalization into its kernel does. The deformable one has parameters
of its own and stands in `layers.deformation`.
"""

import dataclasses

from jax import Array

from din_jax.layers.codes import LayerCode, MapCode
from din_jax.ops.dynamic import normalized_dynamic_conv
from din_jax.ops.normalization import Affine
from din_jax.ops.spatial import spatial_affine


@dataclasses.dataclass(frozen=True)
class KernelTransform:
    """The dynamic convolution, dense, grouped or depthwise by the shape of its kernel.

    [B, H, W, I] and a `LayerCode` -> [B, H, W, O], reflect padding.

    Args:
      dilation: pixels between taps.
      form: of the convolution, see `ops.dynamic`.
    """

    dilation: int = 1
    form: str = "auto"

    def __call__(self, x: Array, affine: Affine, code: LayerCode) -> Array:
        return normalized_dynamic_conv(x, affine, *code, self.form, dilation=self.dilation)


@dataclasses.dataclass(frozen=True)
class SpatialTransform:
    """One weight and bias per position: [B, H, W, C] and a `MapCode` -> [B, H, W, C]."""

    def __call__(self, x: Array, affine: Affine, code: MapCode) -> Array:
        return spatial_affine(affine(x), *code)
