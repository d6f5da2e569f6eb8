"""Color profiles: what the numbers of a picture mean becomes sRGB, which is what is written."""

import functools
import io
from collections.abc import Callable

from PIL import Image, ImageCms

MOST_BYTES = 1 << 22
"""Largest ICC profile that is read, in bytes; those of printing presses have about half of it."""

# The color space of a profile to the mode that it describes, and the modes of pictures that it may
# belong to; a profile of another kind than its picture is not one.
_MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_GRAY = ("1", "L", "LA", "La")


def to_srgb(image: Image.Image) -> Callable[[Image.Image], Image.Image] | None:
    """From rows of an opened picture to the same in sRGB, as its ICC profile says; alpha is lost.

    None where there is nothing to do: no profile, sRGB itself, or a profile that is damaged, larger
    than MOST_BYTES or of another kind of picture, which must not cost the picture. The intent is
    perceptual.
    """
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not 0 < len(profile) <= MOST_BYTES:
        return None
    kind = "CMYK" if image.mode == "CMYK" else "L" if image.mode in _GRAY else "RGB"
    try:
        found = _transform(profile, kind)
    except Exception:  # littleCMS says in many ways that a profile is no good
        return None
    if found is None:
        return None
    mode, transform = found
    return lambda band: ImageCms.applyTransform(band.convert(mode), transform)


@functools.lru_cache(maxsize=8)
def _transform(profile: bytes, kind: str) -> tuple[str, ImageCms.ImageCmsTransform] | None:
    """The mode that the transform takes, and the transform; a folder of photographs has few."""
    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    mode = _MODES.get(opened.profile.xcolor_space.strip())
    # Gray pictures with a profile of RGB exist, and mean what they say.
    if mode != kind and (mode, kind) != ("RGB", "L"):
        return None
    if mode == "RGB" and "sRGB" in ImageCms.getProfileDescription(opened):
        return None
    return mode, ImageCms.buildTransform(opened, ImageCms.createProfile("sRGB"), mode, "RGB")
