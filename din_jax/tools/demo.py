"""Draws five scenes and five styles, and paints each scene in each style: offline, at once.

python -m din_jax.tools.demo            all on one sheet, runs/demo-pictures/contact_sheet.png

For pictures of your own: din-jax photo.jpg painting.jpg
"""

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from din_jax.command_line import Parser, check_least
from din_jax.config_rules import SMALLEST_SIDE
from din_jax.data import save_image
from din_jax.data.drawn.synthetic import SyntheticContent, SyntheticStyle
from din_jax.errors import exit_status
from din_jax.tools import stylize

PICTURES = 5  # drawn contents, and drawn styles


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument("--output", default="runs/demo-pictures", help="folder to write to")
    parser.add_argument("--model", default="din_portable", help="name, file or run directory")
    parser.add_argument("--size", type=int, default=256, help="pixels, side of a picture")
    return parser.parse_args(arguments)


def run(flags: argparse.Namespace) -> int:
    """The exit status of the command that paints what was drawn."""
    check_least(flags, " pixels", size=SMALLEST_SIDE)
    output = Path(flags.output)
    kinds = {"scene": SyntheticContent, "style": SyntheticStyle}
    for kind, source in kinds.items():
        pictures = source(PICTURES, 0, flags.size)
        for i in range(PICTURES):
            save_image(output / f"{kind}s" / f"{kind}{i}.png", pictures[i])
    command = [
        str(output / "scenes"), "--style", str(output / "styles"), "--each",
        "--model", flags.model, "--output", str(output),
        "--sheet", str(output / "contact_sheet.png"),
    ]  # fmt: skip
    print(f"din-jax stylize {shlex.join(command)}", flush=True)
    return stylize.run(stylize.parse(command))


def main() -> int:
    return exit_status(lambda: run(parse(sys.argv[1:])))


if __name__ == "__main__":
    sys.exit(main())
