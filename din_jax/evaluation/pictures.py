"""Pictures of a command line, each with a name of its own; bad files are skipped and told once."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from din_jax.config_rules import SMALLEST_SIDE
from din_jax.data.decoding import MAX_PIXELS, decode_pil, load_image
from din_jax.data.inputs import find_inputs, safe_stem, unique_names
from din_jax.data.inspection import name_bad
from din_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Named:
    """A picture with a name that no other of its side has, whatever the file system's case.

    `stem` is what its file is called, by which models know their styles; "" if it has no file.
    """

    name: str
    image: np.ndarray
    stem: str = ""


def find_images(path: str | Path, what: str) -> list[Path]:
    """The file itself, or all pictures below a folder.

    Raises:
      UserError: nothing is there.
    """
    return [Path(source.path) for source in find_inputs([path], what)]


def names_of(paths: Sequence[Path]) -> list[str]:
    """The files' stems, cut to a bearable length and numbered where they collide."""
    return unique_names(safe_stem(path.stem) for path in paths)


def read_images(
    paths: Sequence[Path],
    size: int = 0,
    warn: Callable[[str], None] | None = None,
    *,
    most: int | None = None,
) -> Iterator[Named]:
    """Pictures one by one, uint8 RGB, at their own size or resized to size x size squares.

    Bad files are skipped and named once, at the end, through `warn`. At most `most` are given.

    Raises:
      UserError: no file is a usable picture.
    """
    check_square(size)
    bad: list[tuple[Path, str]] = []
    given = 0
    for path, name in zip(paths, names_of(paths), strict=True):
        if given == most:
            break
        try:
            image = read_picture(path, size)
        except UserError as error:
            bad.append((path, str(error)))
            continue
        given += 1
        yield Named(name, image, path.stem)
    tell_bad(bad, len(paths), warn)


def read_picture(path: Path, size: int = 0) -> np.ndarray:
    """A picture, uint8 RGB, at its own size (0) or as a size x size square.

    Squares are not cut out: the whole picture is resized (bicubic), as the published comparisons
    do.
    """
    if not size:
        return load_image(path)
    image = decode_pil(path, min_side=2 * size)
    return np.asarray(image.resize((size, size), Image.Resampling.BICUBIC))


def square(image: np.ndarray, size: int) -> np.ndarray:
    """The whole picture resized to size x size (bicubic); itself for 0."""
    if not size or image.shape[:2] == (size, size):
        return image
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))


def check_square(size: int):
    """Raises UserError for squares of a side, in pixels, that is no good; 0 means no squares."""
    largest = math.isqrt(MAX_PIXELS)
    if size and not SMALLEST_SIDE <= size <= largest:
        raise UserError(f"the size must be {SMALLEST_SIDE} to {largest} pixels, not {size}.")


def tell_bad(
    bad: Sequence[tuple[Path, str]], count: int, warn: Callable[[str], None] | None = None
):
    """Names the bad of `count` files through `warn`.

    Raises:
      UserError: all are bad.
    """
    if len(bad) == count:
        what = f"none of {len(bad)} pictures is usable: {name_bad(bad)}."
        raise UserError(bad[0][1] if len(bad) == 1 else what)
    if bad and warn is not None:
        warn(f"warning: skipped {len(bad)} of {count} pictures: {name_bad(bad)}.")
