"""Pictures of any kind as RGB, some rows at a time."""

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from din_jax.data.profiles import to_srgb

_BAND = 2**20  # pixels converted at once: what lies between takes tens of MB at most


def to_rgb(image: Image.Image, *, alpha: bool = False) -> Image.Image:
    """Decodes a Pillow image and converts it to sRGB.

    Grey, palette, CMYK, 16-bit and float pictures are converted, ICC profiles applied, transparency
    is composited on white. Takes 4 bytes a pixel beside the image itself.

    Args:
      image: opened, not yet decoded.
      alpha: give RGBA where there is transparency, the colors below it as they are stored.
    """
    image.load()
    mode = "RGBA" if alpha and has_alpha(image) else "RGB"
    convert = _conversion(image, mode)
    if convert is None:
        return image
    converted = Image.new(mode, image.size)
    for top, band in _bands(image):
        converted.paste(convert(band), (0, top))
    return converted


def has_alpha(image: Image.Image) -> bool:
    """Whether any pixel may be transparent, by the mode alone."""
    return image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info


def _conversion(image: Image.Image, mode: str) -> Callable[[Image.Image], Image.Image] | None:
    """From rows of the picture to rows in `mode`; None if they are that already."""
    if image.mode.startswith("I") or image.mode == "F":
        white = _white(image)
        return lambda band: Image.fromarray(_to_uint8(_numbers(band) * (255 / white)))
    colors = to_srgb(image)
    if has_alpha(image):
        return lambda band: _with_alpha(band, colors, mode)
    if colors is None:
        return None if image.mode == "RGB" else lambda band: band.convert("RGB")
    return colors


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


def _with_alpha(band: Image.Image, colors: Callable | None, mode: str) -> Image.Image:
    layer = band.convert("RGBA")
    if colors is not None:
        alpha = layer.getchannel("A")
        layer = colors(layer)
        layer.putalpha(alpha)
    if mode == "RGBA":
        return layer
    white = Image.new("RGBA", layer.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, layer).convert("RGB")


def _bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """(first row, the rows) of about _BAND pixels each; `info` goes with them."""
    rows = max(1, _BAND // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))
