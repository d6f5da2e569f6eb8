"""What a figure says: the paper's sentence, what was found of it, and on what budget.

    confirmed      the difference that the sentence claims is there, and its interval without zero
    not confirmed  the interval lies on the other side
    undecided      the interval holds zero; or features were random, where only VGG-19 decides

A verdict is of the budget that it names: a short training says nothing of a day's.
"""

import csv
import dataclasses
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from din_jax.data.saving import encode_picture
from din_jax.evaluation.intervals import Interval
from din_jax.files import write_atomically

CONFIRMED, NOT_CONFIRMED, UNDECIDED = "confirmed", "not confirmed", "undecided"


@dataclasses.dataclass(frozen=True)
class Claim:
    """A sentence of a paper, quoted or in our words, and where it stands."""

    text: str
    source: str
    quoted: bool = False


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What was found of a claim, and why."""

    claim: Claim
    found: str
    reason: str
    budget: str

    def text(self) -> str:
        """One paragraph of Markdown."""
        mark = '"' if self.claim.quoted else ""
        return (
            f"> {mark}{self.claim.text}{mark} ({self.claim.source}"
            f"{'' if self.claim.quoted else ', in our words'})\n\n"
            f"**{self.found}**: {self.reason} Tried with {self.budget}."
        )


@dataclasses.dataclass(frozen=True)
class Result:
    """What a figure writes.

    Attributes:
      title: of the figure.
      verdicts: one or several.
      numbers: rows of equal keys, for CSV and JSON.
      picture: uint8 [H, W, 3], or None where `write` finds it in the folder already.
      notes: sentences about the measuring.
    """

    title: str
    verdicts: Sequence[Verdict]
    numbers: Sequence[Mapping[str, Any]]
    picture: np.ndarray | None = None
    notes: Sequence[str] = ()


def judge(
    claim: Claim, difference: Interval, what: str, budget: str, *, decisive: bool = True,
    reason: str = "",
) -> Verdict:  # fmt: skip
    """The verdict on a claim that some difference is above zero.

    Args:
      claim: the sentence.
      difference: positive where the claim holds.
      what: the difference in words.
      budget: what was spent, in words.
      decisive: False for random features: then the numbers lean, and decide nothing.
      reason: sentences to add.
    """
    leaning = UNDECIDED
    if difference.low > 0:
        leaning = CONFIRMED
    elif difference.high < 0:
        leaning = NOT_CONFIRMED
    return _verdict(claim, leaning, f"{what} is {_told(difference)}. {reason}", budget, decisive)


def judge_alike(
    claim: Claim, difference: Interval, margin: float, what: str, budget: str, *,
    decisive: bool = True,
) -> Verdict:  # fmt: skip
    """The verdict on a claim that two things differ by less than `margin`, either way."""
    leaning = UNDECIDED
    if max(abs(difference.low), abs(difference.high)) < margin:  # never of NaN
        leaning = CONFIRMED
    elif max(difference.low, -difference.high) > margin:
        leaning = NOT_CONFIRMED
    text = f"{what} is {_told(difference)}; less than {margin:.3g} counts as alike."
    return _verdict(claim, leaning, text, budget, decisive)


def _told(x: Interval) -> str:
    if not math.isfinite(x.low):
        return f"{x.mean:.3g}"
    return f"{x.mean:.3g} (95 %: {x.low:.3g} to {x.high:.3g})"


def _verdict(claim: Claim, leaning: str, text: str, budget: str, decisive: bool) -> Verdict:
    if not decisive:
        lean = "lean neither way" if leaning == UNDECIDED else f"lean to '{leaning}'"
        text = (
            f"{text.strip()} The features were seeded and random: the numbers {lean}, but only "
            "VGG-19 decides."
        )
    return Verdict(claim, leaning if decisive else UNDECIDED, text.strip(), budget)


def over_seeds(values: Sequence[float], level: float = 0.95) -> Interval:
    """Student's interval of the mean of independent values, one per seed; open for a single one."""
    x = np.asarray(values, float)
    if len(x) < 2:
        return Interval(float(x.mean()))
    half = stats.t.ppf((1 + level) / 2, len(x) - 1) * x.std(ddof=1) / math.sqrt(len(x))
    return Interval(float(x.mean()), float(x.mean() - half), float(x.mean() + half))


def names_of(figure: str) -> list[str]:
    """The files that `write` makes."""
    return [f"{figure}.{suffix}" for suffix in ("png", "json", "csv", "md")]


def write(folder: Path, figure: str, result: Result) -> list[Path]:
    """Writes picture, numbers (JSON and CSV) and findings (Markdown) of a figure; their paths."""
    picture, table, lines, text = (folder / name for name in names_of(figure))
    if result.picture is not None:
        write_atomically(picture, encode_picture(result.picture, ".png"))
    found = {
        "figure": figure,
        "title": result.title,
        "verdicts": [dataclasses.asdict(x) for x in result.verdicts],
        "numbers": [dict(row) for row in result.numbers],
        "notes": list(result.notes),
    }
    write_atomically(table, json.dumps(_plain(found), indent=1) + "\n")
    write_atomically(lines, _csv(result.numbers))
    write_atomically(text, _markdown(figure, result))
    return [path for path in (picture, table, lines, text) if path.is_file()]


def _plain(x: Any) -> Any:
    """What JSON holds: no NaN, no NumPy."""
    if isinstance(x, Mapping):
        return {str(key): _plain(value) for key, value in x.items()}
    if isinstance(x, list | tuple):
        return [_plain(value) for value in x]
    if isinstance(x, np.generic):
        x = x.item()
    if isinstance(x, float):
        return float(f"{x:.6g}") if math.isfinite(x) else None
    return x


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows([{k: "" if v is None else v for k, v in _plain(row).items()} for row in rows])
    return file.getvalue()


def _markdown(figure: str, result: Result) -> str:
    head = list(result.numbers[0])
    rows = [head, ["---"] * len(head)]
    rows += [[_cell(row[name]) for name in head] for row in result.numbers]
    parts = [f"# {result.title}", *(x.text() for x in result.verdicts)]
    parts.append(f"![{figure}]({figure}.png)")
    parts.append("\n".join("| " + " | ".join(row) + " |" for row in rows))
    parts.append("\n".join(f"- {note}" for note in result.notes))
    return "\n\n".join(part for part in parts if part) + "\n"


def _cell(x: Any) -> str:
    if isinstance(x, float | np.floating):
        return f"{x:.4g}" if math.isfinite(x) else "-"
    return str(x)
