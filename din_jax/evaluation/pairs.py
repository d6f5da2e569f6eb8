"""Every content in every style: reading, stylizing, measuring, writing; what `evaluate.py` does."""

import dataclasses
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from din_jax.config import SMALLEST_SIDE
from din_jax.data.decoding import decode_pil, list_images, load_image, save_image
from din_jax.data.inspection import name_bad
from din_jax.data.sheets import CELL, contact_sheet, thumbnail
from din_jax.errors import UserError
from din_jax.evaluation.judges import Projections, judge, patch_projections
from din_jax.evaluation.metrics import PairScore, PerceptualMetrics, spread_over_styles, write_csv
from din_jax.inference.engine import Engine, take_codes

MAX_STEM_BYTES = 100  # two stems and a suffix stay below the 255 bytes that file systems take


@dataclasses.dataclass(frozen=True)
class Named:
    """A picture with a name that no other of its side has, whatever the file system's case."""

    name: str
    image: np.ndarray


@dataclasses.dataclass(frozen=True)
class Report:
    """What a run over all pairs gave; `scores` is empty without metrics."""

    files: list[Path]
    scores: list[PairScore]
    spread: float
    sheet: Path


def find_images(path: str | Path, what: str) -> list[Path]:
    """The file itself, or all pictures below a folder.

    Raises:
      UserError: nothing is there.
    """
    path = Path(path).expanduser()
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UserError(f"there is no {what} '{path}'; give a picture or a folder of pictures.")
    found = list_images(path)
    if not found:
        raise UserError(f"the {what} folder '{path}' holds no pictures; give one that does.")
    return found


def read_images(
    paths: Sequence[Path],
    size: int = 0,
    warn: Callable[[str], None] | None = None,
    *,
    most: int | None = None,
) -> Iterator[Named]:
    """Pictures one by one, uint8 RGB, at their own size or resized to size x size squares.

    Squares are not cut out: the whole picture is resized (bicubic), as the published comparisons
    do. Bad files are skipped and named once, at the end, through `warn`. At most `most` are given.

    Raises:
      UserError: no file is a usable picture.
    """
    if size and size < SMALLEST_SIDE:
        raise UserError(f"the size must be at least {SMALLEST_SIDE} pixels, not {size}.")
    taken: set[str] = set()
    bad: list[tuple[Path, str]] = []
    for path in paths:
        if len(taken) == most:
            break
        try:
            image = read_square(path, size) if size else load_image(path)
        except UserError as error:
            bad.append((path, str(error)))
            continue
        yield Named(unique_name(path.stem, taken), image)
    if len(bad) == len(paths):
        what = f"none of {len(bad)} pictures is usable: {name_bad(bad)}."
        raise UserError(bad[0][1] if len(bad) == 1 else what)
    if bad and warn is not None:
        warn(f"warning: skipped {len(bad)} of {len(paths)} pictures: {name_bad(bad)}.")


def read_square(path: Path, size: int) -> np.ndarray:
    """The whole picture as a square, its aspect ratio not kept: uint8 [size, size, 3]."""
    image = decode_pil(path, min_side=2 * size)
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))


def square(image: np.ndarray, size: int) -> np.ndarray:
    """The picture resized to size x size (bicubic); itself for 0."""
    if not size or image.shape[:2] == (size, size):
        return image
    resized = Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(resized)


def unique_name(stem: str, taken: set[str]) -> str:
    """`stem`, cut to a bearable length and numbered if it is taken already; adds it to `taken`."""
    stem = stem.encode()[:MAX_STEM_BYTES].decode(errors="ignore")
    name, number = stem, 1
    while name.casefold() in taken:
        number += 1
        name = f"{stem}-{number}"
    taken.add(name.casefold())
    return name


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
) -> Report:
    """Stylizes all pairs into `output` and draws them on `contact_sheet.png`.

    Files are `CONTENT--STYLE.png`, the stems numbered where they collide. With `metrics` the
    losses of each pair go into `metrics.csv`. Contents are read one at a time, so their number is
    not limited by memory; styles and their codes are all held.

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

    Raises:
      UserError: no usable content or style.
    """
    output = Path(output)
    warnings: list[str] = []
    # What the model sees of a style is what its losses are measured against, and is drawn.
    painted = [
        Named(style.name, engine.prepare_style(style.image))
        for style in read_images(styles, size, warnings.append)
    ]
    code = engine.encode_style([read_by(engine, style) for style in painted])
    measured = [square(x.image, measure_size) for x in painted] if metrics else []
    targets = metrics.style_targets(measured) if metrics else []
    patches = [patch_projections(x) for x in measured]
    taken: set[str] = set()
    files, scores, spreads, rows, shown = [], [], [], [], []
    bar = tqdm(
        total=len(contents) * len(painted), desc="pairs", unit="pair", disable=None, leave=False
    )
    with bar:
        for content in read_images(contents, size, warnings.append):
            images, outside = _all_styles(engine, content.image, code, len(painted), bar)
            for style, image in zip(painted, images, strict=True):
                name = unique_name_pair(content.name, style.name, taken)
                files.append(save_image(output / f"{name}{suffix}", image))
            spreads.append(spread_over_styles(images))
            if metrics is not None:
                squares = [square(x, measure_size) for x in images]
                shown_to = Named(content.name, square(content.image, measure_size))
                scores += _scores(metrics, shown_to, painted, targets, patches, squares, outside)
            if len(rows) < limit:
                rows.append([thumbnail(image) for image in images[:limit]])
                shown.append(thumbnail(content.image))
    for line in warnings:
        print(line, file=sys.stderr)
    top = [style.image for style in painted[:limit]]
    sheet = save_image(output / "contact_sheet.png", contact_sheet(shown, top, rows, cell=CELL))
    spread = float(np.mean(spreads)) if len(painted) > 1 else math.nan
    if metrics is not None:
        write_csv(output / "metrics.csv", scores, spread)
    return Report(files, scores, spread, sheet)


def read_by(engine: Engine, style: Named) -> np.ndarray | str:
    """What the engine encodes of a style: its picture, or its name where the model knows it."""
    return style.name if engine.styles else style.image


def unique_name_pair(content: str, style: str, taken: set[str]) -> str:
    """`CONTENT--STYLE`, numbered where stems that hold "--" themselves make two pairs alike."""
    name, number = f"{content}--{style}", 1
    while name.casefold() in taken:
        number += 1
        name = f"{content}--{style}-{number}"
    taken.add(name.casefold())
    return name


def _all_styles(
    engine: Engine, content: np.ndarray, code, count: int, bar: tqdm
) -> tuple[list[np.ndarray], np.ndarray]:
    """One content in all styles, batch by batch so that the progress bar moves."""
    images, outside = [], []
    for start in range(0, count, engine.batch):
        chosen = range(start, min(start + engine.batch, count))
        painted, shares = engine.stylize_measured([content] * len(chosen), take_codes(code, chosen))
        images += painted
        outside.append(shares)
        bar.update(len(chosen))
    return images, np.concatenate(outside)


def _scores(
    metrics: PerceptualMetrics,
    content: Named,
    styles: Sequence[Named],
    style_targets: Sequence,
    style_patches: Sequence[Projections],
    images: Sequence[np.ndarray],
    outside: np.ndarray,
) -> list[PairScore]:
    target = metrics.content_targets([content.image])[0]
    losses = metrics.losses(images, [target] * len(images), style_targets)
    return [
        PairScore(
            content.name, style.name, *pair, float(share), *judge(image, content.image, patches)
        )
        for style, pair, share, image, patches in zip(
            styles, losses, outside, images, style_patches, strict=True
        )
    ]
