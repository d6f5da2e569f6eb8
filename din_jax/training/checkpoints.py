"""Checkpoints of a run: variables, optimizer and input position, asynchronous, last and best kept.

RUN/config.json        the run's settings
RUN/checkpoints/STEP/  orbax items: variables {"params", "batch_stats"} (all that inference reads;
                       averaged parameters where the run averages them), train {"opt_state",
                       "step"} (and "params", if "variables" holds averaged ones), input (the data
                       iterator's position, where there is one), metrics {"loss"} of the validation
"""

import json
import os
from collections.abc import Collection
from pathlib import Path

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from din_jax.config import Config
from din_jax.errors import UserError
from din_jax.training.state import TrainState
from din_jax.weights.runs import read_config

LOSS = "loss"
# Settings that may differ between a run and its continuation.
MAY_CHANGE = (("train", "steps"), ("train", "log_every"), ("train", "grid_every"))
MAY_CHANGE += (("train", "validate_every"), ("train", "checkpoint_every"), ("train", "keep_last"))
MAY_CHANGE += (("train", "keep_best"), ("data", "threads"), ("data", "prefetch"))
MAY_CHANGE += (("loss", "weights"), ("data", "kept_folder"), ("train", "steps_per_call"))


class Checkpoints:
    """Saves and restores the state of one run directory; every process calls every method."""

    def __init__(self, run: Path, config: Config):
        self.run = run
        keep = [checkpoint_managers.LatestN(config.train.keep_last)]
        if config.train.keep_best:
            keep.append(
                checkpoint_managers.BestN(
                    get_metric_fn=_loss, reverse=True, n=config.train.keep_best
                )
            )
        options = ocp.CheckpointManagerOptions(
            preservation_policy=checkpoint_managers.AnyPreservationPolicy(keep),
            # Without a best_fn orbax writes no metrics, and a resumed run would know no best.
            best_fn=_loss,
            best_mode="min",
            enable_async_checkpointing=True,
        )
        self.manager = ocp.CheckpointManager(run.absolute() / "checkpoints", options=options)

    def latest(self) -> int | None:
        """Step of the newest checkpoint, or None."""
        return self.manager.latest_step()

    def save(self, state: TrainState, iterator, loss: float):
        """Starts writing the state; `loss` is the validation loss that "best" means.

        `iterator` is grain's, or None where the input follows from the step.
        """
        step = int(state.step)
        if step in self.manager.all_steps():
            return
        items = {
            "variables": ocp.args.StandardSave(_drop_empty(state.variables)),
            "train": ocp.args.StandardSave(_train_item(state)),
        }
        if iterator is not None:
            import grain

            items["input"] = grain.checkpoint.CheckpointSave(iterator)
        self.manager.save(step, args=ocp.args.Composite(**items), metrics={LOSS: loss})

    def restore(self, abstract: TrainState, iterator) -> TrainState:
        """The newest state onto the shardings of `abstract`; the iterator moves to its place."""
        items = {
            "variables": ocp.args.StandardRestore(_drop_empty(abstract.variables)),
            "train": ocp.args.StandardRestore(_train_item(abstract)),
        }
        if iterator is not None:
            import grain

            items["input"] = grain.checkpoint.CheckpointRestore(iterator)
        got = self.manager.restore(self.latest(), args=ocp.args.Composite(**items))
        params = got.variables["params"]
        return TrainState(
            step=got.train["step"],
            params=got.train.get("params", params),
            batch_stats=got.variables.get("batch_stats", {}),
            opt_state=got.train["opt_state"],
            average=params if abstract.average else {},
        )

    def wait(self):
        """Returns when everything is on disk."""
        self.manager.wait_until_finished()

    def close(self):
        self.manager.close()


def _loss(metrics: dict[str, float]) -> float:
    return metrics[LOSS]


def _train_item(state: TrainState) -> dict:
    """What training needs beside `variables`, which hold the average where there is one."""
    item = {"opt_state": state.opt_state, "step": state.step}
    return item | {"params": state.params} if state.average else item


def _drop_empty(variables: dict) -> dict:
    """Orbax stores no empty dicts, so a model without batch norm has params alone."""
    return {key: value for key, value in variables.items() if value}


def write_atomically(path: Path, text: str):
    """A reader sees the old file or the new one, never half of it."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text)
    os.replace(partial, path)


def claim_run(run: Path, config: Config):
    """Makes the directory and writes its config, or checks that the config there is the same run's.

    A start that failed before its first checkpoint claims nothing.

    Raises:
      UserError: the directory holds a run with other settings, or cannot be made.
    """
    path = run / "config.json"
    if path.exists() and any((run / "checkpoints").glob("[0-9]*")):
        old = read_config(path)
        # A cosine ends at the last step: with another one the rate would jump.
        fixed = {("train", "steps")} if config.optim.decay == "cosine" else set()
        differing = _differences(old.to_dict(), config.to_dict(), set(MAY_CHANGE) - fixed)
        if differing:
            raise UserError(
                f"{run} holds a run with other settings ({'; '.join(differing)}): choose another "
                "--workdir, or give the settings it was started with."
            )
    if jax.process_index() == 0:
        try:
            run.mkdir(parents=True, exist_ok=True)
            write_atomically(path, json.dumps(config.to_dict(), indent=2) + "\n")
        except OSError as error:
            raise UserError(
                f"--workdir must be a folder to write to, but {run} is not ({error.strerror})."
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
