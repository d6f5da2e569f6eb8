"""How much of the content's structure is left, in whatever colors: CFSD.

The content feature structural distance of Chung et al. 2024 ("Style Injection in Diffusion",
section 5): how alike each place of a picture is to every other place of it, compared between the
content and the stylized picture. With F [P, C] the relu3_1 features of P places,

    S = softmax over rows of (F F^T),    CFSD = 1/P sum over rows of KL(S(content) || S(stylized))

Here the rows of F have unit length, so that F F^T are cosines: features of one VGG-19 file are a
hundred times those of another, and so would be the products. (The published program divides F by C
instead, and adds the rows up.) 0 for the content itself; not bounded, yet small in these units.
"""

import jax
import jax.numpy as jnp
from jax import Array, lax

from din_jax.ops.widening import widen

LAYER = "relu3_1"
EPSILON = 1e-8  # added to a feature's length: places of no feature are alike to nothing
_EXACT = lax.Precision.HIGHEST


def structural_distance(content: Array, stylized: Array) -> Array:
    """CFSD of one picture's features and its content's, [H, W, C] each; float32 or wider, no shape.

    Rows of the P x P matrices are made a row of the map at a time: P is 16,384 at 512 x 512.
    """
    if content.shape != stylized.shape:
        raise ValueError(f"CFSD compares maps of one shape, not {content.shape}, {stylized.shape}.")
    own, other = (_unit(x) for x in (content, stylized))
    columns = [x.reshape(-1, x.shape[-1]).T for x in (own, other)]

    def of_row(rows: tuple[Array, Array]) -> Array:
        p, q = (
            jax.nn.log_softmax(jnp.matmul(row, all_, precision=_EXACT), -1)
            for row, all_ in zip(rows, columns, strict=True)
        )
        return (jnp.exp(p) * (p - q)).sum(-1).mean()

    return lax.map(of_row, (own, other)).mean()


def _unit(x: Array) -> Array:
    x = widen(x)
    return x / (jnp.sqrt(jnp.square(x).sum(-1, keepdims=True)) + EPSILON)
