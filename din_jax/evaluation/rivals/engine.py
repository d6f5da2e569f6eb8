"""A rival as `evaluation.pairs` asks an engine to be: encodes styles, paints, says what it clipped.

A rival has no style code to keep: its "code" is the style pictures themselves, one for each pair.
"""

from collections.abc import Sequence

import numpy as np

from din_jax.config_rules import SMALLEST_SIDE
from din_jax.evaluation.rivals.methods import Paint
from din_jax.evaluation.rivals.networks import Networks
from din_jax.inference.batching import check_images
from din_jax.inference.pictures import pad_to_multiple


class RivalEngine:
    """Paints one pair after the other.

    Args:
      networks: VGG-19 and the decoders that the rival needs.
      paint: see `methods.Paint`.
      multiple: pixels that sides are made multiples of: VGG-19 halves three times up to relu4_1.
    """

    batch = 1
    styles: tuple[str, ...] = ()  # none is known by name

    def __init__(self, networks: Networks, paint: Paint, multiple: int = 8):
        self._networks, self._multiple = networks, multiple
        self._paint = paint

    def prepare_style(self, image: np.ndarray) -> np.ndarray:
        """The style as it is seen: at its own size."""
        return image

    def encode_style(self, styles: Sequence[np.ndarray]) -> np.ndarray:
        """The pictures, [n] of objects, since their sizes may differ."""
        images = check_images(styles, "style")
        code = np.empty(len(images), object)
        code[:] = images
        return code

    def stylize_measured(
        self, contents: Sequence[np.ndarray], code: np.ndarray
    ) -> tuple[list[np.ndarray], np.ndarray]:
        """Pictures uint8 of the contents' sizes, and of each the share of values clipped."""
        painted = [
            self._one(content, style)
            for content, style in zip(check_images(contents, "content"), code, strict=True)
        ]
        images = [np.uint8(np.rint(255 * np.clip(image, 0, 1))) for image in painted]
        return images, np.asarray([((x < 0) | (x > 1)).mean() for x in painted])

    def _one(self, content: np.ndarray, style: np.ndarray) -> np.ndarray:
        """Mirrored to sizes that VGG-19 halves without a rest, and cut back."""
        pair = [
            pad_to_multiple(x, self._multiple, SMALLEST_SIDE)[None].astype(np.float32) / 255
            for x in (content, style)
        ]
        painted = np.asarray(self._paint(self._networks, *pair))[0]
        return painted[: content.shape[0], : content.shape[1]]
