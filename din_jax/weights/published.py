"""Arrays of published files; PyTorch's are known by their SHA-256 before they are read."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from din_jax.weights.checked import Expected, read_checked
from din_jax.weights.errors import WeightsError
from din_jax.weights.opening import open_weights, sha256_of


def read_published(
    path: Path, published: str | None, expected: Mapping[str, Expected], what: str
) -> dict[str, np.ndarray]:
    """The expected arrays of a file as float32; what else it holds is left.

    Args:
      path: the file.
      published: with what its SHA-256 begins; None: not known, so that any file but a pickle may
        be it.
      expected: names to what belongs there.
      what: whose file it is, in words.

    Raises:
      WeightsError: it is another file, or has not these arrays.
    """
    found = sha256_of(path) if published else ""
    if published and not found.startswith(published):
        raise WeightsError(
            f"{path} has SHA-256 {found[:8]}... where {published[:8]}... was published; fetch it "
            "again"
        )
    with open_weights(path, {found: path.name} if published else {}) as entries:
        wanted = {name: entry for name, entry in entries.items() if name in expected}
        arrays, problems = read_checked(wanted, expected)
    if problems:
        raise WeightsError(f"{path} is not the file of {what}: {problems}; fetch it again")
    return {name: array.astype(np.float32) for name, array in arrays.items()}
