"""How large a picture may be that is decoded: sides, pixels, file, and the memory it takes."""

from PIL import Image

from din_jax.data.files import BadImageError

MIN_SIDE = 16
"""Smallest side, in px, of a picture that is accepted: less is an icon or a tracking pixel."""

MAX_PIXELS = 89_478_485
"""Largest picture, in px, that is decoded (Pillow's own limit against decompression bombs)."""

MAX_BYTES = 2**30
"""Most memory, in bytes, that decoding a picture may take: 12 bytes a pixel of the largest."""

MAX_FILE_BYTES = 2**29
"""Largest file, in bytes, that is read: more than any picture of MAX_PIXELS in 16 bits needs."""

# Measured: RGB and its array take 10, a progressive CMYK JPEG takes 12, libwebp's canvases 18.
_BYTES_PER_PIXEL = {"WEBP": 18}
_BYTES_PER_PIXEL_ELSE = 12
_TIFF_BITS, _TIFF_SAMPLES, _TIFF_TILE = 258, 277, (322, 323)


def check_size(size: tuple[int, int], name: str) -> None:
    """Raises BadImageError if (width, height) in px is too small or too large to be used."""
    width, height = size
    if min(width, height) < MIN_SIDE:
        raise BadImageError(
            f"{name} must be at least {MIN_SIDE} px a side, but is {width} x {height} px: "
            "use a larger picture."
        )
    if width * height > MAX_PIXELS:
        raise BadImageError(
            f"{name} must have at most {MAX_PIXELS} px, but has {width} x {height}: "
            "scale it down first."
        )


def check_cost(image: Image.Image, name: str) -> None:
    """Raises BadImageError if decoding the opened picture would take more than MAX_BYTES."""
    check_size(image.size, name)
    pixels = image.width * image.height
    try:
        cost = pixels * _BYTES_PER_PIXEL.get(image.format, _BYTES_PER_PIXEL_ELSE)
        cost += _tile_bytes(image)
    except Exception as error:  # a TIFF's tags may be of any type
        raise BadImageError(f"{name} must have sound tags, but has not: replace it.") from error
    if cost > MAX_BYTES:
        raise BadImageError(
            f"{name} must take at most {MAX_BYTES >> 20} MiB to decode, but takes {cost >> 20} "
            f"({image.format}, {image.width} x {image.height} px): scale it down first."
        )


def _tile_bytes(image: Image.Image) -> int:
    """What one tile of a TIFF takes, which may be far larger than the picture; 0 if it has none."""
    tags = getattr(image, "tag_v2", {})
    if _TIFF_TILE[0] not in tags:
        return 0
    width, height = (int(tags[tag]) for tag in _TIFF_TILE)
    bits = tags.get(_TIFF_BITS, 1)
    bits = max(bits) if isinstance(bits, tuple) else bits
    return width * height * int(tags.get(_TIFF_SAMPLES, 1)) * bits // 8
