"""Trains a model: python train.py --config configs/din.py --workdir runs/din

Any field is overridden on the command line: --config.optim.learning_rate=3e-4. A work directory
that holds checkpoints of the same settings is resumed. On several hosts, start the same command on
each with --distributed.
"""

import sys
from pathlib import Path

import jax
from absl import app, flags, logging
from ml_collections import config_flags

from din_jax.config import Config
from din_jax.errors import UserError
from din_jax.memory import keep_freed_memory

_CONFIG = config_flags.DEFINE_config_file("config", None, "Settings: FILE.py or FILE.py:VARIANT.")
_WORKDIR = flags.DEFINE_string("workdir", None, "Run directory: checkpoints, metrics, pictures.")
_DISTRIBUTED = flags.DEFINE_bool("distributed", False, "Join the other hosts of a pod or cluster.")


def fail(message: str):
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def parse(argv: list[str]) -> list[str]:
    """Flags; every complaint of absl and ml_collections becomes one sentence."""
    try:
        rest = flags.FLAGS(argv)
        _CONFIG.value.to_dict()  # a file that is missing shows on access only
    except AttributeError as error:
        missing = error.args[0]  # ml_collections wraps the KeyError, and says what is like it
        reason = missing.args[0] if isinstance(missing, KeyError) else missing
        fail(f"config has no field {reason} (din_jax/config.py lists all).".replace("\n", ": "))
    except (flags.Error, OSError) as error:
        # Some hold a whole stack trace, whose last line says what went wrong.
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        what = lines[-1].removeprefix("ValueError: ").removeprefix("din_jax.errors.UserError: ")
        fail(f"{what.rstrip('.')}; see train.py --help, and configs/din.py:demo for a start.")
    if len(rest) > 1:
        fail(f"unexpected arguments {rest[1:]}; settings are --config.FIELD=VALUE.")
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
