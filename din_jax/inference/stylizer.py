"""What users take: any picture, any size, many styles, every control.

stylizer = Stylizer.load()
stylizer.stylize("photo.jpg", "painting.jpg").save("painted.jpg")
stylizer.stylize("photo.jpg", ["waves", "mosaic"], weights=[2, 1], strength=0.8)
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from din_jax.errors import UserError
from din_jax.inference.asked import StyleCodes
from din_jax.inference.bank import StyleBank
from din_jax.inference.blending import paint_mix, paint_regions, require_encoder
from din_jax.inference.codes import code_count, code_shapes, take_codes
from din_jax.inference.color import check_color, keep_chroma
from din_jax.inference.engine import Engine
from din_jax.inference.masks import check_count, fit_masks, masks_in, read_masks
from din_jax.inference.mixing import level_strengths, style_weights
from din_jax.inference.pictures import LARGEST_SCALE, check_style_size, is_sequence, read_pictures
from din_jax.layers.codes import StyleCode
from din_jax.weights.included import ASSETS, INCLUDED, INCLUDED_BANK
from din_jax.weights.models import LoadedModel, load_model

__all__ = ["ASSETS", "INCLUDED", "INCLUDED_BANK", "LARGEST_SCALE", "Stylizer"]


class Stylizer(StyleCodes):
    """A model at work on pictures as users have them: arrays, Pillow images, files.

    Args:
      loaded: what `load_model` gave.
      bank: styles by name: a `StyleBank` or its file, of this model; None takes the styles that
        come with the program where they are of this model, else none.
      engine_options: see `Engine`.

    Raises:
      UserError: options that are none; a bank of another model.
    """

    def __init__(
        self, loaded: LoadedModel, *, bank: StyleBank | str | Path | None = None, **engine_options
    ):
        self.loaded = loaded
        self.engine = Engine(loaded, **engine_options)
        self.bank = StyleBank(loaded.fingerprint, loaded.source.stem)
        if bank is not None:
            self.bank = bank if isinstance(bank, StyleBank) else StyleBank.load(bank)
            self._check_bank(self.bank)
        elif INCLUDED_BANK.is_file():
            included = StyleBank.load(INCLUDED_BANK)
            if included.fingerprint == loaded.fingerprint:
                self._check_bank(included)
                self.bank = included
            else:
                self.no_bank = " (the styles that come with the program are another model's)"

    @classmethod
    def load(
        cls,
        path: str | Path = INCLUDED,
        *,
        step: int | str | None = None,
        vgg: str | Path = "",
        encoder: bool = True,
        bank: StyleBank | str | Path | None = None,
        **engine_options,
    ) -> "Stylizer":
        """Loads a model.

        Args:
          path: the name of an included model, a model file, or the directory of a run.
          step, vgg, encoder: see `load_model`; without the encoder only known styles are painted,
            in less memory.
          bank, engine_options: as of the class.

        Raises:
          UserError: there is none, or it is damaged.
        """
        loaded = load_model(path, step=step, vgg=vgg, encoder=encoder)
        return cls(loaded, bank=bank, **engine_options)

    @property
    def levels(self) -> tuple[str, ...]:
        """Names of the styled layers: level1 is at full size, level3 at a quarter of it."""
        return self.loaded.model.levels

    @property
    def styles(self) -> tuple[str, ...]:
        """Names of the styles that can be asked for without a picture."""
        return self.engine.styles or self.bank.names

    def encode_style(self, pictures: Any, *, size: int | None = None) -> StyleCode:
        """Style pictures to one code that holds a style for each, in order.

        Args:
          pictures: one or several, each an array, a Pillow image or a path; or the name of a style
            (of `styles`).
          size: px, short side of the pictures while they are encoded: strokes grow with it. None
            takes the size that the model was trained at, 0 the pictures' own; else 32 to 4096.

        Raises:
          UserError: none, one that is no picture, or an unknown name.
        """
        given = list(pictures) if is_sequence(pictures) else [pictures]
        if not given:
            raise UserError("at least one style is needed, but there is none.")
        if not self.engine.styles and not any(self.is_known(style) for style in given):
            require_encoder(self.loaded, "encode a picture")
            return self.engine.encode_style([self.style_picture(x) for x in given], size=size)
        codes = [self.code(style, [], "style", size) for style in given]
        return jax.tree.map(lambda *parts: np.concatenate(parts), *codes)

    def stylize(
        self,
        contents: Any,
        style: Any,
        *,
        weights: Sequence[float] | None = None,
        masks: Sequence[Any] | None = None,
        feather: float = 0.0,
        strength: float = 1.0,
        levels: Mapping[str, float] | Sequence[float] | None = None,
        color: str = "style",
        scale: int | None = None,
        seamless: bool = False,
        tile: int | None = None,
    ) -> Any:
        """Paints contents in a style, or in several; nothing about it is random.

        Args:
          contents: one picture or a sequence of them, each a uint8 array [H, W, 3], [H, W, 4] (with
            alpha) or [H, W] (gray), a Pillow image or a path. EXIF orientations and ICC profiles
            are applied.
          style: a picture of the same kinds, the name of a style, a style code (of one style, or
            of as many as contents), or a sequence of these, which are mixed.
          weights: of the styles of a sequence, divided by their sum; None is equal shares. One
            below 0 goes away from its style.
          masks: instead of weights: for each style where it is painted, see `read_mask` and
            `fit_masks`; one less than styles leaves the last style what no mask holds, as many
            leave that to the content's own colors and strokes, as at strength 0.
          feather: px of the content by which edges of masks are softened.
          strength: 0 is the content as the network draws it, 1 the style. A model with a table of
            styles cannot draw the content in its own style: the pictures are mixed instead.
          levels: strengths of single levels, times `strength`: {"level1": 0.5}, or one for each of
            `levels`.
          color: "style"; "luminance", the content's colors under the painted light and dark; or
            "match", the style in colors of the content's mean and covariance.
          scale: px, short side of style pictures while they are encoded: strokes grow with it.
          seamless: results tile the plane without a seam.
          tile: px, see `Engine`.

        Returns:
          One result, or a list in order, each of its content's size, with its alpha: an array for
          an array, a Pillow image else. sRGB.

        Raises:
          UserError: a picture or a setting is no good; one sentence says which and what helps.
        """
        pictures, single = read_pictures(contents, "a content picture")
        styles = list(style) if is_sequence(style) else [style]
        masks = None if masks is None else masks_in(masks)
        strengths, shares = self.settings(
            len(styles), weights=weights, masks=None if masks is None else len(masks),
            feather=feather, strength=strength, levels=levels, color=color, scale=scale,
            seamless=seamless,
        )  # fmt: skip
        masks = None if masks is None else read_masks(masks, len(styles))
        rgbs, visible = [x.rgb for x in pictures], [x.visible for x in pictures]
        codes = [self.code(part, rgbs, color, scale) for part in styles]
        options = {"seamless": seamless, "tile": tile}
        if masks is None:
            painted = paint_mix(self.engine, rgbs, visible, codes, shares, strengths, options)
        else:
            painted = []
            for i, rgb in enumerate(rgbs):
                own_codes = [take_codes(x, [i if code_count(x) > 1 else 0]) for x in codes]
                given = fit_masks(masks, len(styles), rgb.shape[:2], feather)
                painted.append(
                    paint_regions(
                        self.engine, rgb, visible[i], own_codes, given, strengths, options
                    )
                )
        if color == "luminance":
            painted = [keep_chroma(*pair) for pair in zip(rgbs, painted, strict=True)]
        finished = [a.finished(b) for a, b in zip(pictures, painted, strict=True)]
        return finished[0] if single else finished

    def settings(
        self,
        styles: int,
        *,
        weights: Sequence[float] | None = None,
        masks: int | None = None,
        feather: float = 0.0,
        strength: float = 1.0,
        levels: Mapping[str, float] | Sequence[float] | None = None,
        color: str = "style",
        scale: int | None = None,
        seamless: bool = False,
    ) -> tuple[dict[str, float], list[float]]:
        """What `stylize` makes of its settings, before any picture is read.

        Args:
          styles: how many there are.
          masks: how many there are; None: none are given.
          weights, feather, strength, levels, color, scale, seamless: as of `stylize`.

        Returns:
          The strength of each level, and the share of each style, their sum 1.

        Raises:
          UserError: a setting is no good, or not with another or with this model.
        """
        check_color(color)
        strengths = self._strengths(strength, levels)
        if not styles:
            raise UserError("at least one style is needed, but there is none.")
        if masks is not None and weights is not None:
            raise UserError(
                "weights mix styles everywhere and masks give each its region: give one of the two."
            )
        shares = style_weights(weights, styles)
        if masks is not None:
            check_count(masks, styles)
        if not 0 <= feather < np.inf:
            raise UserError(f"feather must be 0 px or more, not {feather}.")
        check_style_size(scale or 0, "scale")
        if seamless and self.loaded.config.model.transform == "spatial":
            raise UserError(
                "a spatially adaptive code lies on the content as its style does, and has "
                "borders of its own: use another model, or leave seamless out."
            )
        return strengths, shares

    def encoded(self, pictures: Sequence[np.ndarray]) -> StyleCode:
        require_encoder(self.loaded, "encode a picture")
        return self.engine.encode_style(pictures, size=0)

    def prepared(self, picture: np.ndarray, size: int | None) -> np.ndarray:
        return self.engine.prepare_style(picture, size)

    def code_shapes(self) -> dict[str, tuple[int, ...]]:
        return code_shapes(self.loaded.model)

    def is_known(self, style: Any) -> bool:
        """Whether a style needs no encoder: a code, or a name of a table's or the bank's."""
        return bool(self.engine.styles) or super().is_known(style)

    def known_code(self, style: Any) -> StyleCode:
        named = self.engine.styles
        return self.engine.encode_style([style]) if named else super().known_code(style)

    def _strengths(self, strength: float, levels) -> dict[str, float]:
        if levels is not None and self.engine.styles:
            raise UserError(
                "levels mix a content's own code into some layers, but a model with a table of "
                "styles has no code of a content: leave levels out and set strength."
            )
        return level_strengths(strength, levels, self.levels)

    def _check_bank(self, bank: StyleBank) -> None:
        bank.require_model(self.loaded.fingerprint, self.loaded.source.stem)
        bank.require_shapes(code_shapes(self.loaded.model))
