"""The pictures of figures: sheets with headings, and plots, as arrays."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from din_jax.data.decoding import load_image
from din_jax.data.sheets import CELL, image_grid
from din_jax.evaluation.compare import heading
from din_jax.evaluation.curves import COLORS, DASHES, label_plainly

Grid = Sequence[Sequence[Path | None]]


def side_by_side(
    contents: Sequence[Path], styles: Sequence[Path], grids: Mapping[str, Grid], rows: int = 6
) -> np.ndarray:
    """A row per pair, the n-th content in the n-th style: content, style, each program's picture.

    uint8 [H, W, 3].
    """
    count = min(rows, max(len(contents), len(styles)))
    places = [(k % len(contents), k % len(styles)) for k in range(count)]
    columns = {
        "content": [load_image(contents[i]) for i, _ in places],
        "style": [load_image(styles[j]) for _, j in places],
    }
    for name, grid in grids.items():
        columns[name] = [None if grid[i][j] is None else load_image(grid[i][j]) for i, j in places]
    return titled(columns)


def titled(columns: Mapping[str, Sequence[np.ndarray | None]]) -> np.ndarray:
    """Columns of pictures under their names; names of two lines are divided by a newline."""
    lines = max(name.count("\n") + 1 for name in columns)
    head = [heading(*[*name.split("\n"), *[""] * lines][:lines], width=CELL) for name in columns]
    body = zip(*[[_enlarged(x) for x in column] for column in columns.values()], strict=True)
    return image_grid([head, *body])


def _enlarged(image: np.ndarray | None) -> np.ndarray | None:
    """Small pictures shown as large as a cell lets them be, their pixels repeated."""
    if image is None:
        return None
    times = max(1, CELL // max(image.shape[:2]))
    return image.repeat(times, 0).repeat(times, 1)


def curves(
    panels: Mapping[str, Mapping[str, tuple[np.ndarray, np.ndarray]]], unit: str
) -> np.ndarray:
    """Mean curves with bands from the least to the greatest over seeds, one panel beside another.

    Args:
      panels: title to label to (steps [N], values [seeds, N]).
      unit: of the values, on the axes.

    Returns:
      uint8 [H, W, 3].
    """
    import matplotlib

    matplotlib.use("Agg", force=False)
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(panels), figsize=(4.6 * len(panels), 3.8), layout="constrained", squeeze=False
    )
    try:
        for axis, (title, lines) in zip(axes[0], panels.items(), strict=True):
            for i, (label, (steps, values)) in enumerate(lines.items()):
                color, dash = COLORS[i % len(COLORS)], DASHES[i % len(DASHES)]
                axis.plot(steps, values.mean(0), dash, color=color, label=label)
                axis.fill_between(
                    steps, values.min(0), values.max(0), color=color, alpha=0.2, linewidth=0
                )
            axis.set(title=title, xlabel="Training step", ylabel=unit)
            axis.set_yscale("log")
            label_plainly(axis.yaxis)
            axis.grid(True, which="both", color="0.9", linewidth=0.6)
            axis.spines[["top", "right"]].set_visible(False)
            axis.legend(frameon=False)
        return _drawn(figure)
    finally:
        plt.close(figure)


def bars(groups: Mapping[str, Mapping[str, float]], unit: str) -> np.ndarray:
    """Bars by group and label, on a logarithmic scale; uint8 [H, W, 3]."""
    import matplotlib

    matplotlib.use("Agg", force=False)
    import matplotlib.pyplot as plt
    from matplotlib.ticker import EngFormatter

    figure, axis = plt.subplots(figsize=(9, 4.6), layout="constrained")
    try:
        labels = list(next(iter(groups.values())))
        width = 0.8 / len(labels)
        for i, label in enumerate(labels):
            places = np.arange(len(groups)) + (i - (len(labels) - 1) / 2) * width
            values = [group[label] for group in groups.values()]
            drawn = axis.bar(places, values, width, color=COLORS[i], label=label)
            axis.bar_label(drawn, fmt=EngFormatter(places=2), padding=2, fontsize=8, rotation=90)
        axis.set_xticks(np.arange(len(groups)), list(groups), fontsize=8)
        axis.set_yscale("log")
        axis.set_ylim(top=10 * max(max(group.values()) for group in groups.values()))
        axis.set_ylabel(unit)
        axis.yaxis.set_major_formatter(EngFormatter())
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, ncols=len(labels))
        return _drawn(figure)
    finally:
        plt.close(figure)


def _drawn(figure) -> np.ndarray:
    figure.set_dpi(110)
    figure.canvas.draw()
    return np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()
