"""Whose a run directory is: the settings and the pictures that it was started with.

RUN/config.json  the settings
RUN/data.json    {"content": {"pictures": N, "names": SHA-256}, "style": ...} of the training part
"""

import hashlib
import json
from collections.abc import Collection
from pathlib import Path

import jax

from din_jax.config import Config, DataConfig
from din_jax.data.pairs import source_of
from din_jax.errors import UserError
from din_jax.files import write_atomically
from din_jax.weights.runs import read_config

# Settings that may differ between a run and its continuation.
MAY_CHANGE = (("train", "steps"), ("train", "log_every"), ("train", "grid_every"))
MAY_CHANGE += (("train", "validate_every"), ("train", "checkpoint_every"), ("train", "keep_last"))
MAY_CHANGE += (("train", "keep_best"), ("data", "threads"), ("data", "prefetch"))
MAY_CHANGE += (("loss", "weights"), ("data", "kept_folder"), ("train", "steps_per_call"))
MAY_CHANGE += (("train", "minutes"), ("train", "fsdp"), ("train", "shard"))
MAY_CHANGE += (("train", "rollbacks"), ("train", "recompute"))


def claim_run(run: Path, config: Config):
    """Makes the directory and writes its config, or checks that the config there is the same run's.

    A start that failed before its first checkpoint claims nothing.

    Raises:
      UserError: the directory holds a run with other settings, or cannot be made.
    """
    path = run / "config.json"
    if path.exists() and has_checkpoints(run):
        # A cosine ends at the last step: with another one the rate would jump.
        fixed = {("train", "steps")} if config.optim.decay == "cosine" else set()
        old = read_config(path).to_dict()
        differing = _differences(old, config.to_dict(), set(MAY_CHANGE) - fixed)
        if differing:
            raise UserError(
                f"{run} holds a run with other settings ({'; '.join(differing)}): choose another "
                "--workdir, or give the settings it was started with."
            )
    _write(path, config.to_dict())


def claim_data(run: Path, config: DataConfig):
    """Notes the names of the training pictures, or checks that they are the same run's.

    With one picture more, others would be held out, and the run would train on those that it is
    validated with.

    Raises:
      UserError: the pictures are others than the run was started with.
    """
    found = {kind: _names(config, kind) for kind in ("content", "style")}
    path = run / "data.json"
    if path.exists() and has_checkpoints(run):
        old = _read(path)
        for kind, names in found.items():
            if old.get(kind, names) != names:
                raise UserError(
                    f"{run} was started with {old[kind]['pictures']} {kind} pictures, and there "
                    f"are {names['pictures']} of other names now: restore them, or choose another "
                    "--workdir and set config.train.initialize to this one."
                )
    _write(path, found)


def _read(path: Path) -> dict:
    try:
        old = json.loads(path.read_text(encoding="utf-8"))
        return {kind: {"pictures": int(old[kind]["pictures"]), "names": old[kind]["names"]}
                for kind in old}  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"'{path}' is damaged: remove it, if the pictures are those that the run was started "
            "with."
        ) from error


def _names(config: DataConfig, kind: str) -> dict:
    source = source_of(config, kind, "train")
    digest = hashlib.sha256()
    for i in range(len(source)):
        # Without folders, so that a data set may move.
        digest.update(f"{Path(source.name(i)).name}\n".encode())
    return {"pictures": len(source), "names": digest.hexdigest()}


def has_checkpoints(run: Path) -> bool:
    """Whether a run has begun, and would be resumed."""
    return any((run / "checkpoints").glob("[0-9]*"))


def _write(path: Path, values: dict):
    if jax.process_index() != 0:
        return
    try:
        write_atomically(path, json.dumps(values, indent=2) + "\n")
    except OSError as error:
        raise UserError(
            f"--workdir must be a folder to write to, but {path.parent} is not ({error.strerror})."
        ) from error


def _differences(
    old: dict, new: dict, allowed: Collection[tuple[str, ...]], path: tuple[str, ...] = ()
) -> list[str]:
    found = []
    for key in sorted(old.keys() | new.keys()):
        here = (*path, key)
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += _differences(a, b, allowed, here)
        elif a != b and here not in allowed:
            found.append(f"{'.'.join(here)} was {a!r}, now {b!r}")
    return found
