"""Loss curves of several runs at equal steps (Jing et al. 2020, figure 8).

python -m din_jax.evaluation.curves runs/din runs/adain --output figure.png

reads each run's `metrics.csv` (rows `step,name,value`): lines are running means of `train/content`
and `train/style`, points are `validation/content` and `validation/style`.
"""

import argparse
import csv
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from din_jax.command_line import Parser, require_new
from din_jax.errors import UserError, exit_status
from din_jax.files import replacing

# Okabe & Ito's palette, distinct for the color-blind, without its yellow, which is faint on white.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
DASHES = ("-", "--", ":", "-.")  # a second sign beside color, and more runs than colors
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
PANELS = (
    ("content", "Content loss", "MSE of VGG features"),
    ("style", "Style loss", "MSE of VGG feature statistics"),
)
WINDOW = 500  # steps of the running mean

# Name of a metric to its (steps, values), both [N], steps ascending.
Curves = Mapping[str, tuple[np.ndarray, np.ndarray]]


def read_curves(run: str | Path) -> Curves:
    """The metrics of a run by name; where a resumed run wrote a step twice, the later row counts.

    A last line that is cut off (the run may be writing) is left out.

    Raises:
      UserError: there is no `metrics.csv`, or it holds no such rows.
    """
    path = Path(run) / "metrics.csv"
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    except OSError as error:
        raise UserError(
            f"'{run}' has no readable metrics.csv; give the directory of a run that has logged."
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(f"'{path}' is no text file; restore it.") from error
    if lines and not lines[-1].endswith("\n"):
        lines.pop()
    values: dict[str, dict[int, float]] = {}
    for number, row in enumerate(csv.reader(lines), 1):
        if row[:1] == ["step"] or not row:
            continue
        try:
            step, name, value = row
            values.setdefault(name, {})[int(step)] = float(value)
        except ValueError as error:
            raise UserError(
                f"line {number} of '{path}' must be step,name,value, not {','.join(row)!r}; "
                "repair or remove it."
            ) from error
    if not values:
        raise UserError(f"'{path}' holds no rows yet; wait until the run has logged some.")
    return {name: _ascending(by_step) for name, by_step in values.items()}


def _ascending(by_step: Mapping[int, float]) -> tuple[np.ndarray, np.ndarray]:
    steps = sorted(by_step)
    return np.asarray(steps), np.asarray([by_step[step] for step in steps])


def running_mean(steps: np.ndarray, values: np.ndarray, window: int) -> np.ndarray:
    """Mean of the values within window/2 steps of each, on either side; undefined ones left out.

    Near the ends the window is cut, so that the mean stays centered on what is there.
    """
    steps, values = np.asarray(steps), np.asarray(values, float)
    known = np.isfinite(values)
    sums = np.concatenate([[0], np.cumsum(np.where(known, values, 0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    first = np.searchsorted(steps, steps - window / 2, "left")
    last = np.searchsorted(steps, steps + window / 2, "right")
    with np.errstate(invalid="ignore", divide="ignore"):
        return (sums[last] - sums[first]) / (counts[last] - counts[first])


def common_steps(runs: Sequence[Curves]) -> int:
    """The last step that every run has reached."""
    return min(max(int(steps[-1]) for steps, _ in run.values()) for run in runs)


def draw(
    runs: Mapping[str, Curves], output: str | Path, *, last: int = 0, window: int = WINDOW
) -> Path:
    """Draws the content and style loss of runs by label, and writes the figure.

    Args:
      runs: label to curves.
      output: .png, .pdf or .svg.
      last: steps drawn; 0 stops where the shortest run does, so that runs compare at equal steps.
      window: steps of the running mean over training batches.

    Raises:
      UserError: no run has any of these losses.
    """
    import matplotlib

    matplotlib.use("Agg", force=False)
    import matplotlib.pyplot as plt

    last = last or common_steps(list(runs.values()))
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    drawn = 0
    try:
        for axis, (key, title, unit) in zip(axes, PANELS, strict=True):
            for i, (label, curves) in enumerate(runs.items()):
                drawn += _draw_run(axis, curves, key, label, i, last, window)
            axis.set(title=title, xlabel="Training step", ylabel=unit, xlim=(0, max(last, 1)))
            axis.set_yscale("log")
            label_plainly(axis.yaxis)
            axis.grid(True, which="both", color="0.9", linewidth=0.6)
            axis.spines[["top", "right"]].set_visible(False)
        if not drawn:
            raise UserError(
                f"no run has train/content, train/style or their validation values up to step "
                f"{last}; give runs that have logged them."
            )
        _draw_legend(figure, axes)
        output = Path(output)
        with replacing(output) as partial:
            figure.savefig(partial, dpi=150, format=output.suffix[1:] or "png")
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"the figure '{output}' cannot be written: {error}.") from error
    finally:
        plt.close(figure)
    return output


def label_plainly(axis) -> None:
    """0.2 instead of 2 x 10^-1, at the ticks that matplotlib would label."""
    from matplotlib.ticker import FuncFormatter, LogFormatterSciNotation

    for minor in (False, True):
        chosen = LogFormatterSciNotation(labelOnlyBase=False)
        chosen.set_axis(axis)

        def plain(x, position, chosen=chosen):
            if position == 0:  # the ticks labeled depend on the range drawn
                chosen.set_locs(axis.get_minorticklocs())
            return f"{x:g}" if chosen(x, position) else ""

        (axis.set_minor_formatter if minor else axis.set_major_formatter)(FuncFormatter(plain))


def _draw_legend(figure, axes) -> None:
    """Each label once; lines in the first column, points in the second."""
    found = {}
    for axis in axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    labels = sorted(found, key=lambda label: label.endswith("validation"))
    figure.legend(
        [found[label] for label in labels],
        labels,
        loc="outside lower center",
        ncols=2 if len(labels) > 1 else 1,
        frameon=False,
    )


def _draw_run(
    axis, curves: Curves, key: str, label: str, index: int, last: int, window: int
) -> int:
    """One run on one axis; gives how many curves it had."""
    color = COLORS[index % len(COLORS)]
    drawn = 0
    if f"train/{key}" in curves:
        steps, values = (x[curves[f"train/{key}"][0] <= last] for x in curves[f"train/{key}"])
        mean = running_mean(steps, values, window)
        dash = DASHES[index % len(DASHES)]
        name = f"{label}, training (mean over {window:,} steps)"
        axis.plot(steps, mean, dash, color=color, linewidth=1.6, label=name)
        drawn += bool(len(steps))
    if f"validation/{key}" in curves:
        steps, values = (
            x[curves[f"validation/{key}"][0] <= last] for x in curves[f"validation/{key}"]
        )
        marker = MARKERS[index % len(MARKERS)]
        style = {"markersize": 4.5, "markerfacecolor": "white", "markeredgecolor": color}
        style |= {"clip_on": False, "zorder": 3}
        axis.plot(steps, values, marker, linestyle="none", label=f"{label}, validation", **style)
        drawn += bool(len(steps))
    return drawn


def compare(runs: Mapping[str, Curves], last: int = 0, window: int = WINDOW) -> str:
    """A table of the losses at the last common step: running means, and the last validation."""
    last = last or common_steps(list(runs.values()))
    columns = [f"{part}/{key}" for part in ("train", "validation") for key, *_ in PANELS]
    width = max(len(label) for label in ("run", *runs))
    lines = ["  ".join([f"{'run':{width}}", *(f"{name:>18}" for name in columns)])]
    for label, curves in runs.items():
        numbers = [_value_at(curves, name, last, window) for name in columns]
        lines.append("  ".join([f"{label:{width}}", *(f"{x:18.4f}" for x in numbers)]))
    return "\n".join([f"at step {last}", *lines])


def _value_at(curves: Curves, name: str, last: int, window: int) -> float:
    steps, values = curves.get(name, (np.zeros(0, int), np.zeros(0)))
    steps, values = steps[steps <= last], values[steps <= last]
    if not len(steps):
        return math.nan
    smooth = name.startswith("train")
    return float((running_mean(steps, values, window) if smooth else values)[-1])


def run_labels(runs: Sequence[str]) -> list[str]:
    """Folder names, or whole paths where two names are alike."""
    names = [Path(run).resolve().name for run in runs]
    return names if len(set(names)) == len(names) else list(runs)


def run(flags: argparse.Namespace) -> None:
    if flags.steps < 0 or flags.window < 1:
        raise UserError("--steps must be at least 0 and --window at least 1.")
    require_new(flags.output, flags.overwrite)
    runs = dict.fromkeys(flags.runs)
    curves = dict(zip(run_labels(list(runs)), map(read_curves, runs), strict=True))
    print(compare(curves, flags.steps, flags.window))
    print(draw(curves, flags.output, last=flags.steps, window=flags.window))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument("runs", nargs="+", help="run directories, each with a metrics.csv")
    parser.add_argument("--output", required=True, help=".png, .pdf or .svg")
    parser.add_argument("--overwrite", action="store_true", help="replace it if it is there")
    parser.add_argument("--steps", type=int, default=0, help="0 = those all runs have reached")
    parser.add_argument("--window", type=int, default=WINDOW, help="steps of the running mean")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the module's text says what it does. Gives the exit status."""
    return exit_status(lambda: run(parse(arguments)))


if __name__ == "__main__":
    sys.exit(main())
