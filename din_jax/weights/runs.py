"""Run directories as training writes them: config.json and checkpoints/STEP/."""

import contextlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from din_jax.checksums import damage_of
from din_jax.config import Config
from din_jax.errors import UserError
from din_jax.weights.errors import one_line

# What orbax writes into checkpoints/STEP after its SHA256SUMS; nothing is read from it.
UNSUMMED = ("_CHECKPOINT_METADATA", "commit_success.txt")


class ModelError(UserError):
    """A model file or run directory that is missing, damaged, or does not fit its own config."""


def read_config(path: Path) -> Config:
    """The settings of a run."""
    try:
        return Config.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise ModelError(
            f"'{path.parent}' is no run directory, for it has no {path.name}; give the directory "
            "that training wrote to."
        ) from error
    except (OSError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"'{path}' is unusable ({one_line(error)}); repair it.") from error


def choose_step(run: Path, step: int | str | None) -> int:
    """The newest step, the one asked for, or "best"; it has a complete checkpoint."""
    folder = run / "checkpoints"
    # Checkpoints in the making have longer names, so digits alone mean a complete one.
    steps = sorted(int(p.name) for p in folder.glob("*") if p.name.isdigit() and p.is_dir())
    if not steps:
        raise ModelError(
            f"'{run}' has no checkpoints/STEP; give a run directory that has saved a checkpoint, "
            "or a .safetensors model file."
        )
    if step is None:
        return steps[-1]
    if step == "best":
        return best_step(folder, steps)
    wanted = step
    if not str(wanted).isdigit() or int(wanted) not in steps:
        raise ModelError(f"'{run}' has no checkpoint {wanted}; its steps are {_listed(steps)}.")
    return int(wanted)


def best_step(folder: Path, steps: list[int]) -> int:
    """The step of the lowest validation loss among the checkpoints there are; the later of two.

    Read from the checkpoints themselves: what is not there, or not complete, cannot be the best.
    """
    losses = {}
    for step in steps:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            metrics = json.loads((folder / str(step) / "metrics" / "metrics").read_bytes())
            losses[step] = float(metrics["loss"])
    if not losses:
        raise ModelError(
            f"no checkpoint in '{folder}' tells its validation loss; give a step of "
            f"{_listed(steps)}."
        )
    return min(losses, key=lambda step: (losses[step], -step))


def read_checkpoint(folder: Path) -> dict[str, np.ndarray]:
    """The item `variables` as numpy arrays, whatever devices wrote it; its bytes as written."""
    import orbax.checkpoint as ocp

    if damage := damage_of(folder, UNSUMMED):
        raise ModelError(f"the checkpoint '{folder}' is damaged ({damage}); choose another step.")

    item = (folder / "variables").absolute()
    logger = logging.getLogger("absl")
    level = logger.level
    try:
        logger.setLevel(logging.ERROR)  # orbax warns of metadata that an item never has
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
            metadata = checkpointer.metadata(item).item_metadata.tree
            as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), metadata)
            arguments = ocp.args.PyTreeRestore(restore_args=as_numpy)
            return flatten(checkpointer.restore(item, args=arguments))
    # Damage shows in many ways (orbax, tensorstore, JSON, missing files); all mean the same here.
    except Exception as error:
        raise ModelError(
            f"the checkpoint '{folder}' is damaged or incomplete ({one_line(error)}); choose "
            "another step."
        ) from error
    finally:
        logger.setLevel(level)


def flatten(tree: Mapping, prefix: str = "") -> dict[str, Any]:
    """Nested dicts to dotted names; empty dicts vanish, dotted names pass."""
    flat = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _listed(steps: list[int]) -> str:
    return ", ".join(map(str, steps))
