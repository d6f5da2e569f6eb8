"""How far a mean over content x style pairs can be trusted: intervals by a crossed bootstrap.

Pairs are not independent: all pairs of one style share it. So contents and styles are drawn anew,
with replacement and independently, and a pair counts as often as both of its pictures were drawn
(the pigeonhole bootstrap; Owen 2007, "The pigeonhole bootstrap", section 3). Drawing pairs instead
would take 40 x 13 pictures of 13 styles for 520 independent ones. The interval is over other
contents and styles of the kind; where there is a single style or content, over the other side only.

Percentiles of few draws are too narrow: by sqrt((n - 1) / n), and by the normal distribution in the
place of Student's. They are widened by both (the expanded percentile interval; Hesterberg 2015,
"What Teachers Should Know About the Bootstrap", section 4.4), n being the smaller of the sides.
"""

import dataclasses
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
    """The same draws of contents and styles for every number, so that differences are paired.

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
        rng = np.random.default_rng(seed)
        # How often each picture was drawn, [R, n]; a side of one picture varies not at all.
        self._weights = [rng.multinomial(n, np.full(n, 1 / n), draws) for n in self.shape]
        self._tail = _tail([n for n in self.shape if n > 1], level)

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
        mean = float(values[known].mean())
        if max(self.shape) == 1:
            return Interval(mean)
        sums, counts = (
            np.einsum("rc,cs,rs->r", self._weights[0], x, self._weights[1], optimize=True)
            for x in (np.where(known, values, 0.0), known.astype(float))
        )
        means = sums[counts > 0] / counts[counts > 0]
        low, high = np.quantile(means, [self._tail, 1 - self._tail])
        return Interval(mean, float(low), float(high))


def _tail(counts: list[int], level: float) -> float:
    """Share of the draws beyond each end of the expanded interval."""
    if not counts:
        return 0.5
    n = min(counts)
    quantile = math.sqrt(n / (n - 1)) * stats.t.ppf((1 - level) / 2, n - 1)
    return float(stats.norm.cdf(quantile))
