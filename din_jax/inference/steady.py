"""Frames of a clip painted without flicker: noise and statistics are averaged over time.

A network paints strokes where a content is flat, and the camera's noise says where: other strokes
in every frame. So what stands still is averaged, with d = frame_t - still_{t-1} smoothed by a
Gaussian, beyond which noise is gone, and w = keep max(0, 1 - (d / STILL)^2) at every pixel:

    still_t = w still_{t-1} + (1 - w) frame_t

And the statistics of all of a frame change with what enters it, and with them the colors of what
was there. So a frame is normalized by

    s_t = keep s_{t-1} + (1 - keep) statistics(still_t)

Both begin anew at each cut, where the histogram of the colors jumps.
"""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from din_jax.errors import UserError
from din_jax.inference.engine import Engine
from din_jax.layers.mixtures import Mixture

CUT = 0.6  # half the L1 distance of two frames' color histograms above which there is a cut
SIGMA = 3.0  # px, of the Gaussian
STILL = 6.0  # levels of 255 in any color, from which on a pixel has moved
_LEVELS = 8  # of each color in the histogram
_STEP = 4  # pixels, of which one is counted


class SteadyEngine:
    """An engine whose contents are the frames of one clip, in order, through all its calls.

    What it lacks the engine has; `Stylizer.engine` may be one.

    Args:
      engine: paints, and measures frames.
      keep: share of the frames so far in a frame, 0 (each by itself) to less than 1.
    """

    def __init__(self, engine: Engine, keep: float):
        if not 0 <= keep < 1:
            raise UserError(f"the share that is kept must be from 0 to less than 1, not {keep}.")
        self.engine, self.keep = engine, keep
        self.cuts = 0
        self._frame: np.ndarray | None = None  # float32
        self._histogram = np.zeros(_LEVELS**3)
        self._statistics: Any = None

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
        """`Engine.stylize` of the clip's next frames, averaged over time."""
        cuts = [self._is_cut(frame) for frame in contents]
        self.cuts += sum(cuts)
        frames = [self._still(frame, cut) for frame, cut in zip(contents, cuts, strict=True)]
        own = self.engine.statistics(frames, code) if statistics is None else statistics
        steady = [self._averaged(x, cut) for x, cut in zip(own, cuts, strict=True)]
        return self.engine.stylize(frames, code, statistics=steady, **options)

    def _is_cut(self, frame: np.ndarray) -> bool:
        before, self._histogram = self._histogram, color_histogram(frame)
        return before.any() and distance(before, self._histogram) > CUT

    def _still(self, frame: np.ndarray, cut: bool) -> np.ndarray:
        now = frame.astype(np.float32)
        if self._frame is None or cut or self._frame.shape != now.shape:
            self._frame = now
        else:
            away = now - self._frame
            from scipy import ndimage  # here: a tenth of what a first picture waits for

            smooth = ndimage.gaussian_filter(away, (SIGMA, SIGMA, 0), mode="nearest", truncate=3)
            moved = np.square(smooth / STILL).max(-1, keepdims=True)
            self._frame = now - self.keep * np.maximum(0, 1 - moved) * away
        return np.rint(self._frame).astype(np.uint8)

    def _averaged(self, own: Any, cut: bool) -> Any:
        if self._statistics is None or cut:
            self._statistics = own
        else:
            self._statistics = jax.tree.map(
                lambda a, b: self.keep * np.asarray(a) + (1 - self.keep) * np.asarray(b),
                self._statistics,
                own,
            )
        return self._statistics


def color_histogram(frame: np.ndarray) -> np.ndarray:
    """Shares of pixels of uint8 [H, W, 3] by color, float [512]."""
    thin = frame[::_STEP, ::_STEP].reshape(-1, 3) // (256 // _LEVELS)
    index = thin.astype(np.int64) @ (_LEVELS**2, _LEVELS, 1)
    return np.bincount(index, minlength=_LEVELS**3) / len(index)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Half the L1 distance of two histograms: 0 for equal ones, 1 for such that share no color."""
    return float(np.abs(a - b).sum() / 2)
