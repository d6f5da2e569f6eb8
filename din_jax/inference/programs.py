"""What the engine compiles: pictures in and out as bytes, computed in the type that it chose."""

import jax.numpy as jnp
from flax import nnx
from jax import Array

from din_jax.inference.frames import Pieces
from din_jax.layers.codes import StyleCode
from din_jax.layers.mixtures import Mixture
from din_jax.layers.styled import LayerStatistics
from din_jax.models.network import StylizationNetwork
from din_jax.ops import extent
from din_jax.ops.extent import Extent


def encode(graph: nnx.GraphDef, state: dict, style: Array) -> StyleCode:
    """The code of images uint8 [B, H, W, 3], or of the numbers [B] of known styles; float32."""
    return code(graph, state, read(graph, state, style))


def read(graph: nnx.GraphDef, state: dict, style: Array):
    """The first half of `encode`: what the model's sources read of the styles."""
    model: StylizationNetwork = nnx.merge(graph, state)
    known = bool(model.config.styles)
    return model.style_features(style if known else style.astype(jnp.float32) / 255)


def code(graph: nnx.GraphDef, state: dict, features) -> StyleCode:
    """The second half: the code of features that `read` gave."""
    model: StylizationNetwork = nnx.merge(graph, state)
    return model.code(features)


def measure(
    graph: nnx.GraphDef,
    dtype: str,
    pooled: bool,
    images: Array,
    rest: Pieces,
    state: dict,
    code: Mixture,
) -> dict[str, LayerStatistics]:
    """What `stylize` normalizes by without statistics; arguments as there."""
    model: StylizationNetwork = nnx.merge(graph, state)
    with _within(images, rest, pooled):
        return model.content_statistics(images.astype(dtype) / 255, code)


def stylize(
    graph: nnx.GraphDef,
    dtype: str,
    pooled: bool,
    images: Array,
    rest: Pieces,
    state: dict,
    code: Mixture,
    statistics: dict[str, LayerStatistics] | None = None,
) -> tuple[Array, Array]:
    """Paints pieces of pictures.

    Args:
      graph: of the network, whose arrays are `state`.
      dtype: computed in; statistics and the last step are float32.
      pooled: whether the pieces are shares of one picture, whose statistics are pooled.
      images: uint8 [B, H, W, 3].
      rest: where they end, and what is their own; `images` of it are not read.
      state: nested dicts.
      code: for as many pictures, masks and maps for these pieces.
      statistics: what the styled layers normalize by; None takes the pieces' own.

    Returns:
      uint8 [B, H, W, 3], and the number of values [B] in the own parts that clipping changed.
    """
    model: StylizationNetwork = nnx.merge(graph, state)
    with _within(images, rest, pooled):
        stylized = model.stylize(images.astype(dtype) / 255, code, statistics)
    stylized = stylized.astype(jnp.float32)
    clipped = jnp.clip(stylized, 0, 1)
    lines = [jnp.arange(n)[None] for n in images.shape[1:3]]
    rows, columns = (
        (line >= rest.own[:, axis, :1]) & (line < rest.own[:, axis, 1:])
        for axis, line in enumerate(lines)
    )
    own = (rows[:, :, None] & columns[:, None])[..., None]
    changed = ((stylized != clipped) & own).sum((1, 2, 3))
    return jnp.round(clipped * 255).astype(jnp.uint8), changed


def _within(images: Array, rest: Pieces, pooled: bool):
    if rest.size is None:
        return extent.within(None)
    return extent.within(Extent(images.shape[1:3], rest.size, rest.counted, pooled))
