"""The training loop: set-up in the order in which things fail, then steps until done or stopped."""

import contextlib
import math
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp

from din_jax.config import Config
from din_jax.errors import UserError, interrupt
from din_jax.models.network import VGGBackbone
from din_jax.training.calls import Steps
from din_jax.training.checkpoints import Checkpoints
from din_jax.training.claims import claim_data, claim_run, has_checkpoints
from din_jax.training.feed import HostFeed, ResidentFeed
from din_jax.training.measures import Measures, Tracing, peak_memory
from din_jax.training.mesh import (
    local_batch,
    make_mesh,
    on_any_process,
    replicated,
    state_shardings,
)
from din_jax.training.objective import Objective
from din_jax.training.optimizer import make_optimizer, rate_of
from din_jax.training.page import leave_page, note_start
from din_jax.training.reports import Reports, Window, finite
from din_jax.training.schedule import rows_of_the_stop, until_a_report
from din_jax.training.setup import given_variables, load_loss_network, products_notice
from din_jax.training.spikes import Spikes
from din_jax.training.state import Network, TrainState, count, create_state
from din_jax.training.step import make_train_step
from din_jax.training.validation import Validation
from din_jax.weights.models import load_model


class Trainer:
    """Everything that one run holds: network, data, state, writers.

    Args:
      config: the run's settings.
      run: its directory; one that holds checkpoints of the same settings is resumed.
      command: that started it, for its report.
    """

    def __init__(self, config: Config, run: Path, command: Sequence[str] = ()):
        self.config, self.run, self.command = config, run, command
        self._began = time.monotonic()
        self.mesh = make_mesh(config.train.fsdp)
        local_batch(config.train.batch, config.train.accumulate)  # refuses what does not divide it
        self._given = None  # the model to begin from, which is loaded first: its name may be wrong
        if config.train.initialize and not has_checkpoints(run):
            self._given = load_model(config.train.initialize)
        claim_run(run, config)
        claim_data(run, config.data)
        vgg = load_loss_network(config)
        whole = replicated(self.mesh)
        self.vgg = jax.device_put(jax.tree.map(jnp.asarray, vgg.params), whole)
        objective = Objective.of(config, vgg.preprocessing)
        backbone = VGGBackbone(vgg.params, vgg.preprocessing)
        uses_vgg = "vgg19" in (config.model.network, config.model.style_encoder)
        self.network = Network(config.model, backbone if uses_vgg else None)
        self.optimizer = make_optimizer(config.optim, config.train.steps)
        self.frozen = jax.device_put(self.network.frozen(), whole)
        abstract = jax.eval_shape(self._create, jax.random.key(config.seed))
        self.shardings = state_shardings(self.mesh, abstract, config.train.shard)
        self.abstract = jax.tree.map(
            lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
            abstract,
            self.shardings,
        )
        with jax.default_matmul_precision(config.train.products):
            self.feed = (
                ResidentFeed(config, self.mesh, objective, self.vgg)
                if config.data.resident
                else HostFeed(config, self.mesh)
            )
        self.step = make_train_step(self.network, objective, self.optimizer, config)
        self.measures, self.spikes = Measures(config.train.batch), Spikes()
        self.tracing, self.boards = Tracing(run / "profile", 0), []
        self._steps = Steps(self.step, self.feed.draw, self.shardings, whole)
        self.validate = Validation(
            config, self.mesh, self.network, objective, self.vgg, self.frozen
        )
        self._stop = False

    def _create(self, key) -> TrainState:
        average = self.config.optim.average > 0
        return create_state(self.network, self.optimizer, key, average=average)

    def initial_state(self) -> TrainState:
        """A fresh state, with the variables of `config.train.initialize` where that is given."""
        create = jax.jit(self._create, out_shardings=self.shardings)
        key = jax.random.key(self.config.seed)
        if not self.config.train.initialize:
            return create(key)
        state = create(key)
        given, self._given = self._given, None
        given = given or load_model(self.config.train.initialize)
        variables = jax.device_put(
            given_variables(given, self.config, state.variables),
            {"params": self.shardings.params, "batch_stats": self.shardings.batch_stats},
        )
        state = state.replace(**variables)
        if state.average:
            state = state.replace(average=jax.tree.map(jnp.copy, variables["params"]))
        return state

    def train(self) -> TrainState:
        """Runs to `config.train.steps`, or until Ctrl-C or SIGTERM, and leaves a checkpoint.

        A signal to any of several processes stops all of them at the same step: at the end of the
        call in which it came, or of the next.
        """
        config = self.config.train
        checkpoints = Checkpoints(self.run, self.config)
        resumed = checkpoints.latest()
        if resumed is not None and resumed > config.steps:
            raise UserError(
                f"{self.run} is at step {resumed} already, past config.train.steps={config.steps}: "
                "raise it, or choose another --workdir."
            )
        state, kept = self._last_good(checkpoints, self.feed.iterator)
        self.feed.attempt = kept.get("rollbacks", 0)
        reports = Reports(
            self.run, resumed, config.steps, enabled=jax.process_index() == 0,
            dropped=() if resumed == config.steps else kept.get("of the end", ()),
            boards=self.boards,
        )  # fmt: skip
        checkpoints.say = self.tracing.say = reports.say
        if jax.process_index() == 0:
            note_start(self.run, self.command)
        reports.say(self._headline(state, resumed))
        if notice := products_notice(config.products):
            reports.say(notice)
        handlers = {s: signal.signal(s, self._on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            if resumed is None:
                self.validate(state.variables, 0, reports)
            if resumed != config.steps:
                self.measures.alone = self.feed.alone()
            window = Window(kept.get("window"))
            state = self._loop(state, resumed or 0, window, checkpoints, reports)
            checkpoints.wait()
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            with contextlib.ExitStack() as closing:  # each of them, whatever another raises
                closing.callback(leave_page, self.run)
                for each in (self.feed, reports, checkpoints, self.tracing):
                    closing.callback(each.close)
        if int(state.step) < config.steps:
            print(f"Stopped at step {int(state.step)}, saved. The same command goes on from there.")
        elif jax.process_index() == 0:
            print(
                f"Finished step {int(state.step)}; pictures in {self.run / 'grids'}. "
                f"Paint with it: python evaluate.py --checkpoint {self.run} "
                "--content PHOTOS --style PAINTINGS --output OUT"
            )
        return state

    def _last_good(self, checkpoints: Checkpoints, iterator) -> tuple[TrainState, dict]:
        """That of the newest checkpoint, or the first, and what was kept of its tables."""
        if checkpoints.latest() is None:
            return self.initial_state(), {}
        return checkpoints.restore(self.abstract, iterator), checkpoints.reports()

    def _on_signal(self, number, frame):
        if self._stop:
            interrupt()
        self._stop = True
        print("\nStopping after this call; once more to stop at once, unsaved.", flush=True)

    def _headline(self, state: TrainState, resumed: int | None) -> str:
        parts = ", ".join(f"{name} {count(p):,}" for name, p in state.params.items())
        start = "new run" if resumed is None else f"resumed at step {resumed}"
        devices = f"{jax.device_count()} {jax.devices()[0].platform} device(s)"
        rate = rate_of(self.config.optim, self.config.train.steps, resumed)
        return f"{self.run}: {start}, {devices}; {rate}; parameters: {parts}"

    def _loop(
        self, state: TrainState, step: int, window: Window, checkpoints: Checkpoints,
        reports: Reports,
    ) -> TrainState:  # fmt: skip
        config = self.config.train
        end = self._began + 60 * config.minutes if config.minutes else math.inf
        last = step >= config.steps
        while not last:
            steps = until_a_report(config, step)
            began = time.monotonic()
            try:
                taken, steps = self.feed.take(steps)
            except UserError as error:  # the others of several processes wait in a collective
                alone = jax.process_count() == 1
                saved = alone and self._save_early(state, step, window, checkpoints, reports)
                if not saved:
                    raise
                checkpoints.wait()
                raise UserError(f"{error} Step {step} is saved.") from error
            ready = time.monotonic()
            with self.tracing.call(steps), jax.default_matmul_precision(config.products):
                state, sums, done = self._steps(
                    state, steps, taken, self.feed.arrays, self.vgg, self.frozen
                )
                # The only words from the device: those of the whole call, once it has ended.
                sums, done = jax.device_get((sums, done))
            self.measures.add(ready - began, time.monotonic() - ready, int(done))
            window.add({name: float(value) for name, value in sums.items()}, int(done))
            step += int(done)
            reports.advance(int(done))
            if done and (told := self.spikes.add(step, float(sums["total"]) / int(done))):
                reports.say(told)
            checkpoints.look()
            if done < steps:
                what = f"the loss or its gradient is not finite at step {step + 1}"
                if self.feed.attempt < config.rollbacks:
                    state, step, window = self._rolled_back(what, checkpoints, reports)
                    continue
                self._save_early(state, step, window, checkpoints, reports)
                raise _not_finite(what, checkpoints, self.feed.attempt)
            # Decided once a call: a signal that comes later ends the next call, which saves.
            stop = on_any_process(self._stop or time.monotonic() >= end)
            last = step >= config.steps or stop
            if step % config.log_every == 0 or last:
                self._row(step, window, reports)
            saving = step % config.checkpoint_every == 0 or last
            if step % config.validate_every == 0 or saving:
                paused = time.monotonic()
                loss = self.validate(state.variables, step, reports)
                if not finite(loss):
                    what = f"the validation loss is not finite at step {step}"
                    if self.feed.attempt >= config.rollbacks:
                        raise _not_finite(what, checkpoints, self.feed.attempt)
                    state, step, window = self._rolled_back(what, checkpoints, reports)
                    last = False
                    continue
                if saving:
                    kept = self._kept(step, window.saved(paused))
                    checkpoints.save(state, self.feed.iterator, loss, kept)
                window.since += time.monotonic() - paused
        return state

    def _row(self, step: int, window: Window, reports: Reports):
        """Tells and writes the means of the window."""
        c = self.config
        speed = window.count * c.train.batch / (time.monotonic() - window.since)
        if skipped := round(window.sum("skipped")):
            reports.say(
                f"step {step}: {skipped} of {window.count} steps skipped, for their gradient's "
                f"norm was above {c.optim.skip_above:g}"
            )
        # A stop leaves the window open: the resumed run writes its row.
        means = window.take() if step % c.train.log_every == 0 else window.means()
        measured = {"images_per_second": speed} | self.measures.take() | peak_memory()
        if told := self.measures.told(measured):
            reports.say(f"step {step}: {told}")
        reports.scalars(step, "train", means | measured)
        reports.progress(means, speed)

    def _kept(self, step: int, window: dict) -> dict:
        """What a checkpoint keeps of the tables, beside the state."""
        extra = rows_of_the_stop(self.config.train, step)
        return {"window": window, "of the end": extra, "rollbacks": self.feed.attempt}

    def _rolled_back(
        self, what: str, checkpoints: Checkpoints, reports: Reports
    ) -> tuple[TrainState, int, Window]:
        """The last good state, from which the run goes on with other pictures than it had."""
        checkpoints.settle()
        # The iterator stays where it is, behind the pictures that led here.
        state, kept = self._last_good(checkpoints, None)
        step = int(state.step)
        self.feed.attempt += 1
        of = f"rollback {self.feed.attempt} of {self.config.train.rollbacks}"
        reports.back_to(step, kept.get("of the end", ()))
        reports.say(f"Warning: {what}: back to step {step}, with other pictures ({of}).")
        return state, step, Window(kept.get("window"))

    def _save_early(
        self, state: TrainState, step: int, window: Window, checkpoints: Checkpoints,
        reports: Reports,
    ) -> bool:  # fmt: skip
        """Saves where a run ends before its time, if its pictures are finite; whether it did."""
        loss = self.validate(state.variables, step, reports)
        if saved := bool(step) and finite(loss):
            kept = self._kept(step, window.saved(time.monotonic()))
            checkpoints.save(state, self.feed.iterator, loss, kept)
        return saved


def _not_finite(what: str, checkpoints: Checkpoints, rollbacks: int) -> UserError:
    checkpoints.settle()
    good = checkpoints.latest()
    after = f", after {rollbacks} rollback{'s' if rollbacks > 1 else ''}" if rollbacks else ""
    return UserError(
        f"{what}{after}; the last good checkpoint is {'none' if good is None else f'step {good}'}: "
        "lower config.optim.learning_rate or set config.optim.clip, in a new --workdir."
    )
