"""How far a mean over content x style pairs can be trusted: intervals by a crossed bootstrap.

Pairs are not independent: all pairs of one style share it. So contents and styles are drawn anew,
with replacement and independently, and a pair counts as often as both of its pictures were drawn
(the pigeonhole bootstrap; Owen 2007, "The pigeonhole bootstrap", section 3). Drawing pairs instead
would take 40 x 13 pictures of 13 styles for 520 independent ones. The interval is over other
contents and styles of the kind; where there is a single style or content, over the other side only.
A picture of which no pair is there takes no part: neither is it drawn, nor does it count.

Percentiles of few draws are too narrow: by sqrt((n - 1) / n), and by the normal distribution in the
place of Student's. They are widened by both (the expanded percentile interval; Hesterberg 2015,
"What Teachers Should Know About the Bootstrap", section 4.4), n being the smaller of the sides.
"""

import dataclasses
import functools
import math

import numpy as np
from scipy import stats

DRAWS = 2000
LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Interval:
    """A mean and where it lies by `LEVEL`; NaN where a single pair leaves it open."""

    mean: float
    low: float = math.nan
    high: float = math.nan

    @property
    def excludes_zero(self) -> bool:
        """Whether the sign is certain at that level; False where the interval is open."""
        return self.low > 0 or self.high < 0


class CrossedBootstrap:
    """The same draws for every number of the same pairs, so that differences are paired.

    Args:
      contents, styles: how many pictures there are on each side.
      draws: R.
      level: share of such intervals that hold the true mean.
      seed: of the draws.
    """

    def __init__(
        self, contents: int, styles: int, *, draws: int = DRAWS, level: float = LEVEL, seed: int = 0
    ):
        self.shape = (contents, styles)
        self._draws, self._level, self._seed = draws, level, seed

    def interval(self, values: np.ndarray) -> Interval:
        """Of the mean of values [contents, styles]; those that are NaN are not there.

        Raises:
          ValueError: another shape.
        """
        if values.shape != self.shape:
            raise ValueError(f"the bootstrap is of {self.shape} pairs, not {values.shape}.")
        known = np.isfinite(values)
        if not known.any():
            return Interval(math.nan)
        there = np.ix_(known.any(1), known.any(0))
        values, known = values[there], known[there]
        mean = float(values[known].mean())
        if max(values.shape) == 1:
            return Interval(mean)
        weights = _weights(values.shape, self._draws, self._seed)
        sums, counts = (
            np.einsum("rc,cs,rs->r", weights[0], x, weights[1], optimize=True)
            for x in (np.where(known, values, 0.0), known.astype(float))
        )
        means = sums[counts > 0] / counts[counts > 0]
        tail = _tail(min(n for n in values.shape if n > 1), self._level)
        low, high = np.quantile(means, [tail, 1 - tail])
        return Interval(mean, float(low), float(high))


@functools.lru_cache(maxsize=8)  # a table asks for the same many times
def _weights(shape: tuple[int, int], draws: int, seed: int) -> list[np.ndarray]:
    """How often each picture was drawn, [R, n]; a side of one picture varies not at all."""
    rng = np.random.default_rng(seed)
    return [rng.multinomial(n, np.full(n, 1 / n), draws) for n in shape]


def _tail(n: int, level: float) -> float:
    """Share of the draws beyond each end of the expanded interval."""
    quantile = math.sqrt(n / (n - 1)) * stats.t.ppf((1 - level) / 2, n - 1)
    return float(stats.norm.cdf(quantile))
