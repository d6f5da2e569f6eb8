"""Contents with nothing on them, so that a style's texture is learned where no content hides it.

The styled layers stretch whatever little there is to unit variance: on a sky or a wall a network
paints a texture, and of photographs alone it learns one and the same for every style
(`evaluation.texture` measures that).
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

PLAIN = 1 / 3  # of the pictures are of one color
SPREAD = (4.0, 64.0)  # levels of 255, standard deviation of the corners' colors; log-uniform
NOISE = 3.0  # levels of 255: the most of a camera's noise, standard deviation; uniform from 0


def flat_picture(key: Array, side: int) -> Array:
    """One color, or a soft gradient between the colors of four corners, and a camera's noise.

        x(i, j) = sum_c w_c(i, j) color_c + sigma n(i, j),   w bilinear, n normal

    Args:
      side: pixels.

    Returns:
      uint8 [side, side, 3].
    """
    plain, base, spread, corner, sigma, noise = jax.random.split(key, 6)
    low, high = SPREAD
    width = low * (high / low) ** jax.random.uniform(spread)
    width = jnp.where(jax.random.bernoulli(plain, PLAIN), 0, width)
    color = jax.random.uniform(base, (3,), maxval=255)
    colors = color[None, None] + width * jax.random.normal(corner, (2, 2, 3))
    along = jnp.linspace(0, 1, side)
    weights = jnp.stack([1 - along, along])  # [2, side], of both axes
    smooth = jnp.einsum("ai,bj,abc->ijc", weights, weights, jnp.clip(colors, 0, 255))
    grain = NOISE * jax.random.uniform(sigma) * jax.random.normal(noise, (side, side, 3))
    return jnp.clip(jnp.round(smooth + grain), 0, 255).astype(jnp.uint8)


def with_flat_contents(batch: dict[str, Any], share: float, key: Array) -> dict[str, Any]:
    """The batch, in which some contents, each with probability `share`, are flat pictures.

    Args:
      batch: "content" uint8 [B, side, side, 3], without targets that were kept of it.
    """
    if not share:
        return batch
    contents = batch["content"]
    chosen_key, pictures_key = jax.random.split(key)
    chosen = jax.random.bernoulli(chosen_key, share, (len(contents),))
    keys = jax.random.split(pictures_key, len(contents))
    flat = jax.vmap(lambda each: flat_picture(each, contents.shape[1]))(keys)
    return batch | {"content": jnp.where(chosen[:, None, None, None], flat, contents)}
