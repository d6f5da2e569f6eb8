"""Stylizes with the model that comes with the project: offline, at once, nothing to prepare.

python -m din_jax.tools.demo                                  drawn scenes in drawn styles
python -m din_jax.tools.demo --content photo.jpg --style painting.jpg
"""

import argparse
import sys
import time
from pathlib import Path

from din_jax.command_line import Parser, check_least
from din_jax.config import SMALLEST_SIDE
from din_jax.errors import UserError, exit_status
from din_jax.memory import keep_freed_memory

MODEL = Path(__file__).parents[1] / "assets" / "din_portable.safetensors"
PICTURES = 5  # drawn contents, and drawn styles


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument("--content", default="", help="picture or folder; default: drawn scenes")
    parser.add_argument("--style", default="", help="picture or folder; default: drawn textures")
    parser.add_argument("--output", default="runs/demo-pictures", help="folder to write to")
    parser.add_argument("--size", type=int, default=256, help="pixels, side of a drawn picture")
    return parser.parse_args(arguments)


def read_or_draw(where: str, kind: str, size: int) -> list:
    """Pictures of a path, or the first few of the built-in synthetic source, uint8 [H, W, 3]."""
    from din_jax.data import list_images, load_image
    from din_jax.data.drawn.synthetic import SyntheticContent, SyntheticStyle

    if not where:
        source = (SyntheticContent if kind == "content" else SyntheticStyle)(PICTURES, 0, size)
        return [source[i] for i in range(PICTURES)]
    path = Path(where)
    if not path.exists():
        raise UserError(f"there is no {kind} picture or folder '{path}'; check --{kind}.")
    files = list_images(path) if path.is_dir() else [path]
    if not files:
        raise UserError(f"the {kind} folder '{path}' holds no picture; check --{kind}.")
    return [load_image(file) for file in files]


def run(flags: argparse.Namespace):
    keep_freed_memory()
    from din_jax.data import save_image
    from din_jax.data.sheets import contact_sheet
    from din_jax.inference.engine import Engine
    from din_jax.weights.models import load_model

    check_least(flags, " pixels", size=SMALLEST_SIDE)
    contents = read_or_draw(flags.content, "content", flags.size)
    styles = read_or_draw(flags.style, "style", flags.size)
    engine = Engine(load_model(MODEL), batch=len(styles))
    began = time.perf_counter()
    code = engine.encode_style(styles)
    stylized = [engine.stylize([content] * len(styles), code) for content in contents]
    seconds = time.perf_counter() - began
    output = Path(flags.output)
    for i, row in enumerate(stylized):
        for j, picture in enumerate(row):
            save_image(output / f"content{i}--style{j}.png", picture)
    sheet = output / "contact_sheet.png"
    save_image(sheet, contact_sheet(contents, styles, stylized))
    count = len(contents) * len(styles)
    print(f"{count} pictures in {seconds:.1f} s, compilation included; all on {sheet}")


def main() -> int:
    return exit_status(lambda: run(parse(sys.argv[1:])))


if __name__ == "__main__":
    sys.exit(main())
