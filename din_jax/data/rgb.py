"""Pictures of any kind as RGB, some rows at a time."""

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

_BAND = 2**20  # pixels converted at once: what lies between takes tens of MB at most


def to_rgb(image: Image.Image) -> Image.Image:
    """Decodes a Pillow image and converts it to RGB.

    Grey, palette, CMYK, 16-bit and float pictures are converted, transparency is composited on
    white. Takes 4 bytes a pixel beside the image itself.
    """
    image.load()
    convert = _conversion(image)
    if convert is None:
        return image
    rgb = Image.new("RGB", image.size)
    for top, band in _bands(image):
        rgb.paste(convert(band), (0, top))
    return rgb


def _conversion(image: Image.Image) -> Callable[[Image.Image], Image.Image] | None:
    """From rows of the picture to rows in RGB; None if they are that already."""
    if image.mode.startswith("I") or image.mode == "F":
        white = _white(image)
        return lambda band: Image.fromarray(_to_uint8(_numbers(band) * (255 / white)))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        return _on_white
    return None if image.mode == "RGB" else lambda band: band.convert("RGB")


def _white(image: Image.Image) -> float:
    """What stands for white in 16-bit and float grey: 65535; of floats, 1.0 if none is above."""
    greatest = max(float(_numbers(band).max()) for _, band in _bands(image))
    if image.mode == "F":
        return 1.0 if greatest <= 1 else 255.0
    return 65535.0 if image.mode.startswith("I;16") or greatest > 255 else 255.0


def _numbers(band: Image.Image) -> np.ndarray:
    return np.nan_to_num(np.asarray(band).astype(np.float64), posinf=255.0, neginf=0.0)


def _to_uint8(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _on_white(band: Image.Image) -> Image.Image:
    layer = band.convert("RGBA")
    white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, layer).convert("RGB")


def _bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """(first row, the rows) of about _BAND pixels each; `info` goes with them."""
    rows = max(1, _BAND // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))
