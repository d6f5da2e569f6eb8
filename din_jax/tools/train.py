"""Trains a model: python train.py --config configs/din.py --workdir runs/din

Any field is overridden on the command line: --config.optim.learning_rate=3e-4, a list as
--config.model.widths=8,16,32. A work directory that holds checkpoints of the same settings is
resumed. On several hosts, start the same command on each with --distributed, or where JAX detects
no cluster with --coordinator HOST:PORT --processes N --process I. --local_processes N starts N
processes on this machine, to try that.
"""

import importlib
import sys
from pathlib import Path

from absl import app, flags, logging

from din_jax.config import Config
from din_jax.errors import UserError, exit_status, loading, stop_if_interrupted
from din_jax.memory import keep_freed_memory
from din_jax.tools import cluster, local
from din_jax.tools.config_files import define_flag, parse_flags

_CONFIG = define_flag()
_WORKDIR = flags.DEFINE_string("workdir", None, "Run directory: checkpoints, metrics, pictures.")


_PROFILE = flags.DEFINE_integer(
    "profile", 0, "Writes a trace of so many steps to WORKDIR/profile, of the second call on."
)
_WANDB = flags.DEFINE_string(
    "wandb", "", "Also sends what is reported to this project of Weights & Biases."
)


def parse(argv: list[str]) -> list[str]:
    """Flags; every complaint of absl and ml_collections becomes one sentence."""
    rest = parse_flags(argv, _CONFIG)
    if len(rest) > 1:
        raise UserError(f"unexpected arguments {rest[1:]}; settings are --config.FIELD=VALUE.")
    if not _WORKDIR.value.strip():
        raise UserError(
            "--workdir must name the run's directory, but is empty; give one, such as runs/din."
        )
    if _PROFILE.value < 0:
        raise UserError(f"--profile must be at least 0 steps, not {_PROFILE.value}.")
    if _WANDB.value:
        importlib.import_module("wandb")  # missing, it is told before anything is loaded
    cluster.check()
    return rest


def train(_: list[str]) -> int:
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)  # orbax tells each file it touches
    config = Config.from_dict(_CONFIG.value.to_dict())
    if count := cluster.local_processes():
        return local.run(local.commands(_without_local(sys.argv[1:]), count))
    keep_freed_memory()
    cluster.join()
    with cluster.together():
        # Imported here: --help and a bad setting are answered before the libraries are loaded.
        with loading():
            from din_jax.tools.utilization import work_of
            from din_jax.training.loop import Trainer
            from din_jax.training.measures import Tracing
            from din_jax.training.wandb import WandbBoard
        trainer = Trainer(config, Path(_WORKDIR.value), _command(sys.argv))
        trainer.measures.work = work_of(trainer)
        trainer.tracing = Tracing(trainer.run / "profile", _PROFILE.value)
        if _WANDB.value:
            trainer.boards = [lambda: WandbBoard(_WANDB.value, trainer.run, config.to_dict())]
        stop_if_interrupted()
        trainer.train()
    return 0


def _command(arguments: list[str]) -> list[str]:
    """What a user typed, as far as Python tells."""
    return ["python", *arguments] if arguments[0].endswith(".py") else arguments


def _without_local(arguments: list[str]) -> list[str]:
    """The arguments for one of the processes that --local_processes starts."""
    kept, skip = [], False
    for argument in arguments:
        name, equals, _ = argument.lstrip("-").partition("=")
        if not skip and not (argument.startswith("-") and name == "local_processes"):
            kept.append(argument)
            skip = False
        else:
            skip = not skip and not equals
    return kept


def main() -> int:
    """Trains as `sys.argv` says; the exit status."""
    # absl's own help is of the module that was started, and ends with status 1.
    if {"--help", "-help", "-h"} & set(sys.argv[1:]):
        ours = (sys.modules[__name__], cluster)
        text = "\n".join([__doc__, *map(flags.FLAGS.module_help, ours)])
        return exit_status(lambda: print(text))
    flags.mark_flags_as_required(["config", "workdir"])
    status = exit_status(_run)
    cluster.leave(status)
    return status


def _run() -> int:
    try:
        app.run(train, flags_parser=parse)
    except SystemExit as end:  # absl's, of what `train` gives
        return end.code or 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
