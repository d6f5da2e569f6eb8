"""Paints one sheet of every control, on drawn pictures, with the model that comes with the program.

    din-jax controls --output controls.jpg

Strength, interpolation of four styles, masks with soft edges, color preservation, style scale,
strength by level, a tile that repeats without a seam, and styles as the nets read them beside the
codes that the bank has of them, which are tuned (`din-jax bank`).
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from din_jax.command_line import Parser, require_new
from din_jax.data.saving import FORMATS
from din_jax.errors import UserError, exit_status, loading
from din_jax.memory import keep_freed_memory

GAP, PAPER, INK = 6, 255, 40  # pixels; gray levels
TITLE, CAPTION = 17, 12  # pixels of letters


class Section(NamedTuple):
    """A control: its title, and rows of pictures with their captions."""

    title: str
    rows: Sequence[Sequence[tuple[np.ndarray, str]]]
    cell: float = 1.0  # side of a picture, in those of the sheet


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(__doc__, prog="din-jax controls")
    parser.add_argument("--output", default="runs/controls.jpg", help="picture to write")
    parser.add_argument("--overwrite", action="store_true", help="replace it if it is there")
    parser.add_argument("--model", default="din_portable", help="name, file or run directory")
    parser.add_argument("--size", type=int, default=256, help="px, side of the pictures painted")
    parser.add_argument("--cell", type=int, default=150, help="px, side of a picture on the sheet")
    return parser.parse_args(arguments)


def run(flags: argparse.Namespace) -> None:
    require_new(flags.output, flags.overwrite, tuple(FORMATS))
    keep_freed_memory()
    with loading():
        from din_jax.data import save_image
        from din_jax.inference.cache import keep_programs
        from din_jax.inference.stylizer import Stylizer

    keep_programs()
    if flags.size < 64 or flags.cell < 32:
        raise UserError("--size must be at least 64 px and --cell at least 32.")
    stylizer = Stylizer.load(flags.model, batch=1)
    sheet = draw_sheet(list(sections(stylizer, flags.size)), flags.cell)
    print(save_image(Path(flags.output), sheet, quality=80))


def sections(stylizer, size: int) -> Iterator[Section]:
    """Each control at work on drawn pictures of `size` px."""
    from din_jax.data.drawn.synthetic import FAMILIES, SyntheticContent, SyntheticStyle

    contents, styles = SyntheticContent(12, 3, size), SyntheticStyle(26, 0, 512)
    landscape, portrait = contents[0], contents[1]
    glass, waves, mosaic, strokes = (styles[i] for i in (2, 3, 8, 0))
    paint = stylizer.stylize

    strengths = (0, 0.25, 0.5, 0.75, 1)
    row = [(paint(portrait, glass, strength=a), f"strength {a:g}") for a in strengths]
    yield Section("Strength", [[(portrait, "content"), (glass, "style"), *row]])

    corners = stylizer.encode_style([glass, waves, mosaic, strokes])
    rows = []
    for y in (0, 1 / 3, 2 / 3, 1):
        mixed = []
        for x in (0, 1 / 3, 2 / 3, 1):
            weights = [(1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x]
            caption = ", ".join(f"{round(100 * w)}" for w in weights) + " %"
            mixed.append((paint(landscape, _apart(corners), weights=weights), caption))
        rows.append([mixed[0], mixed[1], mixed[2], mixed[3]])
    for i, pair in ((0, (glass, waves)), (3, (mosaic, strokes))):
        rows[i] = [(pair[0], "style"), *rows[i], (pair[1], "style")]
    blank = np.full((size, size, 3), PAPER, np.uint8)
    for i in (1, 2):
        rows[i] = [(blank, ""), *rows[i]]
    yield Section("Interpolation of four styles", rows, 0.8)

    y, x = (np.mgrid[:size, :size] + 0.5) / size
    ramp = np.clip(2 * x - 0.5, 0, 1)
    disk = (np.hypot(x - 0.5, y - 0.45) < 0.3).astype(np.float64)
    soft = size / 24
    yield Section("Masks with soft edges", [[
        (_gray(ramp), "mask of the first"),
        (paint(landscape, [mosaic, waves], masks=[ramp]), "the second takes the rest"),
        (_gray(disk), "mask"),
        (paint(portrait, [strokes, glass], masks=[disk]), "hard edge"),
        (paint(portrait, [strokes, glass], masks=[disk], feather=soft), f"feather {soft:.0f} px"),
        (paint(portrait, [glass], masks=[1 - disk], feather=soft), "one style, rest the content"),
    ]])  # fmt: skip

    rows = []
    for content, style in ((landscape, strokes), (portrait, waves)):
        kept = [(paint(content, style, color=c), c) for c in ("style", "luminance", "match")]
        rows.append([(content, "content"), (style, "style"), *kept])
    yield Section("Color", rows)

    scales = (64, 128, 256, 512)
    row = [(paint(landscape, mosaic, scale=s), f"scale {s} px") for s in scales]
    yield Section("Style scale", [[(landscape, "content"), (mosaic, "style"), *row]])

    row = []
    for alone in stylizer.levels:
        levels = {name: float(name == alone) for name in stylizer.levels}
        row.append((paint(landscape, glass, levels=levels), f"{alone} alone"))
    row.append((paint(landscape, glass), "all levels"))
    yield Section("Strength by level", [[(landscape, "content"), (glass, "style"), *row]])

    tile = pebbles(size)
    row = [(tile, "content, repeats")]
    for seamless in (False, True):
        painted = paint(tile, waves, seamless=seamless)
        row.append((np.tile(painted, (2, 2, 1)), "2 x 2, seamless" if seamless else "2 x 2, plain"))
    yield Section("Seamless", [row], 1.6)

    rows = []
    for i, style in ((8, mosaic), (11, styles[11]), (12, styles[12])):
        name = FAMILIES[i].__name__
        if name in stylizer.styles:
            row = [(style, "style")]
            for content in (landscape, portrait):
                row += [
                    (paint(content, style), "its picture, read"),
                    (paint(content, name), "tuned"),
                ]
            rows.append(row)
    if rows:
        yield Section("Styles of the bank", rows)


def pebbles(size: int) -> np.ndarray:
    """A drawn texture that repeats: cells around points on a torus, uint8 [size, size, 3]."""
    rng = np.random.default_rng(5)
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    colors = rng.uniform(60, 220, (40, 3))
    nearest, owner = np.full((size, size), np.inf), np.zeros((size, size), int)
    second = nearest.copy()
    for i, (cy, cx) in enumerate(rng.random((40, 2))):
        dy, dx = (np.abs(a - b) for a, b in ((y, cy), (x, cx)))
        distance = np.hypot(np.minimum(dy, 1 - dy), np.minimum(dx, 1 - dx))
        second = np.minimum(second, np.maximum(nearest, distance))
        owner[distance < nearest] = i
        nearest = np.minimum(nearest, distance)
    light = np.clip((second - nearest) * 16, 0.2, 1) * (1.2 - 2 * nearest)
    return np.clip(colors[owner] * light[..., None], 0, 255).astype(np.uint8)


def draw_sheet(parts: Sequence[Section], cell: int) -> np.ndarray:
    """The sections below each other on white paper, uint8 [H, W, 3]."""
    width = max(
        GAP + len(row) * (round(part.cell * cell) + GAP) for part in parts for row in part.rows
    )
    blocks = [_block(part, round(part.cell * cell), width) for part in parts]
    return np.concatenate(blocks)


def _block(part: Section, side: int, width: int) -> np.ndarray:
    step = side + CAPTION + GAP + 4
    image = Image.new("RGB", (width, TITLE + 3 * GAP + step * len(part.rows)), (PAPER,) * 3)
    draw = ImageDraw.Draw(image)
    draw.text((GAP, GAP), part.title, (INK,) * 3, ImageFont.load_default(TITLE))
    font = ImageFont.load_default(CAPTION)
    for i, row in enumerate(part.rows):
        top = TITLE + 2 * GAP + i * step
        for j, (picture, caption) in enumerate(row):
            left = GAP + j * (side + GAP)
            small = Image.fromarray(picture).resize((side, side), Image.Resampling.LANCZOS)
            image.paste(small, (left, top))
            draw.text((left, top + side + 1), caption, (INK,) * 3, font)
    return np.asarray(image)


def _gray(mask: np.ndarray) -> np.ndarray:
    return np.repeat(np.rint(255 * mask).astype(np.uint8)[..., None], 3, -1)


def _apart(code) -> list:
    """Several styles' codes, one by one."""
    from din_jax.inference.codes import code_count, take_codes

    return [take_codes(code, [i]) for i in range(code_count(code))]


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    return exit_status(lambda: run(parse(arguments)))


if __name__ == "__main__":
    sys.exit(main())
