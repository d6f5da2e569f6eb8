"""What a source of pictures is, `len(source)` and `source[i]`, and its parts."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from din_jax.errors import UserError

_HOLD_OUT_SEED = 20200207  # fixed: every run, whatever its seed, holds the same pictures out


class SourceError(UserError):
    """A source of pictures that cannot be used; the message is one sentence."""


class Source(Protocol):
    """What the pipeline reads: pictures by number."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> bytes | np.ndarray:
        """Encoded bytes, or uint8 RGB [H, W, 3]; the same for the same index, always."""
        ...

    def name(self, index: int) -> str:
        """What to call the picture in a message."""
        ...


class SubsetSource:
    """Some pictures of another source, in the given order."""

    def __init__(self, source: Source, indices: Sequence[int]):
        self.source, self.indices = source, np.asarray(indices, np.int64)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> bytes | np.ndarray:
        return self.source[int(self.indices[index])]

    def name(self, index: int) -> str:
        return self.source.name(int(self.indices[index]))


def split_source(source: Source, held_out: int) -> tuple[Source, Source]:
    """(training, validation) parts of a source: disjoint, and the same in every run.

    At most `held_out` pictures and at most a fifth of the source are held out, at least one if it
    has two pictures or more. A source of a single picture serves as both parts.
    """
    count = len(source)
    if held_out <= 0:
        return source, SubsetSource(source, [])
    if count == 1:
        return source, source
    order = np.random.default_rng(_HOLD_OUT_SEED).permutation(count)
    held = min(held_out, max(1, count // 5))
    return SubsetSource(source, np.sort(order[held:])), SubsetSource(source, np.sort(order[:held]))
