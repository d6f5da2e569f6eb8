"""Carries weights between this program and the PyTorch network of `parity/`, either way.

    python -m din_jax.tools.convert to-torch runs/din din_torch.safetensors
    python -m din_jax.tools.convert from-torch din.pth model.safetensors --like runs/din
    python -m din_jax.tools.convert from-torch din.pth model.safetensors --like configs/din.py

`to-torch` writes a state dict; in PyTorch: `model.load_state_dict(safetensors.torch.load_file(f))`.
`from-torch` reads a state dict, `.pth`, `.safetensors` or `.npz`, and writes a model file for
`evaluate.py` and `din_jax.weights.models.load_model`. Both are exact, and need no PyTorch. The
names stand in `din_jax/weights/torch_names.py`.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from din_jax.command_line import Parser, require_new
from din_jax.config import Config
from din_jax.errors import exit_status
from din_jax.tools.config_files import is_preset, read_config_file


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(__doc__)
    directions = parser.add_subparsers(dest="direction", required=True)
    out = directions.add_parser("to-torch", help="a model of this program's to a state dict")
    out.add_argument("model", help="included model, model file or run directory")
    out.add_argument("output", help="state dict to write, ending in .safetensors")
    out.add_argument("--step", help='checkpoint of a run: a number or "best"; default: the newest')
    back = directions.add_parser("from-torch", help="a state dict to a model file")
    back.add_argument("state", help="state dict, .pth, .safetensors or .npz")
    back.add_argument("output", help="model file to write, ending in .safetensors")
    back.add_argument(
        "--like",
        required=True,
        help="what model it is: a run, a model file, FILE.py:VARIANT or a preset, din:VARIANT",
    )
    for direction in (out, back):
        direction.add_argument("--overwrite", action="store_true", help="replace it if it is there")
    return parser.parse_args(arguments)


def read_like(like: str) -> Config:
    """The settings of a run directory, a model file, a config file or a preset with its variant.

    Raises:
      UserError: there are none.
    """
    from din_jax.weights.models import read_model
    from din_jax.weights.runs import read_config

    where = Path(like).expanduser()
    if like.partition(":")[0].endswith(".py") or is_preset(like) and not where.exists():
        return read_config_file(like)
    # A run's settings are enough; it need not have reached a checkpoint.
    return read_config(where / "config.json") if where.is_dir() else read_model(where).config


def run(flags: argparse.Namespace) -> None:
    require_new(flags.output, flags.overwrite)
    from din_jax.weights.model_files import without_paths
    from din_jax.weights.models import read_model, save_model
    from din_jax.weights.torch_names import read_torch, write_torch

    if flags.direction == "to-torch":
        stored = read_model(flags.model, flags.step)
        print(write_torch(flags.output, stored.arrays))
        return
    config = read_like(flags.like)
    variables = read_torch(flags.state, config.model)
    print(save_model(flags.output, without_paths(config), variables, dtype="float32"))


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status."""
    return exit_status(lambda: run(parse(arguments)))


if __name__ == "__main__":
    sys.exit(main())
