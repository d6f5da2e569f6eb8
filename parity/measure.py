"""One comparison of two arrays as a row of the report, and what it is held to.

    absolute = max |a - b|
    relative = max |a - b| / max |b|,   b is PyTorch's

Outputs are held to whichever is smaller, so that neither the size of VGG's features nor a map near
zero decides; gradients and updates to the relative error alone.
"""

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterable

import jax
import numpy as np

# Of float32; in float64 everything is held to `EXACT`.
TOLERANCES = {"operation": 1e-5, "network": 1e-4, "loss": 1e-4, "gradient": 1e-3, "update": 1e-5}
EXACT = 1e-9
# How many times as far off JAX's default precision may be, by backend. A CPU computes in float32. A
# GPU's TF32 keeps 10 bits of a factor: a product is off by up to 2^-10, a hundred times the 1e-5 of
# an operation. A TPU's bfloat16 keeps 7: up to 2^-7. So reckoned; measured on CPUs alone.
LOOSER = {"cpu": 1, "gpu": 100, "tpu": 800}
PRECISIONS = ("float32", "float64")


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the report.

    Attributes:
      section: what was compared with which settings.
      name: the operation, layer, loss or parameter.
      absolute, relative: see the module; NaN and shapes that differ make them infinite.
      error: the one that is held to the tolerance.
      tolerance: None where the error is only told.
    """

    section: str
    name: str
    absolute: float
    relative: float
    error: float
    tolerance: float | None

    @property
    def passed(self) -> bool:
        return self.tolerance is None or self.error <= self.tolerance


def precision(dtype: str):
    """A context in which JAX computes in float64, if that is asked for."""
    return jax.enable_x64(True) if dtype == "float64" else contextlib.nullcontext()


def tolerance(kind: str, dtype: str) -> float:
    """What errors of a kind are held to."""
    return EXACT if dtype == "float64" else TOLERANCES[kind]


def compare(
    section: str, name: str, ours, theirs, kind: str, dtype: str, *, floor: float = 0.0
) -> Row:
    """A row for two arrays in one layout.

    Args:
      kind: "operation", "network", "loss", "gradient" or "update".
      floor: the relative error's denominator is at least this; for gradients that are zero by
        nature (a bias before a norm), whose rounding errors have nothing to be compared with.
    """
    row = difference(section, name, ours, theirs, floor)
    error = row.relative if kind in ("gradient", "update") else row.error
    return dataclasses.replace(row, error=error, tolerance=tolerance(kind, dtype))


def difference(section: str, name: str, ours, theirs, floor: float = 0.0) -> Row:
    """A row that is only told."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    absolute = relative = math.inf
    if ours.shape == theirs.shape:
        size = max(float(np.abs(theirs).max(initial=0)), floor)
        worst = float(np.abs(ours - theirs).max(initial=0))
        if math.isfinite(worst) and math.isfinite(size):
            absolute = worst
            relative = worst / size if size else (0.0 if worst == 0 else math.inf)
    return Row(section, name, absolute, relative, min(absolute, relative), None)


def in_default_precision(rows: Callable[[], Iterable[Row]]) -> list[Row]:
    """What `rows()` finds where products have JAX's default precision, held to `LOOSER` as much.

    It is what inference runs with, unless its user has set another; training sets
    `config.train.products`.
    """
    with jax.default_matmul_precision("default"):
        found = list(rows())
    factor = LOOSER[jax.default_backend()]
    return [
        row if row.tolerance is None else dataclasses.replace(row, tolerance=factor * row.tolerance)
        for row in found
    ]


def to_theirs(array) -> np.ndarray:
    """Maps [B, H, W, C] to [B, C, H, W], dynamic kernels [B, K, K, I, O] to [B, O, I, K, K]."""
    array = np.asarray(array)
    orders = {4: (0, 3, 1, 2), 5: (0, 4, 3, 1, 2)}
    return array.transpose(orders[array.ndim]) if array.ndim in orders else array
