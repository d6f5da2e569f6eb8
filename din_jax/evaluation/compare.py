"""Several trained models on the same pairs, side by side on one sheet.

python -m din_jax.evaluation.compare runs/k1 runs/k3 runs/spatial \\
    --content photos --style paintings --output comparison.png

Rows are pairs: the n-th content in the n-th style, the shorter list repeated. Columns are content,
style, then one per model under its name; `--names` writes the names of content and style instead of
showing them, for pictures that may not be passed on. With `--metrics` a table gives each model's
mean losses over these pairs.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from din_jax.command_line import Parser, check_least, require_new
from din_jax.config import STYLE_LAYERS
from din_jax.data.decoding import save_image
from din_jax.data.sheets import CELL, image_grid
from din_jax.errors import UserError, exit_status
from din_jax.evaluation.curves import run_labels
from din_jax.evaluation.metrics import PairScore, PerceptualMetrics, totals
from din_jax.evaluation.pairs import read_by
from din_jax.evaluation.pictures import Named, find_images, read_images
from din_jax.inference.engine import Engine
from din_jax.memory import keep_freed_memory
from din_jax.weights import vgg19_of
from din_jax.weights.models import load_model

HEADING = 18  # pixels, height of a heading


def heading(*lines: str, width: int = CELL) -> np.ndarray:
    """Black text on white, uint8 [HEADING * lines, width, 3], cut where it is too long."""
    image = Image.new("RGB", (width, HEADING * len(lines)), "white")
    font = ImageFont.load_default(size=HEADING - 5)
    for i, text in enumerate(lines):
        place = width / 2, HEADING * (i + 0.5)
        ImageDraw.Draw(image).text(place, text, "black", font, anchor="mm")
    return np.asarray(image)


def paired(contents: Sequence[Named], styles: Sequence[Named]) -> list[tuple[Named, Named]]:
    """The n-th content with the n-th style, the shorter list repeated."""
    count = max(len(contents), len(styles))
    return [(contents[i % len(contents)], styles[i % len(styles)]) for i in range(count)]


def paint(engine: Engine, pairs: Sequence[tuple[Named, Named]]) -> list[np.ndarray]:
    """Every pair's picture, uint8 of the content's size."""
    code = engine.encode_style([read_by(engine, style) for _, style in pairs])
    return engine.stylize([content.image for content, _ in pairs], code)


def score(
    engine: Engine,
    pairs: Sequence[tuple[Named, Named]],
    pictures: Sequence[np.ndarray],
    metrics: PerceptualMetrics,
) -> dict[str, float]:
    """Mean losses over the pairs; style losses are against what the model saw of the style."""
    contents = metrics.content_targets([content.image for content, _ in pairs])
    styles = metrics.style_targets([engine.prepare_style(style.image) for _, style in pairs])
    losses = metrics.losses(pictures, contents, styles)
    return totals(
        [
            PairScore(content.name, style.name, *loss, 0.0)
            for (content, style), loss in zip(pairs, losses, strict=True)
        ]
    )


def run(flags: argparse.Namespace):
    check_least(flags, limit=1, size=0)
    keep_freed_memory()
    if Path(flags.output).suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise UserError(f"--output must end in .png or .jpg, not '{flags.output}'.")
    require_new(flags.output, flags.overwrite)
    contents, styles = (
        list(read_images(find_images(path, kind), flags.size, warn, most=flags.limit))
        for path, kind in ((flags.content, "content"), (flags.style, "style"))
    )
    pairs = paired(contents, styles)[: flags.limit]
    if flags.names:
        titles = [""]
        columns = [[heading(content.name, "in", style.name) for content, style in pairs]]
    else:
        titles = ["content", "style"]
        columns = [[pair[side].image for pair in pairs] for side in (0, 1)]
    labels = run_labels(flags.runs)
    width = max(map(len, labels))
    for label, where in zip(labels, flags.runs, strict=True):
        loaded = load_model(where, vgg=flags.vgg)
        engine = Engine(loaded, batch=1, style_size=flags.size or None)
        pictures = paint(engine, pairs)
        columns.append(pictures)
        line = f"{label:{width}}  step {loaded.step}"
        if flags.metrics:
            vgg = loaded.vgg or vgg19_of(loaded.config, STYLE_LAYERS, flags.vgg)
            means = score(engine, pairs, pictures, PerceptualMetrics(vgg, batch=1))
            line += f"  content {means['content_loss']:.3f}  style {means['style_loss']:.3f}"
        print(line, flush=True)
    rows = [[heading(text) for text in (*titles, *labels)], *zip(*columns, strict=True)]
    print(save_image(Path(flags.output), image_grid(rows)))


def warn(line: str):
    print(line, file=sys.stderr)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("runs", nargs="+", help="included models, model files or run directories")
    add("--content", required=True, help="picture or folder")
    add("--style", required=True, help="picture or folder")
    add("--output", required=True, help="picture to write, .png or .jpg")
    add("--overwrite", action="store_true", help="replace the picture if it is there")
    add("--size", type=int, default=0, help="resize everything to N x N pixels; 0 = own size")
    add("--limit", type=int, default=8, help="most pairs")
    add("--names", action="store_true", help="of content and style, not the pictures themselves")
    add("--metrics", action="store_true", help="measure content and style loss (needs VGG-19)")
    add("--vgg", default="", help="VGG-19 weights; default: those of the config, or downloaded")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the module's text says what it does. Gives the exit status."""
    return exit_status(lambda: run(parse(arguments)))


if __name__ == "__main__":
    sys.exit(main())
