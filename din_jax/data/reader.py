"""Decoded pictures of a source, whatever its records hold."""

import logging

import numpy as np
from PIL import Image

from din_jax.data.decoding import BadImageError, decode_pil
from din_jax.data.files import UnreachableError
from din_jax.data.retries import UNREACHABLE
from din_jax.data.sources import Source, SourceError

logger = logging.getLogger(__name__)

_NAMED = 5  # bad pictures that a warning names


class ImageReader:
    """Decodes pictures of a source; a bad one is replaced by the next good one.

    The replacement depends on the source alone, so that random access stays deterministic.
    Each doubling of the number of bad pictures found is logged once.

    Raises:
        SourceError: the source holds no good picture at all.
    """

    def __init__(self, source: Source):
        self.source = source
        self.bad: dict[int, str] = {}
        self.read(0)

    def read(self, index: int, *, min_side: int = 0) -> Image.Image:
        """Picture `index` as a Pillow RGB image; `min_side` as in `decode_image`."""
        count, unreachable = len(self.source), 0
        for offset in range(count):
            here = (index + offset) % count
            if here in self.bad:
                continue
            try:
                item = self.source[here]
                if isinstance(item, np.ndarray):
                    return Image.fromarray(item)
                return decode_pil(item, min_side=min_side, name=self.source.name(here))
            except BadImageError as error:
                unreachable += isinstance(error, UnreachableError)
                if unreachable > UNREACHABLE:  # that is the store, not a picture
                    raise SourceError(
                        f"{error} Nor are the {UNREACHABLE} before it, tried again and again: give "
                        "the same command when they can be read, and the run goes on."
                    ) from error
                self._note(here, error)
        raise SourceError(
            f"a source of pictures must hold a readable one, but all {count} are bad "
            f"({next(iter(self.bad.values()), 'none given')})."
        )

    def _note(self, index: int, error: BadImageError) -> None:
        self.bad[index] = str(error)
        count = len(self.bad)
        if count & (count - 1) == 0:  # 1, 2, 4, 8, ...: told, but never a flood
            logger.warning(
                "%d of %d pictures could not be decoded and are replaced by the next good one: %s",
                count,
                len(self.source),
                " ".join(list(self.bad.values())[:_NAMED]),
            )
