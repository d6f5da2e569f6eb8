"""What a run measures of itself: how long its input takes, the chip's utilization, a trace."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import jax

INPUT_BOUND = 0.2  # share of the time above which the user is told
COLUMNS = ("images_per_second", "input_share", "mfu")  # metrics that a clock decides


class Work(NamedTuple):
    """Floating-point operations of a step, and what all devices can do of them a second."""

    flops: float
    peak: float


class Measures:
    """Sums over the calls since they were last taken.

    Attributes:
      work: of a step, or None where the rate of the device is not known.
    """

    def __init__(self):
        self.work: Work | None = None
        self._told = False
        self._clear()

    def _clear(self):
        self._input = self._steps = self._device = 0.0

    def add(self, waited: float, ran: float, steps: int):
        """Of a call: seconds until its batches were there, and from then on, and its steps."""
        self._input += waited
        self._device += ran
        self._steps += steps

    def take(self) -> dict[str, float]:
        """input_share, of the time, and mfu: the share of the peak that the model's multiply-adds
        reach, at two operations each (Chowdhery et al. 2022, appendix B)."""
        total = self._input + self._device
        found = {"input_share": self._input / total if total else 0.0}
        if self.work and total:
            found["mfu"] = self.work.flops * self._steps / total / self.work.peak
        self._clear()
        return found

    def advice(self, share: float) -> str:
        """Once, what to do where the input takes too long; else ""."""
        if share <= INPUT_BOUND or self._told:
            return ""
        self._told = True
        return (
            f"input-bound: {share:.0%} of the time goes by until pictures are decoded; raise "
            "config.data.threads or workers, or set config.data.resident."
        )


class Tracing:
    """A trace of a few steps for TensorBoard's or XProf's profile page; not of the first call,
    which compiles.

    Args:
      folder: to write to.
      steps: at least so many; 0 traces nothing.
      say: tells the user where it is.
    """

    def __init__(self, folder: Path, steps: int, say: Callable[[str], object] = print):
        self.folder, self.left, self.say = folder, steps, say
        self._calls, self._on = 0, False

    @contextlib.contextmanager
    def call(self, steps: int) -> Iterator[None]:
        """Around one call of so many steps, and the wait for its end."""
        if self._calls and self.left > 0 and not self._on:
            jax.profiler.start_trace(str(self.folder))
            self._on = True
        yield
        self._calls += 1
        if self._on:
            self.left -= steps
            if self.left <= 0:
                self.close()

    def close(self):
        if self._on:
            jax.profiler.stop_trace()
            self._on, self.left = False, 0
            self.say(f"Trace in {self.folder}: tensorboard --logdir {self.folder}.")
