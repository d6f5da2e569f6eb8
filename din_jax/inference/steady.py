"""Frames of a clip painted without flicker: what they are normalized by is averaged over time.

The statistics of a frame differ a little from the last one's even where the scene stands still
(noise, compression, what enters at the border), and with them the colors of all of it. So a frame
is normalized by

    s_t = keep s_{t-1} + (1 - keep) statistics(frame_t)

anew from each cut, where the histogram of the colors jumps.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from din_jax.errors import UserError
from din_jax.inference.engine import Engine
from din_jax.layers.mixtures import Mixture

CUT = 0.6  # half the L1 distance of two frames' color histograms above which there is a cut
_LEVELS = 8  # of each color in the histogram
_STEP = 4  # pixels, of which one is counted


class SteadyEngine:
    """An engine whose contents are the frames of one clip, in order, through all its calls.

    What it lacks the engine has; `Stylizer.engine` may be one.

    Args:
      engine: paints, and measures frames.
      keep: share of the statistics so far in those of a frame, 0 (of each frame its own) to less
        than 1.
    """

    def __init__(self, engine: Engine, keep: float):
        if not 0 <= keep < 1:
            raise UserError(f"the share that is kept must be from 0 to less than 1, not {keep}.")
        self.engine, self.keep = engine, keep
        self.cuts = 0
        self._last: Any = None
        self._histogram: np.ndarray | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.engine, name)

    def stylize(
        self,
        contents: Sequence[np.ndarray],
        code: Mixture,
        *,
        statistics: Sequence | None = None,
        **options,
    ) -> list[np.ndarray]:
        """`Engine.stylize` of the clip's next frames, by statistics averaged over time."""
        own = self.engine.statistics(contents, code) if statistics is None else statistics
        steady = [self._averaged(x, y) for x, y in zip(contents, own, strict=True)]
        return self.engine.stylize(contents, code, statistics=steady, **options)

    def _averaged(self, frame: np.ndarray, own: Any) -> Any:
        histogram = color_histogram(frame)
        cut = self._histogram is not None and distance(histogram, self._histogram) > CUT
        self._histogram = histogram
        self.cuts += cut
        if self._last is None or cut:
            self._last = own
        else:
            self._last = jax.tree.map(
                lambda a, b: self.keep * np.asarray(a) + (1 - self.keep) * np.asarray(b),
                self._last,
                own,
            )
        return self._last


def color_histogram(frame: np.ndarray) -> np.ndarray:
    """Shares of pixels of uint8 [H, W, 3] by color, float [512]."""
    thin = frame[::_STEP, ::_STEP].reshape(-1, 3) // (256 // _LEVELS)
    index = thin.astype(np.int64) @ (_LEVELS**2, _LEVELS, 1)
    return np.bincount(index, minlength=_LEVELS**3) / len(index)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Half the L1 distance of two histograms: 0 for equal ones, 1 for such that share no color."""
    return float(np.abs(a - b).sum() / 2)
