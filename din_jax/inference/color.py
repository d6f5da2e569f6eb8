"""Colors kept: the content's chroma below the painted luminance, or the style in its colors.

Gatys et al. 2017, "Preserving Color in Neural Artistic Style Transfer": luminance-only transfer
(section 4, here on the painted picture) and color statistics matching (section 3; the affine map
with a symmetric matrix, as image analogies, Hertzmann et al. 2001, extended to covariances).
"""

import numpy as np

from din_jax.errors import UserError

COLORS = ("style", "luminance", "match")
LUMA = np.array([0.299, 0.587, 0.114])
"""Y of YIQ (BT.601) from R, G, B as stored."""

_ROWS = 1 << 20  # pixels handled at once
_FLOOR = 1e-5  # least variance along an axis: one gray level of 255 squared


def check_color(color: str) -> None:
    """Raises UserError unless `color` is one of COLORS."""
    if color not in COLORS:
        raise UserError(f"color must be {', '.join(COLORS)}, not {str(color)[:80]!r}.")


def keep_chroma(content: np.ndarray, painted: np.ndarray) -> np.ndarray:
    """The painted picture's luminance in the content's colors, uint8 [H, W, 3] of both.

    In YIQ: Y of the painted, I and Q of the content. Where such a color leaves [0, 1] its I and Q
    are shrunk by one factor until it does not, so that Y is that of the painted everywhere, to
    rounding.
    """
    result = np.empty_like(content)
    rows = max(1, _ROWS // content.shape[1])
    for top in range(0, len(content), rows):
        part = slice(top, top + rows)
        result[part] = np.rint(255 * recolored(content[part] / 255.0, painted[part] / 255.0))
    return result


def recolored(content: np.ndarray, painted: np.ndarray) -> np.ndarray:
    """`keep_chroma` on values in [0, 1], [..., 3]; the result is in [0, 1]."""
    y = (painted @ LUMA)[..., None]
    # I and Q are linear in RGB and zero on gray: the color less its own luminance holds them.
    chroma = content - (content @ LUMA)[..., None]
    limit = np.where(chroma > 0, 1 - y, y)
    with np.errstate(divide="ignore", invalid="ignore"):
        room = np.where(chroma == 0, 1.0, limit / np.abs(chroma)).min(-1, keepdims=True)
    return np.clip(y + np.minimum(room, 1) * chroma, 0, 1)


def match_colors(style: np.ndarray, content: np.ndarray) -> np.ndarray:
    """The style recolored to the content's mean and covariance of RGB, uint8 [h, w, 3], clipped."""
    matrix, shift = color_map(style, content)
    return np.rint(np.clip(style @ matrix.T + 255 * shift, 0, 255)).astype(np.uint8)


def color_map(style: np.ndarray, content: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A [3, 3] and b [3] of x -> A x + b, which gives `style` the color statistics of `content`.

    A = cov(content)^(1/2) cov(style)^(-1/2), b = mean(content) - A mean(style); both pictures are
    uint8 [H, W, 3], x in [0, 1]. Along axes that a style does not use at all (a gray one's chroma)
    the root is that of a variance of 1e-5 instead of 0.
    """
    (mean_s, covariance_s), (mean_c, covariance_c) = map(color_statistics, (style, content))
    matrix = _root(covariance_c, 0.5, 0.0) @ _root(covariance_s, -0.5, _FLOOR)
    return matrix, mean_c - matrix @ mean_s


def color_statistics(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean [3] and covariance [3, 3] of a uint8 picture's RGB in [0, 1], some rows at a time."""
    total, products = np.zeros(3), np.zeros((3, 3))
    pixels = image.reshape(-1, 3)
    for start in range(0, len(pixels), _ROWS):
        part = pixels[start : start + _ROWS] / 255.0
        total += part.sum(0)
        products += part.T @ part
    mean = total / len(pixels)
    return mean, products / len(pixels) - np.outer(mean, mean)


def _root(covariance: np.ndarray, power: float, floor: float) -> np.ndarray:
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.maximum(values, max(floor, 0)) ** power) @ vectors.T
