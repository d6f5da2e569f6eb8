"""Whether a file in another runtime computes what the engine does, by how much it does not."""

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from din_jax.data.drawn.synthetic import SyntheticContent, SyntheticStyle
from din_jax.errors import UserError
from din_jax.export.reference import FlatCode, Reference

EQUAL = 1e-4
"""How far a float32 file may be from the engine: painted values in [0, 1], and parts of a code
relative to the largest of them where that is above 1. Where it is further, both are held against
float64."""
ROUNDINGS = 2.0
"""How many times as far from float64 as the engine it may then be: a network that stretches what is
nearly flat stretches the rounding of every float32 program alike."""
SIZES = ((1, 32, 45), (2, 97, 66))
"""Pictures, rows and columns: the smallest side, odd ones, and a batch."""
ROUNDED = {"float16": 4.0, "int8": 32.0}
"""Levels of 255 by which pictures of a file of rounded weights may differ anywhere."""
MEASURED = (3, 192, 208)  # pictures on which that is measured

Encode = Callable[[np.ndarray], FlatCode]
Paint = Callable[[np.ndarray, FlatCode], np.ndarray]


@dataclasses.dataclass(frozen=True)
class Difference:
    """How far painted pictures are from the engine's, in levels of 255."""

    largest: float
    mean: float


class Expected:
    """What the engine makes of some pictures: computed once, compared with every file.

    Contents and styles are drawn ones, which are hard: flat grounds, edges, fine patterns.

    Args:
      reference: the engine, and float64 where rounding must be told from an error.
      encodes: whether the file's codes are compared too, or drawn ones painted.
      sizes: of the pictures: how many, rows and columns; None for SIZES and MEASURED.
    """

    def __init__(
        self,
        reference: Reference,
        encodes: bool,
        sizes: Sequence[tuple[int, int, int]] | None = None,
    ):
        self._reference = reference
        self.sizes = sizes = sizes or (*SIZES, MEASURED)
        drawn = [pictures(*size) for size in sizes]
        self.contents, self.styles = map(list, zip(*drawn, strict=True))
        self.codes = [
            reference.encode(style) if encodes else _drawn_code(reference, len(style))
            for style in self.styles
        ]
        self.painted = [
            reference.paint(*pair) for pair in zip(self.contents, self.codes, strict=True)
        ]

    def require_equal_codes(self, encode: Encode, what: str) -> None:
        """Raises UserError unless a style encoder gives the engine's codes."""
        for size, style, code in zip(self.sizes, self.styles, self.codes, strict=True):
            found = encode(style)
            if all(_relative(found[name], value) <= EQUAL for name, value in code.items()):
                continue
            for name, exact in self._reference.encode_exactly(style).items():
                away, own = _relative(found[name], exact), _relative(code[name], exact)
                _require(away, own, f"{what}, {name} of a style", size)

    def require_equal(self, paint: Paint, what: str) -> None:
        """Raises UserError unless a content network paints what the engine does."""
        for row in zip(self.sizes, self.contents, self.codes, self.painted, strict=True):
            self._require_painted(paint, *row, what)
        one = {name: value[:1] for name, value in self.codes[-1].items()}
        first = (self.sizes[-1], self.contents[-1], one, self.painted[-1][:1])
        self._require_painted(lambda *given: paint(*given)[:1], *first, f"{what}, one code for all")

    def _require_painted(self, paint: Paint, size, content, code, painted, what: str) -> None:
        found = paint(content, code)
        if largest(found - painted) <= EQUAL:
            return
        exact = self._reference.paint_exactly(content, code)[: len(painted)]
        _require(largest(found - exact), largest(painted - exact), what, size)

    def largest_painted(self, encode: Encode | None, paint: Paint) -> np.ndarray:
        """The largest pictures, painted where either half is a file's or the engine's."""
        code = encode(self.styles[-1]) if encode else self.codes[-1]
        return paint(self.contents[-1], code)

    def difference(self, painted: np.ndarray) -> Difference:
        """That of `largest_painted` from the engine's."""
        away = np.abs(255.0 * (painted - self.painted[-1]))
        return Difference(largest(away), float(away.mean()))

    def require_near(self, difference: Difference, storage: str, what: str) -> None:
        """Raises UserError for a file of rounded weights that paints another picture."""
        limit = ROUNDED[storage]
        if not difference.largest <= limit:
            raise UserError(
                f"{what} differs by {difference.largest:.3g} levels of 255, more than {limit:g}, "
                "so that nothing was written: leave this storage out."
            )


def pictures(count: int, rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Drawn contents and styles, float32 [count, rows, columns, 3] in [0, 1]."""

    def draw(source: type) -> np.ndarray:
        drawn = source(size=max(rows, columns, 64))
        sized = [Image.fromarray(drawn[i]).resize((columns, rows)) for i in range(count)]
        return np.stack([np.asarray(x, np.float32) for x in sized]) / np.float32(255)

    return draw(SyntheticContent), draw(SyntheticStyle)


def _drawn_code(reference: Reference, count: int) -> dict[str, np.ndarray]:
    """Codes near the identity for a model whose styles are encoded elsewhere."""
    rng, code = np.random.default_rng(0), {}
    for name, shape in reference.shapes.items():
        values = 0.2 * rng.standard_normal((count, *shape)) / np.prod(shape[:-1]) ** 0.5
        if len(shape) == 4:
            center, per_group = shape[0] // 2, shape[2]
            channels = np.arange(shape[3])
            values[:, center, center, channels % per_group, channels] += 1
        code[name.removeprefix("code.")] = values.astype(np.float32)
    return code


def largest(difference: np.ndarray) -> float:
    """The largest absolute value; of no number, infinity."""
    return float(np.abs(difference).max()) if np.isfinite(difference).all() else float("inf")


def _relative(found: np.ndarray, expected: np.ndarray) -> float:
    return largest(np.asarray(found) - expected) / max(1.0, largest(expected))


def _require(error: float, own: float, what: str, size: tuple[int, ...]) -> None:
    """Raises UserError for a file that is further from float64 than `own`, the engine, excuses."""
    if not (math.isfinite(error) and error <= max(EQUAL, ROUNDINGS * own)):
        raise UserError(
            f"{what} differs from float64 by {error:.2g} (more than {EQUAL:g}; the engine by "
            f"{own:.2g}) at {' x '.join(map(str, size))}, so that no file was left: this is a "
            "defect of the program or of the runtime; say which versions are installed (din-jax "
            "info)."
        )
