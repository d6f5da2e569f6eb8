"""What a run writes for people: metrics.csv, TensorBoard events, picture grids, a progress bar."""

import csv
import math
import time
from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from tensorboardX import SummaryWriter
from tqdm import tqdm

from din_jax.data.decoding import save_image
from din_jax.data.sheets import image_grid
from din_jax.files import replacing

COLUMNS = ("step", "name", "value")


class Reports:
    """Writers of one run directory; on processes other than the first every method does nothing.

    metrics.csv is long-format `step,name,value`, names as `train/style/relu1_1`. A resumed run
    drops the rows after the step that it resumes from, and of that step those of `dropped`, so that
    the table is an uninterrupted run's.

    Args:
      run: the directory.
      resumed: step of the checkpoint that the run goes on from, or None.
      steps: of the whole run.
      enabled: whether this process writes.
      dropped: of the names' first parts, those whose rows at `resumed` only the stop caused.
    """

    def __init__(
        self,
        run: Path,
        resumed: int | None,
        steps: int,
        *,
        enabled: bool,
        dropped: Collection[str] = (),
    ):
        self.enabled = enabled
        if not enabled:
            return
        self.run = run
        step = resumed or 0
        # A run without a checkpoint starts again, with its validation at step 0.
        self._last = self._cut(run / "metrics.csv", -1 if resumed is None else resumed, dropped)
        self._file = open(run / "metrics.csv", "a", newline="")
        self._csv = csv.writer(self._file)
        self._board = SummaryWriter(str(run / "tensorboard"), purge_step=step + 1)
        self.bar = tqdm(total=steps, initial=step, unit="step", dynamic_ncols=True, smoothing=0.05)

    @staticmethod
    def _cut(path: Path, step: int, dropped: Collection[str]) -> dict[str, int]:
        """Drops rows; of those that are left, the last step of each first part of a name."""
        rows = []
        if path.exists():
            with open(path, newline="", encoding="utf-8", errors="replace") as file:
                rows = [row for row in csv.reader(file) if len(row) == 3 and row[0].isdigit()]

        def stays(row: list[str]) -> bool:
            return int(row[0]) < step or int(row[0]) == step and _first(row[1]) not in dropped

        rows = [row for row in rows if stays(row)]
        with replacing(path) as partial, open(partial, "w", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *rows])
        return {_first(name): int(step) for step, name, _ in rows}

    def scalars(self, step: int, prefix: str, values: dict[str, float]):
        """Writes `prefix`/NAME of a step; a second time for the same step changes nothing."""
        if not self.enabled or self._last.get(prefix) == step:
            return
        self._last[prefix] = step
        for name, value in values.items():
            self._csv.writerow((step, f"{prefix}/{name}", f"{value:.6g}"))
            self._board.add_scalar(f"{prefix}/{name}", value, step)
        self._file.flush()

    def progress(self, values: dict[str, float], images_per_second: float):
        if self.enabled:
            shown = {name: f"{values[name]:.3f}" for name in ("content", "style") if name in values}
            self.bar.set_postfix({**shown, "images/s": f"{images_per_second:.1f}"}, refresh=False)

    def advance(self, steps: int):
        if self.enabled:
            self.bar.update(steps)

    def say(self, text: str):
        if self.enabled:
            self.bar.write(text)

    def grid(self, step: int, content: np.ndarray, style: np.ndarray, stylized: np.ndarray):
        """Pairs as columns: content, style, stylized; uint8 [N, H, W, 3] each."""
        if self.enabled:
            sheet = image_grid([list(content), list(style), list(stylized)])
            save_image(self.run / "grids" / f"step_{step:07d}.png", sheet)
            self._board.add_image("validation", sheet, step, dataformats="HWC")

    def close(self):
        if self.enabled:
            self.bar.close()
            self._file.close()
            self._board.close()


class Average:
    """Means of metrics over the steps, or pairs, since they were last taken."""

    def __init__(self):
        self._sums, self.count = defaultdict(float), 0

    def add(self, sums: dict[str, float], count: int):
        """Metrics summed over `count` steps or pairs."""
        for name, value in sums.items():
            self._sums[name] += value
        self.count += count

    def means(self) -> dict[str, float]:
        return {name: total / self.count for name, total in self._sums.items()}

    def take(self) -> dict[str, float]:
        means = self.means()
        self.__init__()
        return means


class Window(Average):
    """The steps since the last row of training, and since when they have been taken.

    It is kept with a checkpoint, so that the row that a resumed run writes next is the
    uninterrupted run's: a mean over all of its steps.

    Attributes:
      since: `time.monotonic()` when the window began, later by all that was not training.
    """

    def __init__(self, saved: dict[str, Any] | None = None):
        super().__init__()
        self.since = time.monotonic()
        if saved:
            self.add(saved["sums"], saved["steps"])
            self.since -= saved["seconds"]

    def saved(self, now: float) -> dict[str, Any]:
        """What JSON holds of it."""
        return {"sums": dict(self._sums), "steps": self.count, "seconds": now - self.since}


def _first(name: str) -> str:
    return name.split("/", 1)[0]


def finite(*values: float) -> bool:
    """Whether all are numbers, neither infinite nor undefined."""
    return all(math.isfinite(value) for value in values)
