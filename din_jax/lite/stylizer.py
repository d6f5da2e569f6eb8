"""What users take: pictures painted by an exported model, without JAX.

stylizer = Stylizer.load("exported")
stylizer.stylize("photo.jpg", "waves").save("painted.jpg")
stylizer.stylize("photo.jpg", ["painting.jpg", "mosaic"], weights=[2, 1], strength=0.8)
"""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from din_jax.config_rules import SMALLEST_SIDE
from din_jax.errors import UserError
from din_jax.inference.asked import StyleCodes
from din_jax.inference.bank import StyleBank
from din_jax.inference.color import check_color, keep_chroma
from din_jax.inference.mixing import joined, level_strengths, mix_codes, style_weights
from din_jax.inference.pictures import (
    is_sequence,
    pad_to_multiple,
    prepare_style,
    read_pictures,
)
from din_jax.lite.folder import Exported
from din_jax.lite.sessions import ContentNetwork, StyleEncoder
from din_jax.memory import available_bytes
from din_jax.style_code import LayerCode, StyleCode

# Bytes that a pixel of a content takes while it is painted, measured with ONNX Runtime 1.32 for the
# included model; others are as wide, or their memory is as much more.
BYTES_PER_PIXEL = 800
MISSING = ("masks", "feather", "seamless", "tile")
"""What `inference.Stylizer.stylize` has beside, and the exported graphs have not."""


class Stylizer(StyleCodes):
    """An exported model at work on pictures as users have them: arrays, Pillow images, files.

    As `inference.Stylizer`, whose results it gives but for rounding (one level of 255), with these
    differences: a picture is painted whole, and one that is transparent in part is normalized by
    the statistics of all of it.

    Args:
      loaded: the files.
      bank: styles by name: a `StyleBank` or its file, of this model; None takes those that were
        exported with it.
      threads: that work on one picture; 0: one for each core.

    Raises:
      UserError: a damaged folder, or a bank of another model.
    """

    def __init__(
        self, loaded: Exported, *, bank: StyleBank | str | Path | None = None, threads: int = 0
    ):
        self.loaded, self.threads = loaded, threads
        if bank is None:
            self.bank = loaded.bank()
        else:
            bank = bank if isinstance(bank, StyleBank) else StyleBank.load(bank)
            self.bank = loaded.checked(bank)

    @classmethod
    def load(cls, folder: str | Path, *, storage: str = "", **options: Any) -> "Stylizer":
        """Opens a folder of `din-jax export`; networks are loaded when they are first needed.

        Args:
          folder: where the files are.
          storage: of weights, see `Exported`.
          options: as of the class.
        """
        return cls(Exported(folder, storage), **options)

    @property
    def levels(self) -> tuple[str, ...]:
        """Names of the styled layers: level1 is at full size, level3 at a quarter of it."""
        return self.loaded.levels

    @property
    def styles(self) -> tuple[str, ...]:
        """Names of the styles that can be asked for without a picture."""
        return self.bank.names

    @functools.cached_property
    def _content(self) -> ContentNetwork:
        return self.loaded.network("content", lambda x: ContentNetwork(x, self.threads))

    @functools.cached_property
    def _encoder(self) -> StyleEncoder:
        if not self.loaded.has_encoder:
            raise UserError(
                "this model was exported without a style encoder: take styles of its bank at "
                "strength 1."
            )
        return self.loaded.network("style", lambda x: StyleEncoder(x, self.threads))

    def encode_style(self, pictures: Any, *, size: int | None = None) -> StyleCode:
        """Style pictures to one code that holds a style for each, in order.

        Args:
          pictures: one or several, each an array, a Pillow image or a path, or the name of a style.
          size: px, short side of the pictures while they are encoded; None takes the size that the
            model was trained at, 0 the pictures' own.

        Raises:
          UserError: none, one that is no picture, or an unknown name.
        """
        given = list(pictures) if is_sequence(pictures) else [pictures]
        if not given:
            raise UserError("at least one style is needed, but there is none.")
        return joined([self.code(style, [], "style", size) for style in given])

    def stylize(
        self,
        contents: Any,
        style: Any,
        *,
        weights: Sequence[float] | None = None,
        strength: float = 1.0,
        levels: Mapping[str, float] | Sequence[float] | None = None,
        color: str = "style",
        scale: int | None = None,
        **missing: Any,
    ) -> Any:
        """Paints contents in a style, or in several; nothing about it is random.

        Arguments and result as of `inference.Stylizer.stylize`.

        Raises:
          UserError: a picture or a setting is no good, or one of MISSING is asked for.
        """
        _refuse(missing)
        check_color(color)
        strengths = level_strengths(strength, levels, self.levels)
        pictures, single = read_pictures(contents, "a content picture")
        styles = list(style) if is_sequence(style) else [style]
        if not styles:
            raise UserError("at least one style is needed, but there is none.")
        shares = style_weights(weights, len(styles))
        rgbs = [picture.rgb for picture in pictures]
        codes = [self.code(part, rgbs, color, scale) for part in styles]
        finished = []
        for i, (picture, rgb) in enumerate(zip(pictures, rgbs, strict=True)):
            own = [_row(code, i) for code in codes]
            painted = self._paint(rgb, self._mixed(rgb, own, shares, strengths))
            painted = keep_chroma(rgb, painted) if color == "luminance" else painted
            finished.append(picture.finished(painted))
        return finished[0] if single else finished

    def _mixed(
        self,
        content: np.ndarray,
        codes: Sequence[StyleCode],
        shares: Sequence[float],
        strengths: Mapping[str, float],
    ) -> StyleCode:
        """The one code that styles and what is left of the content come to."""
        weights = {level: [strength * x for x in shares] for level, strength in strengths.items()}
        if min(strengths.values()) < 1:
            codes = [*codes, self.encoded([self.prepared(content, None)])]
            weights = {level: [*given, 1 - strengths[level]] for level, given in weights.items()}
        return mix_codes(codes, weights)

    def _paint(self, content: np.ndarray, code: StyleCode) -> np.ndarray:
        """uint8 [H, W, 3] painted in one code."""
        height, width = content.shape[:2]
        _require_memory(height, width)
        extended = pad_to_multiple(content, 1, SMALLEST_SIDE)
        flat = {
            f"{level}.{field}": np.asarray(value, np.float32)
            for level, part in code.items()
            for field, value in part._asdict().items()
        }
        (painted,) = self._content(_floats(extended), flat)
        return np.rint(255 * painted[:height, :width]).astype(np.uint8)

    def encoded(self, pictures: Sequence[np.ndarray]) -> StyleCode:
        codes = []
        for picture in pictures:
            flat = self._encoder(_floats(picture))
            parts = ((x, flat[f"{x}.kernel"], flat[f"{x}.bias"]) for x in self.levels)
            codes.append({level: LayerCode(kernel, bias) for level, kernel, bias in parts})
        return joined(codes)

    def prepared(self, picture: np.ndarray, size: int | None) -> np.ndarray:
        return prepare_style(picture, self.loaded.style_size if size is None else size)

    def code_shapes(self) -> dict[str, tuple[int, ...]]:
        return self.loaded.shapes


def _row(code: StyleCode, index: int) -> StyleCode:
    """The code of one of several contents, where it is not one for all."""
    return {
        level: LayerCode(*(x[index : index + 1] if len(x) > 1 else x for x in part))
        for level, part in code.items()
    }


def _refuse(missing: Mapping[str, Any]) -> None:
    asked = [name for name, value in missing.items() if value is not None and value is not False
             and value != 0]  # fmt: skip
    if unknown := [name for name in missing if name not in MISSING]:
        raise TypeError(f"stylize() has no argument {unknown[0]!r}")
    if asked:
        raise UserError(
            f"an exported model paints without {' and '.join(asked)}: leave that out, or paint "
            "with JAX (--runtime jax)."
        )


def _require_memory(height: int, width: int) -> None:
    """Raises UserError for a picture whose maps have no room in memory."""
    needed, left = height * width * BYTES_PER_PIXEL, available_bytes()
    if needed > left:
        raise UserError(
            f"a content of {width} x {height} px takes about {needed >> 20} MiB to paint whole, "
            f"but {left >> 20} are left: scale it down, or paint with JAX (--runtime jax), which "
            "paints in pieces."
        )


def _floats(image: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] to float32 [1, H, W, 3] in [0, 1]."""
    return image[None].astype(np.float32) / np.float32(255)
