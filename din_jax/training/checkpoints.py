"""Checkpoints of a run: variables, optimizer and input position, asynchronous, last and best kept.

RUN/config.json        the run's settings
RUN/checkpoints/STEP/  orbax items: variables {"params", "batch_stats"} (all that inference reads),
                       train {"opt_state", "step"}, input (the data iterator's position),
                       metrics {"loss"} of the validation
RUN/best.json          {"step", "loss"} of the best validation so far
"""

import json
import logging
import os
from pathlib import Path

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from din_jax.config import Config
from din_jax.errors import UserError
from din_jax.training.state import TrainState
from din_jax.weights.runs import read_config

_log = logging.getLogger(__name__)
LOSS = "loss"
# Settings that may differ between a run and its continuation.
MAY_CHANGE = (("train", "steps"), ("train", "log_every"), ("train", "grid_every"))
MAY_CHANGE += (("train", "validate_every"), ("train", "checkpoint_every"), ("train", "keep_last"))
MAY_CHANGE += (("train", "keep_best"), ("data", "threads"), ("data", "prefetch"))
MAY_CHANGE += (("loss", "weights"),)


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
        """Starts writing the state; `loss` is the validation loss that "best" means."""
        import grain

        step = int(state.step)
        if step in self.manager.all_steps():
            return
        train = {"opt_state": state.opt_state, "step": state.step}
        self.manager.save(
            step,
            args=ocp.args.Composite(
                variables=ocp.args.StandardSave(_drop_empty(state.variables)),
                train=ocp.args.StandardSave(train),
                input=grain.checkpoint.CheckpointSave(iterator),
            ),
            metrics={LOSS: loss},
        )
        if jax.process_index() == 0:
            self._note_best(step, loss)

    def _note_best(self, step: int, loss: float):
        path = self.run / "best.json"
        best = json.loads(path.read_text())["loss"] if path.exists() else float("inf")
        if loss < best:
            write_atomically(path, json.dumps({"step": step, "loss": loss}))

    def restore(self, abstract: TrainState, iterator) -> TrainState:
        """The newest state onto the shardings of `abstract`; the iterator moves to its place."""
        import grain

        got = self.manager.restore(
            self.latest(),
            args=ocp.args.Composite(
                variables=ocp.args.StandardRestore(_drop_empty(abstract.variables)),
                train=ocp.args.StandardRestore(
                    {"opt_state": abstract.opt_state, "step": abstract.step}
                ),
                input=grain.checkpoint.CheckpointRestore(iterator),
            ),
        )
        return TrainState(
            step=got.train["step"],
            params=got.variables["params"],
            batch_stats=got.variables.get("batch_stats", {}),
            opt_state=got.train["opt_state"],
        )

    def wait(self):
        """Returns when everything is on disk."""
        self.manager.wait_until_finished()

    def close(self):
        self.manager.close()


def _loss(metrics: dict[str, float]) -> float:
    return metrics[LOSS]


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
        differing = _differences(read_config(path).to_dict(), config.to_dict())
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


def _differences(old: dict, new: dict, path: tuple[str, ...] = ()) -> list[str]:
    found = []
    for key in sorted(old.keys() | new.keys()):
        here = (*path, key)
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            found += _differences(a, b, here)
        elif a != b and here not in MAY_CHANGE:
            found.append(f"{'.'.join(here)} was {a!r}, now {b!r}")
    return found
