"""What a run measures of itself: what its input can deliver and how long it takes of the time,
the chip's utilization, memory, a trace."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import jax

INPUT_BOUND = 0.2  # share of the time above which the user is told
SECONDS = 3.0  # that measuring the input takes at most, if a pair does not take longer
ROUNDS = 16  # pairs of each of its threads that are enough
# Metrics that a clock decides, or the machine.
COLUMNS = (
    "images_per_second", "input_share", "mfu", "input_pairs_per_second", "step_pairs_per_second",
    "peak_memory_mib",
)  # fmt: skip


class Work(NamedTuple):
    """Floating-point operations of a step, and what all devices can do of them a second."""

    flops: float
    peak: float


def per_second(pairs: Iterator, lanes: int, made: int = 0) -> float:
    """How fast an iterator gives pairs to somebody who does nothing but take them.

    Args:
      pairs: a new one, since its first are taken.
      lanes: pairs that are made at once, and come together: whole rounds of them are counted.
      made: at most so many may have been made before the first is given, by processes that have
        started while it was waited for; that wait and those are not counted.
    """
    if made:
        began = time.monotonic()
        for number in range(1 + made):
            next(pairs)
            began = began if number else time.monotonic()
            if time.monotonic() - began > SECONDS:
                break
    began, count = time.monotonic(), 0
    while True:
        next(pairs)
        count += 1
        seconds = time.monotonic() - began
        if count % lanes == 0 and (count >= ROUNDS * lanes or seconds >= SECONDS):
            return count / max(seconds, 1e-9)


class Measures:
    """Sums over the calls since they were last taken, but for the run's first, which compiles.

    Args:
      batch: pairs of a step, of all processes.

    Attributes:
      work: of a step, or None where the rate of the device is not known.
      alone: pairs a second that the input delivers while nothing else runs; None where the device
        draws them itself.
    """

    def __init__(self, batch: int):
        self.batch = batch
        self.work: Work | None = None
        self.alone: float | None = None
        self._compiled = False
        self._told: set[bool] = set()  # by whether the input was the slower
        self._clear()

    def _clear(self):
        self._input = self._steps = self._device = 0.0

    def add(self, waited: float, ran: float, steps: int):
        """Of a call: seconds until its batches were there, and from then on, and its steps."""
        if self._compiled:
            self._input += waited
            self._device += ran
            self._steps += steps
        self._compiled = True

    def take(self) -> dict[str, float]:
        """What is known of the calls, by its name in the table.

        input_pairs_per_second: what the input delivers alone. step_pairs_per_second: what the step
        would take, if it never waited. input_share: of the time, for which it waited. mfu: the
        share of the peak that the model's multiply-adds reach, at two operations each (Chowdhery et
        al. 2022, appendix B).
        """
        found = {} if self.alone is None else {"input_pairs_per_second": self.alone}
        if self._device:
            total = self._input + self._device
            found["step_pairs_per_second"] = self.batch * self._steps / self._device
            found["input_share"] = self._input / total
            if self.work:
                found["mfu"] = self.work.flops * self._steps / total / self.work.peak
        self._clear()
        return found

    def told(self, found: dict[str, float]) -> str:
        """What to tell of that: once which of the two is the slower, and once if that changes to
        the input; else ""."""
        if "step_pairs_per_second" not in found:
            return ""
        slow = is_input_bound(found)
        if slow in self._told or not slow and self._told:
            return ""
        self._told.add(slow)
        remedy = "; raise config.data.threads or workers, or set config.data.resident"
        return f"{verdict(found)}{remedy if slow else ''}."


def peak_memory() -> dict[str, float]:
    """{"peak_memory_mib": the most that this process's first device has held at once}; of the
    process itself where the backend does not tell, as on CPU; {} where nothing does."""
    found = jax.local_devices()[0].memory_stats() or {}
    if "peak_bytes_in_use" in found:
        return {"peak_memory_mib": found["peak_bytes_in_use"] / 2**20}
    try:
        import resource
    except ImportError:  # not on Windows
        return {}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB, but on macOS bytes
    return {"peak_memory_mib": peak / (2**20 if sys.platform == "darwin" else 2**10)}


def is_input_bound(found: dict[str, float]) -> bool:
    """Whether the input delivers less than the step takes, or is waited for much of the time."""
    slower = found.get("input_pairs_per_second", float("inf")) < found["step_pairs_per_second"]
    return slower or found["input_share"] > INPUT_BOUND


def verdict(found: dict[str, float]) -> str:
    """Rates and shares of `Measures.take` as words, without a stop."""
    needed = f"the step takes {_rate(found['step_pairs_per_second'])}"
    if "input_pairs_per_second" not in found:
        return f"input: drawn on the device, nothing to wait for; {needed} pairs/s"
    bound = "input" if is_input_bound(found) else "compute"
    return (
        f"input: {_rate(found['input_pairs_per_second'])} pairs/s alone, {needed}: {bound}-bound "
        f"(input {found['input_share']:.1%} of the time)"
    )


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


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
