"""Style swap: each patch of a content map replaced by the style's nearest (Chen & Schmidt 2016).

    match(i) = argmax_j <phi_i(C), phi_j(S)> / (||phi_i(C)|| ||phi_j(S)||)      (their section 3)

and the map rebuilt from the matched patches, the mean taken where they overlap. Matching is one
convolution of the content with the style's patches as kernels; the content's own norm changes no
argmax and is left out. Their rebuilding is a transposed convolution of one-hot maps with the same
patches: of maps that hold one 1 that is a gather, and K^2 shifted maps added up.
"""

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from din_jax.ops.cpu.convolution import DIMENSIONS
from din_jax.ops.shapes import check_map
from din_jax.ops.widening import wide_type

SMALLEST_NORM = 1e-12  # of a patch: one of zeros is like none


def style_swap(content: Array, style: Array, side: int = 3, stride: int = 1) -> Array:
    """The content map rebuilt from patches of the style map.

    Every K x K patch of the content, stride 1, is replaced by the style's patch of the largest
    normalized cross-correlation (the first of equal ones, in rows); overlapping patches are
    averaged. Each image takes memory for [H W, number of style patches] at a time. The gradient
    reaches the style alone: matches are whole numbers.

    Args:
      content: [B, H, W, C].
      style: [B, H', W', C], any size.
      side: K, of the patches, pixels.
      stride: pixels between the style's patches, in both directions.

    Returns:
      [B, H, W, C] of the type of the content.

    Raises:
      ValueError: channels or batches differ, or a map is smaller than a patch; at trace time.
    """
    for x in (content, style):
        check_map(x)
    if content.shape[::3] != style.shape[::3]:
        raise ValueError(
            "Style swap takes maps [B, H, W, C] of one batch and one number of channels, not "
            f"{content.shape} and {style.shape}."
        )
    smallest = min(*content.shape[1:3], *style.shape[1:3])
    if not 1 <= side <= smallest or stride < 1:
        raise ValueError(
            f"Style swap takes patches of 1 to {smallest} pixels, the smallest side of these maps, "
            f"and a stride from 1 on, not {side} and {stride}."
        )

    wide = wide_type(content, style)

    def one(pair: tuple[Array, Array]) -> Array:
        rows, columns = _matches(*(x.astype(wide) for x in pair), side, stride)
        total = jnp.zeros(pair[0].shape, wide)
        return _rebuilt(total, pair[1], rows, columns, side)

    return lax.map(one, (content, style)).astype(content.dtype)


def _matches(content: Array, style: Array, side: int, stride: int) -> tuple[Array, Array]:
    """Row and column of the style's patch for each of the content's: [H - K + 1, W - K + 1]."""
    patches = jnp.stack(
        [
            lax.slice(
                style,
                (i, j, 0),
                (style.shape[0] - side + i + 1, style.shape[1] - side + j + 1, style.shape[2]),
                (stride, stride, 1),
            )
            for i in range(side)
            for j in range(side)
        ]
    )
    across = patches.shape[2]
    patches = patches.reshape(side * side, -1, style.shape[2])
    norms = jnp.sqrt(jnp.square(patches).sum((0, 2)))
    kernels = patches / jnp.maximum(norms, SMALLEST_NORM)[None, :, None]
    kernels = kernels.swapaxes(1, 2).reshape(side, side, style.shape[2], -1)
    correlation = lax.conv_general_dilated(
        content[None], kernels, (1, 1), "VALID", dimension_numbers=DIMENSIONS,
        precision=lax.Precision.HIGHEST,
    )  # fmt: skip
    best = jnp.argmax(correlation[0], -1)
    return best // across * stride, best % across * stride


def _rebuilt(total: Array, style: Array, rows: Array, columns: Array, side: int) -> Array:
    """The matched patches laid on zeros [H, W, C]; their mean where they overlap."""
    count = np.zeros(total.shape[:2], total.dtype)
    h, w = rows.shape
    for i in range(side):
        for j in range(side):
            pixels = style[rows + i, columns + j].astype(total.dtype)
            total = total.at[i : i + h, j : j + w].add(pixels)
            count[i : i + h, j : j + w] += 1
    return total / jnp.asarray(count)[..., None]
