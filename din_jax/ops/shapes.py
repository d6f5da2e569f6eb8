"""What operations ask of the arrays they are given, said while tracing.

Broadcasting fits what does not belong together, so that numbers are wrong and nothing is said.
"""

import jax.numpy as jnp
from jax import Array


def check_map(x: Array, *, floats: bool = True):
    """Raises ValueError for what is no map [B, H, W, C], or, with `floats`, not of a float type."""
    if x.ndim != 4:
        raise ValueError(
            f"Maps are [B, H, W, C], not of shape {x.shape}: give a single one a batch of 1, "
            "x[None]."
        )
    if floats and not jnp.issubdtype(x.dtype, jnp.floating):
        raise ValueError(f"Maps are of a float type, not {x.dtype}: convert them first.")


def check_pair(content: Array, style: Array):
    """Raises ValueError for maps that are not a content's and its style's."""
    check_map(content)
    check_map(style)
    if content.shape[3] != style.shape[3] or style.shape[0] not in (1, content.shape[0]):
        raise ValueError(
            "Content and style are maps [B, H, W, C] of one number of channels, with a style for "
            f"every image or one for all, not {content.shape} and {style.shape}."
        )


def check_weights(x: Array, weights: Array | None):
    """Raises ValueError for weights that are not one number for every pixel of a map."""
    if weights is not None and weights.shape != x.shape[:3]:
        raise ValueError(
            f"The weights of maps {x.shape} are one for every pixel, [B, H, W] = {x.shape[:3]}, "
            f"not {weights.shape}: give every image its own, at the size of the map."
        )
