"""Losses that are far above those before them, for a log that nobody reads step by step."""

import statistics
from collections import deque

KEPT = 64  # calls whose losses a new one is compared with
FIRST = 16  # calls before anything is told: a run begins with losses of all sizes
ABOVE = 3.0  # times their median


class Spikes:
    """Counts losses above `ABOVE` times the median of those of the `KEPT` calls before.

    Each doubling of their number is told, never a flood.
    """

    def __init__(self):
        self.count = 0
        self._losses: deque[float] = deque(maxlen=KEPT)

    def add(self, step: int, loss: float) -> str:
        """What to tell of a call's mean loss, the last step of which is `step`; else ""."""
        losses, told = self._losses, ""
        usual = statistics.median(losses) if losses else 0.0
        if len(losses) >= FIRST and loss > ABOVE * usual > 0:
            self.count += 1
            if self.count & (self.count - 1) == 0:
                told = (
                    f"step {step}: a spike of the loss, {loss:.3g} where {usual:.3g} was usual; "
                    f"spikes since the start: {self.count}"
                )
        losses.append(loss)
        return told
