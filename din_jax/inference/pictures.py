"""Pictures as users have them: arrays, Pillow images, files; the same kind comes out that went in.

Inside, a picture is uint8 RGB in sRGB, upright, and its alpha apart.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from din_jax.config_rules import SMALLEST_SIDE
from din_jax.data.decoding import decode_pil, resize_crop, upright
from din_jax.errors import UserError

LARGEST_SCALE = 4096  # pixels, short side of a style: as training takes it at most
# A style is encoded with at most this many times the pixels of a square of its short side; at its
# own size, with at most so many.
LONGEST_STYLE = 8
LARGEST_STYLE = 1 << 22


class Picture(NamedTuple):
    """What is painted, and what is kept of it for the result."""

    rgb: np.ndarray  # uint8 [H, W, 3], sRGB, upright
    alpha: np.ndarray | None = None  # uint8 [H, W]; 255 is opaque
    as_array: bool = True  # given as an array, and given back as one

    @property
    def visible(self) -> np.ndarray | None:
        """How much of each pixel is, float32 [H, W] in 0..1; None where nothing is hidden."""
        if self.alpha is None or self.alpha.all() or not self.alpha.any():
            return None
        return self.alpha.astype(np.float32) / 255

    def finished(self, rgb: np.ndarray) -> np.ndarray | Image.Image:
        """The painted picture [H, W, 3] as the caller gave the content: its kind and its alpha."""
        if self.alpha is not None:
            rgb = np.concatenate([rgb, self.alpha[..., None]], -1)
        return rgb if self.as_array else Image.fromarray(rgb)


def read_picture(given: Any, what: str = "a picture") -> Picture:
    """A picture of any kind that users have.

    Args:
      given: uint8 array [H, W, 3], with alpha [H, W, 4], or gray [H, W]; a Pillow image; a path; or
        an encoded file's bytes. ICC profiles and EXIF orientations are applied. Where nothing is
        visible, colors are the mean of what is, since programs leave anything there.
      what: what it is for, in messages.

    Raises:
      UserError: of another kind; BadImageError, MissingImageError: as `decode_image`.
    """
    if isinstance(given, Image.Image):
        pixels, as_array = np.array(upright(given)), False
    elif isinstance(given, str | Path | bytes | bytearray):
        pixels, as_array = np.array(decode_pil(given, alpha=True)), False
    else:
        pixels, as_array = _checked(given, what), True
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, -1)
    if pixels.shape[2] == 3:
        return Picture(pixels, None, as_array)
    rgb, alpha = pixels[..., :3], np.ascontiguousarray(pixels[..., 3])
    return Picture(_covered(rgb, alpha), alpha, as_array)


def read_pictures(given: Any, what: str) -> tuple[list[Picture], bool]:
    """One picture, or a sequence of them (also uint8 [N, H, W, 3 or 4]); and whether it is one.

    Raises:
      UserError: an empty sequence, or as `read_picture`.
    """
    if not is_sequence(given):
        return [read_picture(given, what)], True
    if len(given) == 0:
        raise UserError(f"{what} is needed, but the sequence given for it is empty.")
    return [read_picture(part, what) for part in given], False


def is_sequence(given: Any) -> bool:
    """Whether it stands for several pictures or styles, and not for one."""
    if isinstance(given, str | bytes | bytearray):
        return False
    return isinstance(given, Sequence) or getattr(given, "ndim", 0) == 4


def flat_picture(given: Any, what: str) -> np.ndarray:
    """The same without alpha, what is transparent on white: a style."""
    picture = read_picture(given, what)
    if picture.alpha is None:
        return picture.rgb
    cover = picture.alpha[..., None] / 255
    return np.rint(picture.rgb * cover + 255 * (1 - cover)).astype(np.uint8)


def prepare_style(image: np.ndarray, size: int) -> np.ndarray:
    """A style image as a model sees it, resized; a second time changes nothing more.

    Its short side becomes `size`, or less where the picture is so long that it would have more
    than eight times the pixels of a square of that side. At its own size (0) a style is reduced
    to 2^22 pixels.

    Raises:
      UserError: as `check_style_size`.
    """
    check_style_size(size)
    height, width = image.shape[:2]
    short, most = size or min(height, width), LONGEST_STYLE * size**2 or LARGEST_STYLE
    # The last is for pictures so thin that reflection will make them 32 pixels wide.
    scale = min(
        short / min(height, width),
        (most / (height * width)) ** 0.5,
        most / SMALLEST_SIDE / max(height, width),
    )
    shape = tuple(max(round(side * scale), 1) for side in (width, height))
    if shape != (width, height):
        image = resize_crop(Image.fromarray(image), shape, (0, 0), shape, smooth=True)
    return pad_to_multiple(image, 1, SMALLEST_SIDE)


def check_style_size(size: int, what: str = "the style size") -> None:
    """Raises UserError unless styles can be encoded at that short side; 0 keeps their own."""
    if size and not SMALLEST_SIDE <= size <= LARGEST_SCALE:
        raise UserError(
            f"{what} must be {SMALLEST_SIDE} to {LARGEST_SCALE} px, or 0 for the pictures' own "
            f"size, not {size}."
        )


def round_up(number: int, multiple: int) -> int:
    """The next multiple that is no less."""
    return -(-number // multiple) * multiple


def pad_to_multiple(image: np.ndarray, multiple: int, smallest: int) -> np.ndarray:
    """Adds reflected pixels below and to the right, [H, W, 3] -> [H', W', 3].

    H' and W' are the next multiples of `multiple` that are at least `smallest`. A side shorter
    than what is added is reflected back and forth.
    """
    sides = [round_up(max(side, smallest), multiple) for side in image.shape[:2]]
    added = [(0, new - old) for new, old in zip(sides, image.shape[:2], strict=True)]
    return np.pad(image, (*added, (0, 0)), mode="reflect") if np.any(added) else image


def _checked(given: Any, what: str) -> np.ndarray:
    array = np.asarray(given)
    channels = array.shape[2] if array.ndim == 3 else 0
    fits = array.ndim == 2 or channels in (3, 4)
    if array.dtype != np.uint8 or not fits or 0 in array.shape:
        kind = (
            f"{array.dtype} {list(array.shape)}" if array.dtype != object else type(given).__name__
        )
        raise UserError(
            f"{what} must be a uint8 array [H, W, 3], [H, W, 4] or [H, W] with values 0..255, a "
            f"Pillow image or a path, but is {kind}; convert it first."
        )
    return array


def _covered(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Colors of what is visible; elsewhere their mean, so that it has no part in the statistics."""
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return np.ascontiguousarray(rgb)
    mean = [np.average(rgb[..., i], weights=alpha) for i in range(3)]
    return np.where(hidden[..., None], np.rint(mean).astype(np.uint8), rgb)
