"""Packs a checkpoint of a run into one file that can be carried: parameters, config, facts.

python -m din_jax.tools.pack runs/portable model.safetensors --fact "data=COCO and WikiArt"

Folders of the machine that it was trained on are not kept; optimizer state and VGG-19 are not in
a model file.
"""

import argparse
import sys

from din_jax.command_line import Parser, require_new
from din_jax.errors import UserError, exit_status


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument("run", help="run directory, or another model file")
    parser.add_argument("output", help="file to write, ending in .safetensors")
    parser.add_argument("--overwrite", action="store_true", help="replace it if it is there")
    parser.add_argument("--step", help='a number or "best"; default: the newest checkpoint')
    parser.add_argument("--dtype", default="float16", choices=("float16", "float32"))
    parser.add_argument("--fact", action="append", default=[], metavar="KEY=VALUE")
    return parser.parse_args(arguments)


def run(flags: argparse.Namespace):
    require_new(flags.output, flags.overwrite)
    from din_jax.training.state import count, variables_of
    from din_jax.weights.model_files import without_paths
    from din_jax.weights.models import load_model, save_model

    facts = dict(fact.split("=", 1) for fact in flags.fact if "=" in fact)
    if len(facts) < len(flags.fact):
        raise UserError(f"--fact takes KEY=VALUE, each key once, not {flags.fact}.")
    loaded = load_model(flags.run, step=flags.step)
    variables = variables_of(loaded.model)
    card = {**loaded.card, "step": loaded.step, **facts}
    path = save_model(
        flags.output, without_paths(loaded.config), variables, dtype=flags.dtype, card=card
    )
    size = path.stat().st_size / 1e6
    print(f"{path}: {count(variables):,} numbers as {flags.dtype}, {size:.1f} MB, {card}")


def main() -> int:
    return exit_status(lambda: run(parse(sys.argv[1:])))


if __name__ == "__main__":
    sys.exit(main())
