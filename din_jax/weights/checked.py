"""The one place that decides which arrays are taken, from files of every kind.

First by what a file says of itself (name, shape, type), so that nothing is read that is not wanted
and no more memory is spent than the expected shapes need; then by the numbers.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from din_jax.weights.containers import Entry
from din_jax.weights.errors import listed, one_line

FLOATS = ("float16", "bfloat16", "float32", "float64")
# No trained network comes near, and products of a few numbers of this size still fit in float32.
LARGEST = 1e8


class Expected(NamedTuple):
    """What belongs under a name."""

    shape: tuple[int, ...]
    types: tuple[str, ...] = FLOATS
    title: str = ""  # what it is, beside its name in messages


def read_checked(
    entries: Mapping[str, Entry], expected: Mapping[str, Expected]
) -> tuple[dict[str, np.ndarray], str]:
    """The arrays that are as expected, in their own types, and all that is wrong.

    Args:
      entries: what there is, as `din_jax.weights.opening.open_weights` gives it.
      expected: what must be there, and nothing else.

    Returns:
      Names to arrays, and '' or what is wrong: a clause for each missing, unfit and unexpected
      array, as many as have room.

    Raises:
      WeightsError: an array that fits cannot be read.
    """
    arrays, missing, unfit = {}, [], []
    for name, wanted in expected.items():
        called = f"{name} ({wanted.title})" if wanted.title else name
        if name not in entries:
            missing.append(f"{called} is missing")
        elif wrong := _misdescribed(entries[name], wanted):
            unfit.append(f"{called} {wrong}")
        else:
            array = entries[name].read()
            if wrong := wrong_numbers(array):
                unfit.append(f"{called} holds {wrong}")
            else:
                arrays[name] = array
    unexpected = [f"{one_line(name, 80)} is unexpected" for name in entries if name not in expected]
    return arrays, ", ".join(filter(None, map(listed, (missing, unfit, unexpected))))


def _misdescribed(entry: Entry, wanted: Expected) -> str:
    if entry.shape != wanted.shape:
        shape = entry.shape if len(entry.shape) <= 8 else f"of {len(entry.shape)} axes"
        return f"has shape {shape} where {wanted.shape} belongs"
    if entry.dtype not in wanted.types:
        kind = "floating point numbers" if wanted.types == FLOATS else wanted.types[0]
        return f"holds {entry.dtype} where {kind} belong"
    return ""


def wrong_numbers(array: np.ndarray) -> str:
    """'', or what no array of a network may hold."""
    if array.dtype.name not in FLOATS:
        return ""
    # float32 shows all that the narrower types can hold; a float64 beyond it becomes infinite.
    with np.errstate(over="ignore", invalid="ignore"):
        largest = np.max(np.abs(array.astype(np.float32, copy=False)), initial=0)
    if not np.isfinite(largest):
        return "infinite or undefined numbers"
    return "" if largest <= LARGEST else f"numbers beyond {LARGEST:g}"
