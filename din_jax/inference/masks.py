"""Masks: where each style goes, with soft edges, and how much of the content stays."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from din_jax.data.decoding import decode_pil, upright
from din_jax.errors import UserError


def read_mask(given: Any) -> np.ndarray:
    """A mask of any kind that users have as float32 [h, w] in [0, 1]: 1 is painted.

    Args:
      given: an array [h, w], bool, uint8 0..255 or float 0..1; a Pillow image or a path, of which
        the gray value counts, and nothing where it is transparent.

    Raises:
      UserError: of another kind, or a number outside; BadImageError, MissingImageError: a file.
    """
    if isinstance(given, str | Path | bytes | bytearray | Image.Image):
        image = upright(given) if isinstance(given, Image.Image) else decode_pil(given, alpha=True)
        gray = np.asarray(image.convert("L"), np.float32) / 255
        if image.mode == "RGBA":
            gray *= np.asarray(image.getchannel("A"), np.float32) / 255
        return gray
    array = np.asarray(given)
    if array.ndim != 2 or 0 in array.shape or array.dtype.kind not in "buf":
        raise UserError(
            "a mask must be an array [h, w] (uint8 0..255, or float 0..1), a Pillow image or a "
            f"path, but is {array.dtype} {list(array.shape)}; convert it first."
        )
    if array.dtype.kind == "u" and array.dtype != np.uint8:
        raise UserError(f"a mask of whole numbers must be uint8 0..255, not {array.dtype}.")
    mask = array.astype(np.float32) / (255 if array.dtype == np.uint8 else 1)
    if not (mask.min() >= 0 and mask.max() <= 1):  # also of NaN
        raise UserError(
            f"a mask of {array.dtype} must lie in 0..1, not {array.min():g}..{array.max():g}; "
            "scale it, or give uint8."
        )
    return mask


def read_masks(given: Sequence[Any], styles: int) -> list[np.ndarray]:
    """As many masks as styles, or one less: the last style then takes what no mask holds.

    Raises:
      UserError: another number of masks, or as `read_mask`.
    """
    masks = [read_mask(part) for part in masks_in(given)]
    check_count(len(masks), styles)
    return masks


def masks_in(given: Any) -> list[Any]:
    """The masks of a sequence, or the one that is given alone; none is read."""
    single = isinstance(given, str | Path | bytes | Image.Image) or getattr(given, "ndim", 0) == 2
    return [given] if single else list(given)


def check_count(masks: int, styles: int) -> None:
    """Raises UserError unless there are as many masks as styles, or one less, and at least one."""
    if masks not in (styles, styles - 1) or not masks:
        wanted = f"{styles} masks, or {styles - 1}" if styles > 1 else "1 mask"
        raise UserError(
            f"{styles} styles need {wanted} (the last style then takes the rest), not {masks}."
        )


def fit_masks(
    masks: Sequence[np.ndarray], styles: int, size: tuple[int, int], feather: float
) -> np.ndarray:
    """Shares of the styles at every pixel of a content, float32 [styles, H, W], their sum <= 1.

    Where masks overlap beyond 1 they share: each is divided by their sum. What they leave is the
    last style's if it has no mask of its own, else the content's.

    Args:
      masks: of `read_masks`.
      styles: how many.
      size: (H, W) of the content; bilinear, averaging where a mask is larger.
      feather: standard deviation in px of the content of a Gaussian that softens edges; 0: none.
    """
    height, width = size
    shares = np.empty((styles, height, width), np.float32)
    for share, mask in zip(shares, masks, strict=False):
        share[:] = mask if mask.shape == size else _resized(mask, size)
        if feather > 0:
            # What lies beyond the picture is like its border.
            from scipy import ndimage  # here: a tenth of what a first picture waits for

            ndimage.gaussian_filter(share, feather, output=share, mode="nearest", truncate=3)
    given = shares[: len(masks)]
    total = given.sum(0)
    given /= np.maximum(total, 1)
    if len(masks) < styles:
        shares[-1] = np.clip(1 - total, 0, 1)
    return shares


def _resized(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    image = Image.fromarray(mask).resize(size[::-1], Image.Resampling.BILINEAR)
    return np.clip(np.asarray(image), 0, 1)


def split_by_level(
    shares: np.ndarray, strengths: Mapping[str, float]
) -> tuple[list[int | None], dict[str, np.ndarray]]:
    """Regions that together give each style its share at every level, at that level's strength.

    The content's own code has the rest: at level l, with strength a_l, the mask of style s is
    a_l share_s, and the content's 1 - a_l sum_s share_s.

    Args:
      shares: [S, H, W], their sum at most 1.
      strengths: by level, 0..1.

    Returns:
      The number of each region's style, of those that have a share anywhere, and None, last, if the
      content's own has any; masks [R, H, W] by level, one array for all levels of one strength.
    """
    painted = max(strengths.values()) > 0
    numbers: list[int | None] = [i for i, share in enumerate(shares) if painted and share.any()]
    rests = {a: np.clip(1 - a * shares.sum(0), 0, 1) for a in set(strengths.values())}
    # Rounding leaves a little everywhere, which is nobody's.
    if max(rest.max() for rest in rests.values()) > 1e-3 or not numbers:
        numbers.append(None)
    masks = {
        a: np.stack([rest if number is None else a * shares[number] for number in numbers])
        for a, rest in rests.items()
    }
    return numbers, {level: masks[a] for level, a in strengths.items()}
