"""Checkpoints of a run: variables, optimizer and input position, asynchronous, last and best kept.

RUN/checkpoints/STEP/  orbax items: variables {"params", "batch_stats"} (all that inference reads;
                       averaged parameters where the run averages them), train {"opt_state",
                       "step"} (and "params", if "variables" holds averaged ones), input (the data
                       iterator's position, where there is one), metrics {"loss"} of the validation,
                       reports (what the loop keeps of its tables; absent in old runs);
                       SHA256SUMS of all files (absent in old runs)
RUN/checkpoints/removed/  those that are no longer kept, about to be gone
RUN/damaged/STEP/      those whose files are not as they were written, set aside
"""

import contextlib
import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint import checkpoint_managers

from din_jax.checksums import write_sums
from din_jax.config import Config
from din_jax.errors import UserError
from din_jax.training.integrity import set_damaged_aside
from din_jax.training.mesh import on_any_process
from din_jax.training.quiet import quieten_orbax
from din_jax.training.state import TrainState
from din_jax.weights.runs import UNSUMMED

LOSS = "loss"
# What is no longer kept is moved there first: a process that is killed while it removes a folder
# leaves a half, which under its own name would pass for a damaged checkpoint.
REMOVED = "removed"
# Orbax lets each device that holds a copy write a part of it, and compiles a program for each shape
# and part: seconds of eight devices' first save. Parts of fewer bytes than this are not worth it.
LEAST_PART = 2**20


class Checkpoints:
    """Saves and restores the state of one run directory; every process calls every method.

    Checkpoints that are not as they were written are set aside first, so that the newest is whole.
    A save that fails for want of room leaves those before it as they are; a single process goes on.

    Args:
      run: the directory.
      config: of the run.
      say: tells the user a sentence, where nothing else is wrong.

    Raises:
      UserError: there are checkpoints, and all are damaged.
    """

    def __init__(self, run: Path, config: Config, say: Callable[[str], Any] = print):
        self.run, self.config, self.say = run, config, say
        self._folder = run.absolute() / "checkpoints"
        self._saving = -1  # the step that is being written, or was last
        self._failed = ""  # why it could not be, in a sentence
        hopeless = ""
        if jax.process_index() == 0:
            hopeless = set_damaged_aside(run, say)
            self._remove_unfinished()
        if on_any_process(bool(hopeless)):  # and nobody reads before the first has looked
            raise UserError(hopeless or f"every checkpoint of {run} is damaged.")
        quieten_orbax()
        if jax.device_count() > 1:
            handler = ocp.type_handlers.ArrayHandler(
                min_slice_bytes_for_replica_parallel=LEAST_PART
            )
            ocp.type_handlers.register_type_handler(jax.Array, handler, override=True)
        self.manager = self._open()

    def _open(self) -> ocp.CheckpointManager:
        config = self.config.train
        keep = [checkpoint_managers.LatestN(config.keep_last)]
        if config.keep_best:
            keep.append(
                checkpoint_managers.BestN(get_metric_fn=_loss, reverse=True, n=config.keep_best)
            )
        options = ocp.CheckpointManagerOptions(
            preservation_policy=checkpoint_managers.AnyPreservationPolicy(keep),
            # Without a best_fn orbax writes no metrics, and a resumed run would know no best.
            best_fn=_loss,
            best_mode="min",
            enable_async_checkpointing=True,
            todelete_subdir=REMOVED,
            async_options=ocp.options.AsyncOptions(post_finalization_callback=self._sum_up),
        )
        return ocp.CheckpointManager(self._folder, options=options)

    def _sum_up(self):
        """Called by the first process when all files lie in a folder that has its name yet to get,
        so that no checkpoint is without its sums."""
        for folder in self._folder.glob(f"{self._saving}.*"):
            write_sums(folder, UNSUMMED)

    def _remove_unfinished(self):
        """What a process that was killed, or a disk that was full, left of a save."""
        for folder in self._folder.glob("[0-9]*.orbax-checkpoint-tmp*"):
            for _ in range(50):  # after an error orbax's threads write on for a moment
                shutil.rmtree(folder, ignore_errors=True)
                if not folder.exists():
                    break
                time.sleep(0.1)
        self._remove()

    def _remove(self):
        shutil.rmtree(self._folder / REMOVED, ignore_errors=True)

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

        Raises:
          UserError: the disk is full, and there are several processes.
        """
        step = int(state.step)
        self.settle()
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
        self._saving, self._failed = step, ""
        with self._on_disk():
            self.manager.save(step, args=ocp.args.Composite(**items), metrics={LOSS: loss})

    def restore(self, abstract: TrainState, iterator) -> TrainState:
        """The newest state onto the shardings of `abstract`; the iterator moves to its place.

        Raises:
          UserError: the optimizer's state is another's.
        """
        items = {
            "variables": ocp.args.StandardRestore(_drop_empty(abstract.variables)),
            "train": ocp.args.StandardRestore(_train_item(abstract)),
        }
        if iterator is not None:
            import grain

            items["input"] = grain.checkpoint.CheckpointRestore(iterator)
        got = self.manager.restore(self.latest(), args=ocp.args.Composite(**items))
        if jax.tree.structure(got.train) != jax.tree.structure(_train_item(abstract)):
            raise UserError(
                f"{self.manager.directory.parent} was begun by a version of this program whose "
                "optimizer kept other moments: go on with that version, or begin another run from "
                "its parameters, --config.train.initialize=RUN --workdir ANOTHER."
            )
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

    def look(self):
        """Tells of a save that has failed meanwhile; waits for none."""
        if not self.manager.is_saving_in_progress():
            self.settle()

    def wait(self):
        """Returns when everything is on disk.

        Raises:
          UserError: the newest state is not, for want of room.
        """
        self.settle(tell=False)
        if self._failed:
            raise UserError(f"{self._failed}: make room, and the same command goes on from there.")

    def close(self):
        self.manager.close()

    def settle(self, *, tell: bool = True):
        """Returns when nothing is being written any more, for better or worse."""
        with self._on_disk(tell=tell):
            self.manager.wait_until_finished()
        if jax.process_index() == 0:
            self._remove()

    @contextlib.contextmanager
    def _on_disk(self, *, tell: bool = True):
        """What the disk refuses inside is told; the folder is then as it was before the save."""
        try:
            yield
        except (OSError, ValueError) as error:
            refused = _refused(error, self.run / "checkpoints" / str(self._saving))
            if not refused:
                raise
            if jax.process_count() > 1:  # the others wait for this one in a barrier
                raise UserError(
                    f"the checkpoint of step {self._saving} could not be written ({refused}): make "
                    "room, and the same command goes on from the one before."
                ) from error
        else:
            return
        with contextlib.suppress(Exception):  # the same error again
            self.manager.close()
        self._remove_unfinished()
        self.manager = self._open()
        good = self.latest()
        self._failed = (
            f"the checkpoint of step {self._saving} could not be written ({refused}); the last "
            f"good one is {'none' if good is None else f'step {good}'}"
        )
        if tell:
            self.say(f"Warning: {self._failed}. The run goes on; the next is due as ever.")


def _refused(error: Exception, folder: Path) -> str:
    """The file that was not written and why, or "" for an error that is not the disk's."""
    if isinstance(error, OSError) and error.errno:
        return f"'{error.filename or folder}': {error.strerror}"
    code = re.search(r"os_error_code='(\d+)'", str(error))  # tensorstore's are ValueErrors
    if not code:
        return ""
    names = re.findall(r'(?:Failed writing:|local file) "([^"]+)"', str(error))
    return f"'{names[-1] if names else folder}': {os.strerror(int(code[1]))}"


def _loss(metrics: dict[str, float]) -> float:
    return metrics[LOSS]


def _train_item(state: TrainState) -> dict:
    """What training needs beside `variables`, which hold the average where there is one."""
    item = {"opt_state": state.opt_state, "step": state.step}
    return item | {"params": state.params} if state.average else item


def _drop_empty(variables: dict) -> dict:
    """Orbax stores no empty dicts, so a model without batch norm has params alone."""
    return {key: value for key, value in variables.items() if value}
