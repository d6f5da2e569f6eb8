"""Trains a model: python train.py --config configs/din.py --workdir runs/din

Any field is overridden on the command line: --config.optim.learning_rate=3e-4, a list as
--config.model.widths=8,16,32. A work directory that holds checkpoints of the same settings is
resumed. On several hosts, start the same command on each with --distributed.
"""

import sys
from pathlib import Path

import jax
from absl import app, flags, logging

from din_jax.config import Config
from din_jax.errors import UserError
from din_jax.memory import keep_freed_memory
from din_jax.tools.config_files import define_flag, parse_flags

_CONFIG = define_flag()
_WORKDIR = flags.DEFINE_string("workdir", None, "Run directory: checkpoints, metrics, pictures.")
_DISTRIBUTED = flags.DEFINE_bool("distributed", False, "Join the other hosts of a pod or cluster.")


def fail(message: str):
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def parse(argv: list[str]) -> list[str]:
    """Flags; every complaint of absl and ml_collections becomes one sentence."""
    try:
        rest = parse_flags(argv, _CONFIG)
    except UserError as error:
        fail(str(error))
    if len(rest) > 1:
        fail(f"unexpected arguments {rest[1:]}; settings are --config.FIELD=VALUE.")
    if not _WORKDIR.value.strip():
        fail("--workdir must name the run's directory, but is empty; give one, such as runs/din.")
    return rest


def main(_: list[str]) -> int:
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)  # orbax tells each file it touches
    try:
        config = Config.from_dict(_CONFIG.value.to_dict())
        keep_freed_memory()
        if _DISTRIBUTED.value:
            jax.distributed.initialize()
        # Imported here so that a bad setting is reported before the libraries are loaded.
        from din_jax.training.loop import Trainer

        Trainer(config, Path(_WORKDIR.value)).train()
    except UserError as error:
        fail(str(error))
    return 0


if __name__ == "__main__":
    flags.mark_flags_as_required(["config", "workdir"])
    app.run(main, flags_parser=parse)
