"""Every content in every style: reading, stylizing, measuring, writing; what `evaluate.py` does."""

import dataclasses
import hashlib
import itertools
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from din_jax.data.decoding import load_image
from din_jax.data.inputs import pair_names
from din_jax.data.inspection import name_listed
from din_jax.data.outputs import Outputs, digest, stamp
from din_jax.data.saving import encode_picture
from din_jax.data.sheets import CELL, contact_sheet, thumbnail
from din_jax.errors import UserError
from din_jax.evaluation.judges import Judged, judge, patch_projections
from din_jax.evaluation.metrics import PairScore, PerceptualMetrics, csv_of, spread_over_styles
from din_jax.evaluation.pictures import (
    Named,
    check_square,
    names_of,
    read_images,
    read_picture,
    square,
    tell_bad,
)
from din_jax.inference.engine import Engine, take_codes

SHEET, TABLE = "contact_sheet.png", "metrics.csv"
LOSSES = ("content_loss", "style_loss")


@dataclasses.dataclass(frozen=True)
class Report:
    """What a run over all pairs gave; `scores` is empty without metrics.

    `kept` of the files were there already, made of the same pictures and settings.
    """

    files: list[Path]
    scores: list[PairScore]
    spread: float
    sheet: Path
    kept: int


@dataclasses.dataclass(frozen=True)
class _Pair:
    """A file of the output folder, and `digest` of all that it is made of."""

    style: Named
    file: str
    made_of: str


def evaluate_pairs(
    engine: Engine,
    contents: Sequence[Path],
    styles: Sequence[Path],
    output: str | Path,
    *,
    metrics: PerceptualMetrics | None = None,
    size: int = 0,
    measure_size: int = 0,
    suffix: str = ".png",
    limit: int = 16,
    made_by: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Report:
    """Stylizes all pairs into `output` and draws them on `contact_sheet.png`.

    Files are `CONTENT--STYLE.png`, the stems numbered where they collide. With `metrics` the
    losses of each pair go into `metrics.csv`. Contents are read one at a time, so their number is
    not limited by memory; styles and their codes are all held.

    Pairs that an earlier call left in `output` are not painted again as long as their content,
    their style, `size`, `suffix` and `made_by` are the same; what was measured of them is kept with
    them. (The spread of kept JPEG pictures is that of the files.)

    Args:
      engine: the model.
      contents: files.
      styles: files.
      output: folder, made if need be.
      metrics: measures each pair; None measures nothing.
      size: 0 keeps the pictures' own sizes; else all become size x size squares.
      measure_size: side of the squares that all three pictures of a pair are resized to before they
        are measured, so that what was painted at different sizes compares; 0 measures as painted.
      suffix: ".png" or ".jpg".
      limit: most rows and most columns of the contact sheet.
      made_by: what else decides what a picture looks like: the model, its settings.
      overwrite: paint every pair anew, and replace files of others.

    Raises:
      UserError: no usable content or style, or the folder has a file of that name that no command
        wrote.
    """
    for side in (size, measure_size):
        check_square(side)
    warnings: list[str] = []
    # What the model sees of a style is what its losses are measured against, and is drawn.
    painted = [
        dataclasses.replace(style, image=engine.prepare_style(style.image))
        for style in read_images(styles, size, warnings.append)
    ]
    keys = [_key(style) for style in painted]
    files = pair_names(names_of(contents), [style.name for style in painted])
    with Outputs(output) as outputs:
        files = [[f"{name}{suffix}" for name in row] for row in files]
        names = [*itertools.chain.from_iterable(files), SHEET]
        names += [] if metrics is None else [TABLE]
        if not overwrite:
            _refuse_foreign(outputs, names)
        outputs.claim(names)
        work = _Work(engine, outputs, painted, metrics, measure_size, overwrite)
        bar = tqdm(
            total=len(contents) * len(painted), desc="pairs", unit="pair", disable=None, leave=False
        )
        bad, rows, shown = [], [], []
        with bar:
            for path, name, row in zip(contents, names_of(contents), files, strict=True):
                try:
                    content = Named(name, read_picture(path, size))
                except UserError as error:
                    bad.append((path, str(error)))
                    continue
                settings = {"content": stamp(path), "size": size, **(made_by or {})}
                pairs = [
                    _Pair(style, file, digest(style=key, **settings))
                    for style, key, file in zip(painted, keys, row, strict=True)
                ]
                images = work.row(content, pairs, bar)
                if len(rows) < limit:
                    rows.append([thumbnail(image) for image in images[:limit]])
                    shown.append(thumbnail(content.image))
        tell_bad(bad, len(contents), warnings.append)
        for line in warnings:
            print(line, file=sys.stderr)
        top = [style.image for style in painted[:limit]]
        picture = encode_picture(contact_sheet(shown, top, rows, cell=CELL), ".png")
        sheet = outputs.write(SHEET, "", picture)
        spread = float(np.mean(work.spreads)) if len(painted) > 1 else math.nan
        if metrics is not None:
            outputs.write(TABLE, "", csv_of(work.scores, spread).encode())
    return Report(work.files, work.scores, spread, sheet, work.kept)


class _Work:
    """The rows of an evaluation: what is there is kept, what is missing is painted and measured."""

    def __init__(
        self,
        engine: Engine,
        outputs: Outputs,
        painted: Sequence[Named],
        metrics: PerceptualMetrics | None,
        measure_size: int,
        overwrite: bool,
    ):
        self.engine, self.outputs, self.overwrite = engine, outputs, overwrite
        self.metrics, self.measure_size = metrics, measure_size
        self.measured_by = metrics and [metrics.fingerprint, measure_size, *Judged._fields]
        self.code = engine.encode_style([read_by(engine, style) for style in painted])
        measured = [square(style.image, measure_size) for style in painted] if metrics else []
        self.targets = metrics and metrics.style_targets(measured)
        self.patches = [patch_projections(image) for image in measured]
        self.files: list[Path] = []
        self.scores: list[PairScore] = []
        self.spreads: list[float] = []
        self.kept = 0

    def row(self, content: Named, pairs: Sequence[_Pair], bar: tqdm) -> list[np.ndarray]:
        """One content in all styles: the pictures, written and measured."""
        facts = {i: self._facts_of(pair) for i, pair in enumerate(pairs)}
        missing = [i for i in facts if facts[i] is None]
        kept = facts.keys() - set(missing)
        images = {i: load_image(self.outputs.folder / pairs[i].file) for i in kept}
        bar.update(len(images))
        self.kept += len(images)
        for indices, pictures, shares in self._painted(content, missing, bar):
            images |= dict(zip(indices, pictures, strict=True))
            facts |= {i: {"outside": float(x)} for i, x in zip(indices, shares, strict=True)}
        if self.metrics is not None and missing:
            found = self._measured(content, [images[i] for i in missing], missing)
            for i, (losses, judged) in zip(missing, found, strict=True):
                facts[i] |= {"losses": losses, "judged": judged, "measured_by": self.measured_by}
        for i in missing:
            data = encode_picture(images[i], Path(pairs[i].file).suffix)
            self.outputs.write(pairs[i].file, pairs[i].made_of, data, facts[i])
        self.files += [self.outputs.folder / pair.file for pair in pairs]
        if self.metrics is not None:
            self.scores += [
                PairScore(
                    content.name, pair.style.name, *facts[i]["losses"], facts[i]["outside"],
                    *facts[i]["judged"],
                )
                for i, pair in enumerate(pairs)
            ]
        ordered = [images[i] for i in range(len(pairs))]
        self.spreads.append(spread_over_styles(ordered))
        return ordered

    def _facts_of(self, pair: _Pair) -> dict | None:
        """What is known of a pair's picture; None if it is missing, or not measured."""
        if self.overwrite or self.outputs.standing(pair.file, pair.made_of) != "done":
            return None
        facts = dict(self.outputs.facts(pair.file))
        measured = self.metrics is None or facts.get("measured_by") == self.measured_by
        return facts if measured else None

    def _painted(self, content: Named, missing: Sequence[int], bar: tqdm) -> Iterator[tuple]:
        """(numbers of styles, pictures, clipped shares), batch by batch, so that the bar moves."""
        for start in range(0, len(missing), self.engine.batch):
            chosen = missing[start : start + self.engine.batch]
            code = take_codes(self.code, chosen)
            yield chosen, *self.engine.stylize_measured([content.image] * len(chosen), code)
            bar.update(len(chosen))

    def _measured(
        self, content: Named, images: Sequence[np.ndarray], styles: Sequence[int]
    ) -> Iterator[tuple[list[float], list[float]]]:
        """(losses, what the judges say) of pictures of a content in some styles."""
        own, *images = (square(x, self.measure_size) for x in (content.image, *images))
        target = self.metrics.content_targets([own])[0]
        targets = [self.targets[i] for i in styles]
        losses = self.metrics.losses(images, [target] * len(images), targets)
        for i, image, pair in zip(styles, images, losses, strict=True):
            yield list(pair), list(judge(image, own, self.patches[i]))


def read_by(engine: Engine, style: Named) -> np.ndarray | str:
    """What the engine encodes of a style: its picture, or, of a known one, its file's name."""
    return (style.stem or style.name) if engine.styles else style.image


def _key(style: Named) -> list:
    return [style.name, hashlib.sha256(style.image.tobytes()).hexdigest(), *style.image.shape]


def _refuse_foreign(outputs: Outputs, names: Sequence[str]):
    foreign = [name for name in names if outputs.standing(name, "") == "foreign"]
    if foreign:
        found = name_listed([outputs.folder / name for name in foreign])
        raise UserError(
            f"{found} would be written over, but no evaluation wrote what is there now; choose "
            "another --output, or replace it with --overwrite."
        )
