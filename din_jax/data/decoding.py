"""Reading and writing pictures: any file Pillow can open becomes uint8 RGB, or one clear sentence.

Everything in this file is numpy and Pillow; nothing needs JAX or grain.
"""

import contextlib
import io
import os
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from din_jax.data.files import FORMATS, BadImageError, MissingImageError, list_images
from din_jax.data.limits import (
    MAX_BYTES,
    MAX_FILE_BYTES,
    MAX_PIXELS,
    MIN_SIDE,
    check_cost,
    check_size,
)
from din_jax.data.rgb import to_rgb
from din_jax.data.saving import FORMATS as SAVED_AS
from din_jax.data.saving import encode_picture
from din_jax.files import write_atomically

__all__ = [
    "MAX_BYTES",
    "MAX_FILE_BYTES",
    "MAX_PIXELS",
    "MIN_SIDE",
    "BadImageError",
    "MissingImageError",
    "check_size",
    "decode_image",
    "decode_pil",
    "list_images",
    "load_image",
    "open_header",
    "resize_crop",
    "resized_shape",
    "save_image",
    "upright",
]

_ANIMATED = ("GIF", "WEBP", "PNG")  # formats whose further pictures are frames, not pages

# Pillow warns of damaged metadata and of large pictures; the first does no harm here and the second
# is an error of our own. (catch_warnings around each call would not be safe in threads.)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

_ORIENTATION_TAG = 0x0112
_ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_image(
    data: bytes | str | os.PathLike, *, min_side: int = 0, name: str = ""
) -> np.ndarray:
    """Decodes a picture to uint8 RGB [H, W, 3].

    Grey, palette, CMYK and 16-bit pictures are converted (16 bit by value / 257, never clipped),
    an ICC profile is applied (the result is sRGB), transparency is composited on white, EXIF
    orientation is applied, and an animation gives its first frame.

    Args:
        data: encoded bytes, or the path of a file.
        min_side: if positive, a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size as long as
            both sides stay at least this long (px): several times faster for large photographs.
        name: what to call the picture in an error; the path if empty.

    Raises:
        BadImageError: the data are empty, truncated, no picture, smaller than MIN_SIDE px a side,
            larger than MAX_PIXELS px or MAX_FILE_BYTES, or would take more than MAX_BYTES.
        MissingImageError: the path does not exist.
    """
    return np.array(decode_pil(data, min_side=min_side, name=name))


def decode_pil(
    data: bytes | str | os.PathLike,
    *,
    min_side: int = 0,
    name: str = "",
    alpha: bool = False,
) -> Image.Image:
    """`decode_image` as a Pillow RGB image, for callers that resize it next.

    With `alpha` a picture that has transparency becomes RGBA, not composited on anything.
    """
    name = _call(data, name)
    with _open(data, name) as image:
        check_cost(image, name)
        if min_side > 0:
            with _decoding(name):
                image.draft(None, (min_side, min_side))
        return _upright(image, name, alpha=alpha, ours=True)


def upright(image: Image.Image) -> Image.Image:
    """A Pillow image as `decode_pil` with `alpha` gives it: sRGB, EXIF orientation applied.

    RGBA where it has transparency, else RGB; the image itself where it is that already.

    Raises:
        BadImageError: it was opened but not read yet, and reading it fails.
    """
    name = _call(getattr(image, "filename", "") or "image", "")
    return _upright(image, name, alpha=True, ours=False)


def _upright(image: Image.Image, name: str, *, alpha: bool, ours: bool) -> Image.Image:
    with _decoding(name):
        rgb = to_rgb(image, alpha=alpha)
        method = _ORIENTATIONS.get(_orientation(image))
        if ours and rgb is not image:
            image.close()  # gives its pixels back before turning takes as many again
        if method is None:
            return rgb
        turned = rgb.transpose(method)
        # What said so would have it turned once more.
        for key in ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"):
            turned.info.pop(key, None)
        return turned


@contextlib.contextmanager
def _decoding(name: str) -> Iterator[None]:
    """Turns whatever decoding raises into one sentence."""
    try:
        yield
    # Decoders meet garbage here and fail in many ways (OSError, SyntaxError, struct.error,
    # IndexError, zlib.error, ...); each of them means the same to the user.
    except Exception as error:
        raise BadImageError(
            f"{name} must be a complete picture, but decoding it failed ({_reason(error)}): "
            "replace or remove it."
        ) from error


def open_header(data: bytes | str | os.PathLike, name: str = "") -> str | None:
    """Format name ("JPEG", "PNG", ...) of a picture whose header and size are good; no decoding.

    Raises:
        BadImageError, MissingImageError: as `decode_image`.
    """
    name = _call(data, name)
    with _open(data, name) as image:
        check_cost(image, name)
        return image.format


def look_at(data: bytes | str | os.PathLike) -> tuple[tuple[int, int], bool]:
    """((width, height) as stored, whether there are further frames), from the header alone.

    Raises:
        BadImageError, MissingImageError: no picture.
    """
    with _open(data, _call(data, "")) as image:
        animated = image.format in _ANIMATED and getattr(image, "is_animated", False)
        return image.size, bool(animated)


def load_image(path: str | os.PathLike, *, size: int = 0, square: bool = False) -> np.ndarray:
    """Reads a picture as uint8 RGB [H, W, 3], optionally resized.

    Args:
        path: the file.
        size: length of the short side after resizing, px; 0 keeps the picture's own size.
        square: cut the centered square out.

    Raises:
        BadImageError, MissingImageError: as `decode_image`, or the result would be too large.
    """
    # Twice the size leaves the final, antialiased resize something to do: draft alone aliases.
    image = decode_pil(path, min_side=2 * size if size > 0 else 0)
    width, height = image.size
    short = size if size > 0 else min(width, height)
    new_width, new_height = resized_shape(width, height, short)
    box_size = (short, short) if square else (new_width, new_height)
    if box_size[0] * box_size[1] > MAX_PIXELS:
        raise BadImageError(
            f"'{path}' resized to a short side of {short} px must have at most {MAX_PIXELS} px, "
            f"but would have {new_width} x {new_height}: choose a smaller size."
        )
    left, top = (new_width - box_size[0]) // 2, (new_height - box_size[1]) // 2
    return resize_crop(image, (new_width, new_height), (left, top), box_size, smooth=True)


def resized_shape(width: int, height: int, short: int) -> tuple[int, int]:
    """(width, height) resized so that the short side is `short`, in the same aspect ratio."""
    if width <= height:
        return short, max(short, round(height * short / width))
    return max(short, round(width * short / height)), short


def resize_crop(
    image: Image.Image,
    resized: tuple[int, int],
    corner: tuple[int, int],
    crop: tuple[int, int],
    *,
    smooth: bool = False,
) -> np.ndarray:
    """Crop of a resized picture in one call, without computing the rest: uint8 [h, w, 3].

    Equals resizing to `resized` (width, height) with antialiasing and then cutting `crop`
    (width, height) at `corner` (left, top); bilinear, or bicubic if `smooth`.
    """
    scale_x, scale_y = image.width / resized[0], image.height / resized[1]
    (left, top), (width, height) = corner, crop
    if (resized, crop) == (image.size, image.size):
        return np.array(image)
    box = (
        left * scale_x,
        top * scale_y,
        min((left + width) * scale_x, image.width),
        min((top + height) * scale_y, image.height),
    )
    method = Image.Resampling.BICUBIC if smooth else Image.Resampling.BILINEAR
    return np.array(image.resize((width, height), method, box=box))


def save_image(path: str | os.PathLike, array: np.ndarray, *, quality: int = 95) -> Path:
    """Writes uint8 [H, W, 3 or 4] (or [H, W] grey) to `path`; the suffix decides the format.

    The file appears at once and complete: it is written beside its place and then renamed.

    Raises:
        UserError: as `encode_picture`.
    """
    path = Path(path)
    if path.suffix.lower() not in SAVED_AS:
        raise BadImageError(
            f"an output picture must end in {', '.join(SAVED_AS)}, but is '{path}': rename it."
        )
    return write_atomically(path, encode_picture(array, path.suffix, quality=quality))


def _open(data: bytes | str | os.PathLike, name: str) -> Image.Image:
    if isinstance(data, bytes | bytearray | memoryview):
        file, length = io.BytesIO(data), len(data)
    else:
        file = Path(data)
        length = _length(file, name)
    if not length:
        raise BadImageError(f"{name} must be a picture, but is empty: replace or remove it.")
    if length > MAX_FILE_BYTES:
        raise BadImageError(
            f"{name} must have at most {MAX_FILE_BYTES >> 20} MiB, but has {length >> 20}: save it "
            "compressed or smaller."
        )
    try:
        # Of all that Pillow opens, EPS starts Ghostscript, which runs the file as a program.
        return Image.open(file, formats=FORMATS)
    except PermissionError as error:
        raise BadImageError(f"{name} must be readable, but permission is denied.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise BadImageError(
            f"{name} must have at most {MAX_PIXELS} px, but has more: scale it down first."
        ) from error
    except Exception as error:
        raise BadImageError(
            f"{name} must be a picture ({', '.join(FORMATS)}), but is not: replace or remove it."
        ) from error


def _length(file: Path, name: str) -> int:
    """Bytes of a file that can be read more than once."""
    try:
        status = file.stat()
    except (FileNotFoundError, NotADirectoryError):
        what = "does not exist"
    except (OSError, ValueError) as error:  # a loop of links, a zero in the name
        what = f"cannot be reached ({getattr(error, 'strerror', None) or error})"
    else:
        if stat.S_ISREG(status.st_mode):
            return status.st_size
        what = "is a pipe or a device: save it as a file, or give a command a pipe as '-'"
        what = "is a folder" if stat.S_ISDIR(status.st_mode) else what
    raise MissingImageError(f"a picture is needed, but {name} {what}.")


def _call(data: bytes | str | os.PathLike, name: str) -> str:
    if name or not isinstance(data, bytes | bytearray | memoryview):
        return f"'{name or data}'"
    return "image data"


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # damaged metadata must not cost the picture
        return 1


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:120].rstrip(".")
