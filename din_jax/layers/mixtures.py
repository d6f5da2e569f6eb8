"""Mixtures of styles: a code of each, with weights or with masks; one plain code is a mixture too.

Every transform here is linear in its code: a deformable one reads its offsets from the content, a
spatially adaptive one multiplies by its maps. So codes with weights are mixed before the layer,

    sum_s w_s T(x; code_s) = T(x; sum_s w_s code_s),

at the cost of one style. Masks are not the same at every pixel: with them outputs are mixed.
Codes are those of a layer, or whole style codes, whose layers `at_level` picks.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from din_jax.layers.codes import AnyCode, StyleCode
from din_jax.ops.spatial import resize_map


class Blend(NamedTuple):
    """sum_s weights[s] * codes[s]: interpolation where the weights sum to 1, else beyond.

    weights: [S], the same for the whole batch, or [S, B].
    """

    codes: Sequence[Any]
    weights: Array


class Regions(NamedTuple):
    """Each style in its region: y = sum_s m_s T_s(x), T_s with the region's own statistics.

    masks: [S, B, H, W] of any size, or such masks for each level by its name; none negative,
    resized to each map and divided by their sum at every pixel; some mask must hold every pixel.
    The content is normalized by the statistics of what each mask shows (Huang & Belongie 2017,
    section 7.2). `codes` may hold blends.
    """

    codes: Sequence[Any]
    masks: Array | Mapping[str, Array]


def each_mask(function: Callable[[Any], Any], masks: Any) -> Any:
    """A function of masks, or of those of each level; levels of one array have one result."""
    if not isinstance(masks, Mapping):
        return function(masks)
    found: dict[int, Any] = {}
    for array in masks.values():
        if id(array) not in found:
            found[id(array)] = function(array)
    return {level: found[id(array)] for level, array in masks.items()}


LayerMixture = AnyCode | Blend | Regions
Mixture = StyleCode | Blend | Regions


def at_level(mixture: Mixture, name: str) -> LayerMixture:
    """The same mixture of one level's codes."""
    if not isinstance(mixture, (Blend, Regions)):
        return mixture[name]
    mixture = mixture._replace(codes=tuple(at_level(code, name) for code in mixture.codes))
    if isinstance(mixture, Regions) and isinstance(mixture.masks, Mapping):
        mixture = mixture._replace(masks=mixture.masks[name])
    return mixture


def blended(code: AnyCode | Blend) -> AnyCode:
    """The one code that a blend amounts to; a plain code is itself.

    Raises:
      ValueError: not one weight per code, or codes of other kinds or sizes, at trace time.
    """
    if not isinstance(code, Blend):
        return code
    codes, weights = [blended(part) for part in code.codes], jnp.asarray(code.weights)
    if weights.ndim not in (1, 2) or len(weights) != len(codes):
        raise ValueError(
            f"A blend of {len(codes)} codes needs weights [{len(codes)}] or [{len(codes)}, B], "
            f"not {weights.shape}."
        )
    shapes = [jax.tree.map(jnp.shape, part) for part in codes]
    if any(shape != shapes[0] or type(shape) is not type(shapes[0]) for shape in shapes):
        raise ValueError(
            f"A blend takes codes of one kind, size and batch, not {', '.join(map(str, shapes))}."
        )

    def mix(*parts: Array) -> Array:
        ones = (1,) * (parts[0].ndim - 1)
        return sum(
            w.astype(part.dtype).reshape(-1, *ones) * part
            for w, part in zip(weights, parts, strict=True)
        )

    return jax.tree.map(mix, *codes)


def masks_on(masks: Array, x: Array, count: int) -> Array:
    """Masks [S, B, H, W] at the size of a map [B, h, w, C], their sum 1 at every pixel.

    Raises:
      ValueError: not one mask per style and picture, at trace time.
    """
    if masks.ndim != 4 or masks.shape[:2] != (count, x.shape[0]):
        raise ValueError(
            f"{count} styles on {x.shape[0]} pictures need masks [{count}, {x.shape[0]}, H, W], "
            f"not {masks.shape}."
        )
    resized = resize_map(jnp.moveaxis(masks, 0, -1), *x.shape[1:3])
    total = resized.sum(-1, keepdims=True)
    return jnp.moveaxis(resized / jnp.where(total > 0, total, 1), -1, 0)
