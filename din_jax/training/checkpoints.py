"""Checkpoints of a run: variables, optimizer and input position, asynchronous, last and best kept.

RUN/checkpoints/STEP/  orbax items: variables {"params", "batch_stats"} (all that inference reads;
                       averaged parameters where the run averages them), train {"opt_state",
                       "step"} (and "params", if "variables" holds averaged ones), input (the data
                       iterator's position, where there is one), metrics {"loss"} of the validation,
                       reports (what the loop keeps of its tables; absent in old runs)
"""

from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from din_jax.config import Config
from din_jax.training.state import TrainState

LOSS = "loss"


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

    def save(self, state: TrainState, iterator, loss: float, reports: dict[str, Any] | None = None):
        """Starts writing the state.

        Args:
          state: what to save; a step that is saved already is left as it is.
          iterator: grain's, or None where the input follows from the step.
          loss: of the validation: what "best" means.
          reports: whatever `reports` shall give of this step, as JSON can hold it.
        """
        step = int(state.step)
        if step in self.manager.all_steps():
            return
        items = {
            "variables": ocp.args.StandardSave(_drop_empty(state.variables)),
            "train": ocp.args.StandardSave(_train_item(state)),
        }
        if reports is not None:
            items["reports"] = ocp.args.JsonSave(reports)
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

    def reports(self) -> dict[str, Any]:
        """What was given to the newest checkpoint as `reports`, or {}."""
        step = self.latest()
        if not (self.manager.directory / str(step) / "reports").exists():
            return {}
        items = ocp.args.Composite(reports=ocp.args.JsonRestore())
        return self.manager.restore(step, args=items).reports

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
