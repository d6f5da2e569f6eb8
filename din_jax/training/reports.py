"""What a run writes for people: metrics.csv, TensorBoard events, picture grids, a progress bar."""

import contextlib
import csv
import io
import math
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from din_jax.data.decoding import save_image
from din_jax.data.sheets import image_grid
from din_jax.files import replacing
from din_jax.training.board import Board, Entry, Picture, Scalar

COLUMNS = ("step", "name", "value")


class Reports:
    """Writers of one run directory; on processes other than the first every method does nothing.

    metrics.csv is long-format `step,name,value`, names as `train/style/relu1_1`. A resumed run
    drops the rows after the step that it resumes from, and of that step those of `dropped`, so that
    the table is an uninterrupted run's. What the disk refuses is told once, and ends no run: rows
    wait until there is room, pictures and events are left out.

    Args:
      run: the directory.
      resumed: step of the checkpoint that the run goes on from, or None.
      steps: of the whole run.
      enabled: whether this process writes.
      dropped: of the names' first parts, those whose rows at `resumed` only the stop caused.
      boards: make further boards, with `add` and `close` as TensorBoard's has.
    """

    def __init__(
        self,
        run: Path,
        resumed: int | None,
        steps: int,
        *,
        enabled: bool,
        dropped: Collection[str] = (),
        boards: Iterable[Callable[[], Any]] = (),
    ):
        self.enabled = enabled
        if not enabled:
            return
        self.run = run
        step = resumed or 0
        # A run without a checkpoint starts again, with its validation at step 0.
        self._start(-1 if resumed is None else resumed, dropped)
        self._others = [make() for make in boards]
        self._refused: set[str] = set()  # what the disk has refused, until it takes it again
        self.bar = tqdm(total=steps, initial=step, unit="step", dynamic_ncols=True, smoothing=0.05)

    def _start(self, step: int, dropped: Collection[str]):
        self._last = self._cut(self.run / "metrics.csv", step, dropped)
        self._table = Table(self.run / "metrics.csv")
        self._board = Board(self.run / "tensorboard", max(step, 0) + 1)

    def back_to(self, step: int, dropped: Collection[str]):
        """As if the run had been resumed at this step."""
        if self.enabled:
            self._board.close()
            self._start(step, dropped)
            self.bar.n = step
            self.bar.refresh()

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
        named = {f"{prefix}/{name}": value for name, value in values.items()}
        with self._on_disk("its rows are written when there is room"):
            self._table.add((step, name, f"{value:.6g}") for name, value in named.items())
        self._show(step, *(Scalar(name, value) for name, value in named.items()))

    def _show(self, step: int, *entries: Entry):
        """On all boards; one that fails costs the others nothing."""
        for board in (self._board, *self._others):
            with self._on_disk(f"{board.NAME} goes without"):
                board.add(step, *entries)

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
            with self._on_disk("the picture is left out"):
                save_image(self.run / "grids" / f"step_{step:07d}.png", sheet)
            self._show(step, Picture("validation", sheet))

    @contextlib.contextmanager
    def _on_disk(self, then: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if then not in self._refused:
                self.say(f"Warning: '{error.filename}': {error.strerror}; the run goes on, {then}.")
            self._refused.add(then)
        else:
            self._refused.discard(then)

    def close(self):
        if self.enabled:
            self.bar.close()
            with self._on_disk("its last rows are lost"):
                self._table.add(())
            for board in (self._board, *self._others):
                with self._on_disk(f"{board.NAME} goes without"):
                    board.close()


class Table:
    """A CSV file that gets whole rows or none; rows that the disk refuses are kept for the next."""

    def __init__(self, path: Path):
        self.path = path
        self._size = path.stat().st_size
        self._waiting = b""

    def add(self, rows: Iterable[Collection]):
        """Appends rows, after those that wait.

        Raises:
          OSError: they wait now, and the file is as it was.
        """
        text = io.StringIO(newline="")
        csv.writer(text).writerows(rows)
        self._waiting += text.getvalue().encode()
        with open(self.path, "r+b", buffering=0) as file:
            file.seek(self._size)
            try:
                left = self._waiting
                while left:  # a full disk takes a part, and says no to the rest
                    left = left[file.write(left) :]
            except OSError as error:
                file.truncate(self._size)
                error.filename = str(self.path)
                raise
        self._size += len(self._waiting)
        self._waiting = b""


class Average:
    """Means of metrics over the steps, or pairs, since they were last taken."""

    def __init__(self):
        self._sums, self.count = defaultdict(float), 0

    def add(self, sums: dict[str, float], count: int):
        """Metrics summed over `count` steps or pairs."""
        for name, value in sums.items():
            self._sums[name] += value
        self.count += count

    def sum(self, name: str) -> float:
        """Of one metric; 0 if there is none of that name."""
        return self._sums.get(name, 0.0)

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
