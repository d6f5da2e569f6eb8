"""Style codes mixed into one, level by level, in numpy: nothing is compiled, and JAX not needed."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from din_jax.errors import UserError
from din_jax.style_code import StyleCode


def mix_codes(codes: Sequence[StyleCode], weights: Mapping[str, Sequence[float]]) -> StyleCode:
    """sum_s weights[level][s] * codes[s], which paints as the mixed outputs would.

    Every transform is linear in its code (`layers.mixtures`). Codes of one style go with those of
    many. A weight of 1 alone gives that code itself, bit for bit.
    """

    def mix(level: str, *parts: np.ndarray) -> np.ndarray:
        terms = [
            part if weight == 1 else np.float32(weight) * np.asarray(part)
            for weight, part in zip(weights[level], parts, strict=True)
            if weight
        ]
        return sum(terms[1:], terms[0])

    return {
        level: _of_parts(lambda *parts, at=level: mix(at, *parts), *(c[level] for c in codes))
        for level in codes[0]
    }


def each_code(code: StyleCode) -> list[StyleCode]:
    """The code of each style, in numpy."""
    count = len(next(iter(code.values()))[0])
    return [
        {
            level: _of_parts(lambda x, i=i: np.asarray(x)[i : i + 1], part)
            for level, part in code.items()
        }
        for i in range(count)
    ]


def joined(codes: Sequence[StyleCode]) -> StyleCode:
    """Several codes as one, in order, in numpy."""
    return {
        level: _of_parts(lambda *parts: np.concatenate(parts), *(code[level] for code in codes))
        for level in codes[0]
    }


def _of_parts(function: Callable, *parts: tuple) -> tuple:
    """A layer's code, each of whose arrays is made of those of others."""
    return type(parts[0])(*(function(*same) for same in zip(*parts, strict=True)))


def style_weights(weights: Sequence[float] | None, styles: int) -> list[float]:
    """One weight per style, their sum 1; None is the same of each.

    Raises:
      UserError: another number of them, one that is not finite, or a sum that is not above 0.
    """
    if weights is None:
        return [1 / styles] * styles
    given = np.asarray(weights, np.float64)
    if given.shape != (styles,) or not np.isfinite(given).all() or given.sum() <= 0:
        raise UserError(
            f"{styles} styles need {styles} weights, finite and with a sum above 0, not "
            f"{given.ravel().tolist()[:8]}."
        )
    return (given / given.sum()).tolist()


def level_strengths(
    strength: float, levels: Mapping[str, float] | Sequence[float] | None, known: Sequence[str]
) -> dict[str, float]:
    """Strength at each level, the product of that of all and its own.

    Args:
      strength: 0..1, of all levels.
      levels: 0..1 by level; of a mapping those left out are 1, a sequence is in order of `known`.
      known: the model's levels.

    Raises:
      UserError: a level that the model has not, or a number outside 0..1.
    """
    if levels is None:
        levels = {}
    elif not isinstance(levels, Mapping):
        if len(levels) != len(known):
            raise UserError(
                f"levels must be one strength each for {', '.join(known)}, not {len(levels)}."
            )
        levels = dict(zip(known, levels, strict=True))
    unknown = [str(name)[:40] for name in levels if name not in known]
    if unknown:
        raise UserError(
            f"this model is styled at {', '.join(known)}, and not at {', '.join(unknown[:4])}."
        )
    for name, value in {"strength": strength, **levels}.items():
        if not isinstance(value, int | float | np.number) or not 0 <= value <= 1:
            raise UserError(f"{name} must be a strength from 0 to 1, not {str(value)[:40]!r}.")
    return {name: float(strength) * float(levels.get(name, 1.0)) for name in known}


def read_levels(given: Sequence[str]) -> dict[str, float] | None:
    """Strengths of levels as users write them: ["level1=0.5"] -> {"level1": 0.5}; none is None.

    Raises:
      UserError: one is not written so.
    """
    levels = {}
    for text in given:
        name, _, value = text.partition("=")
        try:
            levels[name] = float(value)
        except ValueError as error:
            raise UserError(
                f"levels are written LEVEL=STRENGTH, as level1=0.5, not '{text[:80]}'."
            ) from error
    return levels or None
