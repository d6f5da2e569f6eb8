"""Means, intervals and differences of several programs' numbers, as Markdown and CSV.

Differences are to the first program, over the same draws of contents and styles, so that what all
programs find hard does not widen them.
"""

import csv
import dataclasses
import io
import math
from collections.abc import Mapping, Sequence

import numpy as np

from din_jax.evaluation.intervals import LEVEL, CrossedBootstrap, Interval


@dataclasses.dataclass(frozen=True)
class Column:
    """A number of a table: its title, which way is better, and what it is in a sentence."""

    title: str
    better: str  # "lower", "higher", or "" where neither is
    meaning: str


COLUMNS = {
    "content_loss": Column("content", "lower", "MSE of VGG-19 features at relu4_1 to the content"),
    "style_loss": Column(
        "style", "lower", "MSE of channel means and deviations to the style, mean over relu1_1, "
        "2_1, 3_1, 4_1"
    ),
    "gram": Column("Gram", "lower", "MSE of Gram matrices to the style, mean over the same layers"),
    "cfsd": Column(
        "CFSD", "lower", "content feature structural distance at relu3_1, cosines of features"
    ),
    "ssim": Column("SSIM", "higher", "structural similarity to the content"),
    "patches": Column(
        "patches", "lower", "sliced Wasserstein distance of patches to the style, levels of 255"
    ),
    "checkerboard": Column(
        "checkerboard", "lower", "pattern locked to cells of 8 pixels, levels of 255"
    ),
    "lpips": Column(
        "LPIPS", "lower", "perceptual distance to the content, AlexNet's, version 0.1"
    ),
}  # fmt: skip
NO_LPIPS = "LPIPS is left out, for its published weights are not there (see --lpips)."
# Numbers of a program as a whole: attribute to title and, where one is better, which way.
WHOLE = {
    "fid": ("FID", "lower"),
    "artfid": ("ArtFID", "lower"),
    "seconds": ("s", ""),
    "megabytes": ("MB", ""),
}
FID = (
    "FID: Frechet distance of Inception features, of all painted pictures to the styles they were "
    "painted in; lower is closer. Of so few pictures it is far above what thousands give, and "
    "compares programs on the same pairs alone."
)
NO_FID = (
    "FID is left out, for its published weights are not there (see --inception) or there are fewer "
    "than two styles."
)
ARTFID = (
    "ArtFID: (1 + LPIPS) (1 + FID), of the features of an Inception network trained on paintings "
    "(Wright & Ommer 2022); lower is closer to both. Of few pictures it is as far off as FID."
)
NO_ARTFID = (
    "ArtFID is left out, for its published weights or those of LPIPS are not there (see "
    "--art-inception, --lpips), or there are fewer than two styles."
)


@dataclasses.dataclass(frozen=True)
class Program:
    """What was measured of one program.

    Attributes:
      name: in the table.
      numbers: by name [contents, styles], NaN where there is no picture.
      seconds, megabytes: of one picture, and what its program needs beside its arguments; NaN for
        pictures that came from elsewhere.
      fid, artfid: distance of its pictures to the styles, see `evaluation.frechet`; NaN if not
        measured.
    """

    name: str
    numbers: Mapping[str, np.ndarray]
    seconds: float = math.nan
    megabytes: float = math.nan
    fid: float = math.nan
    artfid: float = math.nan


@dataclasses.dataclass(frozen=True)
class Row:
    """A program's line: an interval for each column, and of the difference to the first one.

    `pairs` are those that all programs have; `contents` and `styles` of them are different.
    """

    program: Program
    pairs: int
    contents: int
    styles: int
    means: Mapping[str, Interval]
    differences: Mapping[str, Interval]


def summarize(programs: Sequence[Program], *, draws: int = 2000, seed: int = 0) -> list[Row]:
    """A row per program, over the pairs that all of them have.

    Raises:
      ValueError: there is no program, or no pair that all have.
    """
    if not programs:
        raise ValueError("A table needs at least one program.")
    names = [name for name in COLUMNS if any(name in x.numbers for x in programs)]
    shared = np.all([np.isfinite(x.numbers["content_loss"]) for x in programs], 0)
    if not shared.any():
        raise ValueError("A table needs a pair that all programs have painted.")
    counts = int(shared.sum()), int(shared.any(1).sum()), int(shared.any(0).sum())
    bootstrap = CrossedBootstrap(*shared.shape, draws=draws, seed=seed)
    first, rows = programs[0], []
    for program in programs:
        means, differences = {}, {}
        for name in names:
            values = np.where(shared, program.numbers[name], math.nan)
            means[name] = bootstrap.interval(values)
            if program is not first:
                differences[name] = bootstrap.interval(values - first.numbers[name])
        rows.append(Row(program, *counts, means, differences))
    return rows


def used_columns(rows: Sequence[Row]) -> list[str]:
    """The columns that have a number at all (SSIM has none without dm-pix)."""
    return [
        name for name in rows[0].means if any(math.isfinite(row.means[name].mean) for row in rows)
    ]


def used_whole(rows: Sequence[Row]) -> list[str]:
    """The names of `WHOLE` that any program has."""
    return [name for name in WHOLE if any(math.isfinite(_whole(row, name)) for row in rows)]


def _whole(row: Row, name: str) -> float:
    return getattr(row.program, name)


def text_of(x: Interval) -> str:
    """"1.23 (1.10-1.41)", or the mean alone where the interval is open."""
    if not math.isfinite(x.mean):
        return "-"
    if not math.isfinite(x.low):
        return _digits(x.mean)
    return f"{_digits(x.mean)} ({_digits(x.low)} to {_digits(x.high)})"


def _digits(x: float) -> str:
    return f"{x:.3g}" if abs(x) < 100 else f"{x:.0f}"


def markdown(rows: Sequence[Row], notes: Sequence[str] = ()) -> str:
    """Two tables, means and differences to the first program, and what the columns are."""
    names = used_columns(rows)
    whole = used_whole(rows)
    head = ["program", *(_title(name) for name in names), *(_title(name) for name in whole)]
    lines = _table(head, [[row.program.name, *cells_of(row, names, whole)] for row in rows])
    if len(rows) > 1:
        lines += ["", f"Difference to {rows[0].program.name}; bold: the interval is without 0.", ""]
        body = [
            [row.program.name, *(_marked(row.differences[name]) for name in names)]
            for row in rows[1:]
        ]
        lines += _table(head[: 1 + len(names)], body)
    lines += ["", *(f"- {text}" for text in (*legend(rows), *notes))]
    return "\n".join(lines) + "\n"


def cells_of(row: Row, names: Sequence[str], whole: Sequence[str]) -> list[str]:
    """The texts of a row, without its name."""
    cells = [text_of(row.means[name]) for name in names]
    return cells + [text_of(Interval(_whole(row, name))) for name in whole]


def legend(rows: Sequence[Row]) -> list[str]:
    """What the numbers are, one sentence each."""
    sentences = [
        f"{COLUMNS[name].title}: {COLUMNS[name].meaning}; {COLUMNS[name].better} is closer."
        for name in used_columns(rows)
    ]
    sentences.append(
        f"In parentheses: {100 * LEVEL:.0f} % intervals over other contents and styles of the kind "
        f"(crossed bootstrap of {rows[0].contents} contents and {rows[0].styles} styles, "
        f"{rows[0].pairs} pairs)."
    )
    if any(math.isfinite(row.program.seconds) for row in rows):
        sentences.append(
            "s, MB: time of a picture whose style is known, on this machine as it was then, and "
            "memory that its compiled program takes beside input and output."
        )
    sentences.append(FID if "fid" in used_whole(rows) else NO_FID)
    absent = [] if "lpips" in rows[0].means else [NO_LPIPS]
    return [*sentences, *absent, ARTFID if "artfid" in used_whole(rows) else NO_ARTFID]


def comma_separated(rows: Sequence[Row]) -> str:
    """One line per program and number: mean, interval, and those of the difference to the first."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    kinds = ("mean", "low", "high")
    writer.writerow(
        ["program", "number", "pairs", *kinds, *(f"difference_{x}" for x in kinds)]
    )
    for row in rows:
        for name in used_columns(rows):
            parts = row.means[name], row.differences.get(name, Interval(math.nan))
            values = [_plain(getattr(x, kind)) for x in parts for kind in kinds]
            writer.writerow([row.program.name, name, row.pairs, *values])
        for name in used_whole(rows):
            value = _whole(row, name)
            if math.isfinite(value):
                writer.writerow([row.program.name, name, row.pairs, _plain(value), *[""] * 5])
    return file.getvalue()


def pairs_of(programs: Sequence[Program], contents: Sequence[str], styles: Sequence[str]) -> str:
    """CSV with one line per program and pair."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    names = list(programs[0].numbers)
    writer.writerow(["program", "content", "style", *names])
    for program in programs:
        for i, content in enumerate(contents):
            for j, style in enumerate(styles):
                values = [_plain(program.numbers[name][i, j]) for name in names]
                writer.writerow([program.name, content, style, *values])
    return file.getvalue()


def _plain(x: float) -> str:
    return f"{x:.6g}" if math.isfinite(x) else ""


def _title(name: str) -> str:
    title, better = WHOLE.get(name) or (COLUMNS[name].title, COLUMNS[name].better)
    return title + {"lower": " ↓", "higher": " ↑", "": ""}[better]


def _marked(x: Interval) -> str:
    text = text_of(x)
    return f"**{text}**" if x.excludes_zero else text


def _table(head: Sequence[str], body: Sequence[Sequence[str]]) -> list[str]:
    rows = [head, ["---"] * len(head), *body]
    return ["| " + " | ".join(x.replace("|", "\\|") for x in row) + " |" for row in rows]
