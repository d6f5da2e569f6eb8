"""Styles as users ask for them, as codes: names, pictures, codes; with JAX or without."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from din_jax.data.files import MissingImageError
from din_jax.errors import UserError
from din_jax.inference.bank import BankError, StyleBank, nearest_names
from din_jax.inference.color import match_colors
from din_jax.inference.pictures import flat_picture
from din_jax.style_code import StyleCode
from din_jax.weights.errors import one_line


class StyleCodes(abc.ABC):
    """What a stylizer knows of styles; a base of `Stylizer`s.

    Attributes:
      bank: styles by name.
      no_bank: why there are none, for messages.
    """

    bank: StyleBank
    no_bank = ""

    @abc.abstractmethod
    def encoded(self, pictures: Sequence[np.ndarray]) -> StyleCode:
        """The codes of pictures that are prepared."""

    @abc.abstractmethod
    def prepared(self, picture: np.ndarray, size: int | None) -> np.ndarray:
        """A style's picture as the model sees it; None is the size of its training."""

    @abc.abstractmethod
    def code_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of one style's code, `code.LEVEL.kernel` and so on."""

    def is_known(self, style: Any) -> bool:
        """Whether a style needs no encoder: a code, or a name of the bank's."""
        return isinstance(style, Mapping) or isinstance(style, str) and style in self.bank

    def known_code(self, style: Any) -> StyleCode:
        """The code of a name that `is_known`."""
        return self.bank[style]

    def code(
        self, style: Any, contents: Sequence[np.ndarray], color: str, size: int | None
    ) -> StyleCode:
        """The code of one style; of one for each content where it depends on them.

        Args:
          style: a name, a picture of any kind, or a code.
          contents: that are painted; none where a style is only encoded.
          color: of `color.COLORS`.
          size: px, short side of the picture while it is encoded; None is that of training.

        Raises:
          UserError: what cannot be together, or is no style.
        """
        known = self.is_known(style)
        if known and color == "match":
            raise UserError(
                "color 'match' gives the style's picture other colors, but this style is a code "
                "without one: give its picture, or choose color 'luminance'."
            )
        if known and size is not None:
            raise UserError(
                "scale is the size at which a style's picture is encoded, but this style is a code "
                "already: give its picture, or leave scale out."
            )
        if isinstance(style, Mapping):
            return self._checked(style, len(contents))
        if known:
            return self.known_code(style)
        picture = self.prepared(self.style_picture(style), size)
        if color == "match":
            return self.encoded([match_colors(picture, content) for content in contents])
        return self.encoded([picture])

    def style_picture(self, style: Any) -> np.ndarray:
        """A style's picture, uint8 [H, W, 3]; of a word that is no file the nearest are named."""
        try:
            return flat_picture(style, "a style")
        except MissingImageError as error:
            if not isinstance(style, str):
                raise
            near = nearest_names(style, self.bank, 4)
            hint = f"the nearest styles are {', '.join(near)}" if near else "give an existing file"
            raise BankError(
                f"there is neither a picture nor a style {one_line(style, 80)!r}{self.no_bank}; "
                f"{hint}."
            ) from error

    def _checked(self, code: StyleCode, contents: int) -> StyleCode:
        shapes = {
            f"code.{level}.{field}": np.shape(value)[1:]
            for level, part in code.items()
            for field, value in zip(part._fields, part, strict=True)
        }
        if shapes != self.code_shapes():
            raise UserError(
                "a style code must be one of this model's, but has other levels or shapes: encode "
                "the style's picture with this model."
            )
        count = len(next(iter(code.values())).bias)
        if contents and count not in (1, contents):
            raise UserError(
                f"{contents} contents need as many style codes, or one for all, not {count}."
            )
        return code
