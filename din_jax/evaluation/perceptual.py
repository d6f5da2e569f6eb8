"""LPIPS: how far apart two pictures look, as people judged patches (Zhang et al. 2018, eq. 1).

    d(x, y) = sum over layers of the mean over places of sum_c w_c (x_c / |x| - y_c / |y|)^2

with the features after AlexNet's five ReLUs, at each place of unit length over its channels, and
weights w that were fitted to people's judgments (version 0.1). Between a stylized picture and its
content it says how much of the content is left; 0 for the content itself.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from din_jax.weights.lpips import LPIPSWeights

# What the published network wants of RGB in [-1, 1].
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
STRIDES, PADDINGS = (4, 1, 1, 1, 1), (2, 2, 1, 1, 1)
POOLED = (False, True, True, False, False)  # by 3x3, stride 2, before the convolution
EPSILON = 1e-10  # added to a feature's length, as published
SMALLEST = 31  # pixels, of a side: below, a pool has nothing to take


def features(weights: LPIPSWeights, images: Array) -> list[Array]:
    """Maps after each ReLU of images [B, H, W, 3], RGB in [0, 1]; no side below `SMALLEST`."""
    shift, scale = (jnp.asarray(x, images.dtype)[None, None, None] for x in (SHIFT, SCALE))
    x = (2 * images - 1 - shift) / scale
    maps = []
    for (kernel, bias), stride, padding, pooled in zip(
        weights.convolutions, STRIDES, PADDINGS, POOLED, strict=True
    ):
        if pooled:
            x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), "VALID")
        x = lax.conv_general_dilated(
            x, jnp.asarray(kernel), (stride, stride), [(padding, padding)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"), precision=lax.Precision.HIGHEST,
        )  # fmt: skip
        x = jax.nn.relu(x + jnp.asarray(bias)[None, None, None])
        maps.append(x)
    return maps


class LPIPS:
    """The distance, compiled for each size."""

    def __init__(self, weights: LPIPSWeights):
        def distance(a: Array, b: Array) -> Array:
            pairs = [features(weights, x.astype(jnp.float32) / 255) for x in (a, b)]
            total = jnp.zeros(len(a))
            for x, y, head in zip(*pairs, weights.heads, strict=True):
                squares = jnp.square(_unit(x) - _unit(y)) * jnp.asarray(head)[None, None, None]
                total += squares.sum(-1).mean((1, 2))
            return total

        self._distance = jax.jit(distance)

    def __call__(self, a: np.ndarray, b: np.ndarray) -> float:
        """Of two pictures of one size, uint8 [H, W, 3]; NaN where a side is below `SMALLEST`."""
        if min(a.shape[:2]) < SMALLEST:
            return float("nan")
        return float(self._distance(a[None], b[None])[0])


def _unit(x: Array) -> Array:
    return x / (jnp.sqrt(jnp.square(x).sum(-1, keepdims=True)) + EPSILON)
