"""Pictures as the bytes of a file."""

import io

import numpy as np
from PIL import Image

from din_jax.data.files import BadImageError
from din_jax.data.rgb import to_rgb

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


def encode_picture(picture: np.ndarray | Image.Image, suffix: str, *, quality: int = 95) -> bytes:
    """A picture as PNG, JPEG or WebP; JPEG has no transparency, and shows it on white.

    Args:
      picture: uint8 [H, W, 3 or 4] or [H, W], or a Pillow image.
      suffix: ".png", ".jpg", ".jpeg" or ".webp", in any case.
      quality: of JPEG and WebP, 1..100.

    Raises:
      BadImageError: an array of another type or shape, an unknown suffix, or a picture that is too
        large for the format.
    """
    kind = FORMATS.get(suffix.lower())
    if kind is None:
        raise BadImageError(f"a picture is written as {', '.join(FORMATS)}, not as '{suffix}'.")
    image = picture if isinstance(picture, Image.Image) else _image(np.asarray(picture))
    if kind == "JPEG":
        image = to_rgb(image) if image.mode != "L" else image
    options = {"PNG": {}, "JPEG": {"quality": quality, "subsampling": 0}}
    file = io.BytesIO()
    try:
        image.save(file, format=kind, **options.get(kind, {"quality": quality}))
    except (OSError, ValueError) as error:  # WebP holds 16383 pixels a side, JPEG 65500
        raise BadImageError(
            f"a picture of {image.width} x {image.height} px cannot be written as {kind} "
            f"({error}); take PNG."
        ) from error
    return file.getvalue()


def _image(array: np.ndarray) -> Image.Image:
    shape = array.shape
    if array.dtype != np.uint8 or not (len(shape) == 2 or len(shape) == 3 and shape[2] in (3, 4)):
        raise BadImageError(
            "a picture to save must be uint8 of shape [H, W, 3], [H, W, 4] or [H, W], but is "
            f"{array.dtype} {list(shape)}: convert it first."
        )
    return Image.fromarray(array)
