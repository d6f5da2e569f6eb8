"""The training loop: set-up in the order in which things fail, then steps until done or stopped."""

import signal
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from din_jax.config import Config
from din_jax.data.pairs import make_batches, validation_pairs
from din_jax.errors import UserError
from din_jax.models.stylizer import VGGBackbone
from din_jax.training.checkpoints import Checkpoints, claim_run
from din_jax.training.mesh import (
    batch_sharding,
    local_batch,
    make_mesh,
    replicated,
    state_shardings,
)
from din_jax.training.optimizer import make_optimizer
from din_jax.training.reports import Average, Reports, finite
from din_jax.training.state import Network, TrainState, count, create_state, variables_of
from din_jax.training.step import Objective, layers_read, make_eval_step, make_train_step
from din_jax.weights import VGGWeights, vgg19_of
from din_jax.weights.models import load_model

RANDOM_NOTICE = (
    "Loss network: seeded RANDOM features (config.loss.network='random'). Losses are comparable "
    "among such runs only, and styles are coarser than with VGG-19."
)
# Validation runs in batches of at most this many pairs.
VALIDATION_BATCH = 8


def load_loss_network(config: Config) -> VGGWeights:
    """The VGG-19 that the config asks for, with every layer that its losses and model need."""
    layers = {*config.loss.content_layers, *config.loss.style_layers, *layers_read(config.model)}
    if config.model.network == "vgg19":
        layers.add("relu4_1")
    if config.loss.network == "random":
        print(RANDOM_NOTICE, flush=True)
    weights = vgg19_of(config, layers)
    if weights.note:
        print(f"Loss network: {weights.note}.", flush=True)
    return weights


class Trainer:
    """Everything that one run holds: network, data, state, writers.

    Args:
      config: the run's settings.
      run: its directory; one that holds checkpoints of the same settings is resumed.
    """

    def __init__(self, config: Config, run: Path):
        self.config, self.run = config, run
        self.mesh = make_mesh()
        pairs = local_batch(config.train.batch)
        claim_run(run, config)
        vgg = load_loss_network(config)
        self.batches = make_batches(
            config.data,
            pairs,
            config.seed,
            shard_index=jax.process_index(),
            shard_count=jax.process_count(),
            styles=config.model.styles,
        )
        self.iterator = iter(self.batches)
        self.held_out = self._held_out(config)
        backbone = VGGBackbone(vgg.params, vgg.preprocessing)
        uses_vgg = "vgg19" in (config.model.network, config.model.style_encoder)
        self.network = Network(config.model, backbone if uses_vgg else None)
        self.optimizer = make_optimizer(config.optim, config.train.steps)
        objective = Objective(config.loss, vgg.preprocessing, layers_read(config.model))
        whole = replicated(self.mesh)
        self.vgg = jax.device_put(jax.tree.map(jnp.asarray, vgg.params), whole)
        self.frozen = jax.device_put(self.network.frozen(), whole)
        abstract = jax.eval_shape(self._create, jax.random.key(config.seed))
        self.shardings = state_shardings(self.mesh, abstract, config.train.params)
        self.abstract = jax.tree.map(
            lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
            abstract,
            self.shardings,
        )
        split = batch_sharding(self.mesh)
        self._step = jax.jit(
            make_train_step(self.network, objective, self.optimizer, config),
            in_shardings=(self.shardings, split, whole, whole),
            out_shardings=(self.shardings, whole),
            donate_argnums=0,
        )
        self._evaluate = jax.jit(
            make_eval_step(self.network, objective, config), out_shardings=whole
        )
        self._stop = False

    def _create(self, key) -> TrainState:
        return create_state(self.network, self.optimizer, key)

    @staticmethod
    def _held_out(config: Config) -> list[dict[str, np.ndarray]]:
        """Validation pairs in equal batches, a multiple of the devices each."""
        pairs = validation_pairs(
            config.data, config.data.validation, config.seed, config.model.styles
        )
        size = min(VALIDATION_BATCH, len(pairs))
        size = -(-size // jax.device_count()) * jax.device_count()
        groups = -(-len(pairs) // size)
        pairs = [pairs[i % len(pairs)] for i in range(groups * size)]
        return [
            {key: np.stack([p[key] for p in pairs[i : i + size]]) for key in pairs[0]}
            for i in range(0, len(pairs), size)
        ]

    def initial_state(self) -> TrainState:
        """A fresh state, with the variables of `config.train.initialize` where that is given."""
        create = jax.jit(self._create, out_shardings=self.shardings)
        key = jax.random.key(self.config.seed)
        if not self.config.train.initialize:
            return create(key)
        variables = variables_of(load_model(self.config.train.initialize).model)
        if _shapes(variables) != _shapes(self.abstract.variables):
            raise UserError(
                f"config.train.initialize: the model in {self.config.train.initialize} has other "
                "parameters than config.model; give the config.model it was trained with."
            )
        variables = jax.device_put(
            variables,
            {"params": self.shardings.params, "batch_stats": self.shardings.batch_stats},
        )
        return create(key).replace(**variables)

    def train(self) -> TrainState:
        """Runs to `config.train.steps`, or until Ctrl-C or SIGTERM, and leaves a checkpoint."""
        config = self.config.train
        checkpoints = Checkpoints(self.run, self.config)
        resumed = checkpoints.latest()
        if resumed is None:
            state = self.initial_state()
        else:
            state = checkpoints.restore(self.abstract, self.iterator)
        step = resumed or 0
        reports = Reports(self.run, step, config.steps, enabled=jax.process_index() == 0)
        reports.say(self._headline(state, resumed))
        handlers = {s: signal.signal(s, self._on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            if resumed is None:
                self.validate(state.variables, 0, reports)
            state = self._loop(state, step, checkpoints, reports)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            checkpoints.wait()
            checkpoints.close()
            reports.close()
            if hasattr(self.iterator, "close"):
                self.iterator.close()
        if self._stop:
            print(f"Stopped at step {int(state.step)}, saved. The same command goes on from there.")
        elif jax.process_index() == 0:
            print(
                f"Finished step {int(state.step)}; pictures in {self.run / 'grids'}. "
                f"Paint with it: python evaluate.py --checkpoint {self.run} "
                "--content PHOTOS --style PAINTINGS --output OUT"
            )
        return state

    def _on_signal(self, number, frame):
        if self._stop:
            raise KeyboardInterrupt
        self._stop = True
        print("\nStopping after this step; once more to stop at once, unsaved.", flush=True)

    def _headline(self, state: TrainState, resumed: int | None) -> str:
        parts = ", ".join(f"{name} {count(p):,}" for name, p in state.params.items())
        start = "new run" if resumed is None else f"resumed at step {resumed}"
        devices = f"{jax.device_count()} {jax.devices()[0].platform} device(s)"
        return f"{self.run}: {start}, {devices}; parameters: {parts}"

    def _loop(self, state: TrainState, step: int, checkpoints: Checkpoints, reports: Reports):
        config = self.config.train
        average, since = Average(), time.monotonic()
        last = step >= config.steps
        while not last:
            batch = self._to_devices(next(self.iterator))
            state, metrics = self._step(state, batch, self.vgg, self.frozen)
            step += 1
            metrics = {name: float(value) for name, value in jax.device_get(metrics).items()}
            _require_finite(step, checkpoints, metrics["total"], metrics["gradient_norm"])
            average.add(metrics)
            reports.advance()
            # Decided once a step: a signal that comes later ends the next step, which saves.
            last = step >= config.steps or self._stop
            if step % config.log_every == 0 or last:
                now = time.monotonic()
                speed = average.count * config.batch / (now - since)
                means = average.take()
                reports.scalars(step, "train", means | {"images_per_second": speed})
                reports.progress(means, speed)
                since = now
            saving = step % config.checkpoint_every == 0 or last
            if step % config.validate_every == 0 or saving:
                paused = time.monotonic()
                loss = self.validate(state.variables, step, reports)
                _require_finite(step, checkpoints, loss)
                if saving:
                    checkpoints.save(state, self.iterator, loss)
                since += time.monotonic() - paused
        return state

    def _to_devices(self, batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
        sharding = batch_sharding(self.mesh)
        return {
            key: jax.make_array_from_process_local_data(sharding, np.asarray(value))
            for key, value in batch.items()
        }

    def validate(self, variables, step: int, reports: Reports) -> float:
        """Mean losses on the held-out pairs; every `grid_every` steps also their pictures."""
        average = Average()
        grid = step % self.config.train.grid_every == 0 or step == self.config.train.steps
        split = batch_sharding(self.mesh)
        for i, batch in enumerate(self.held_out):
            metrics, stylized = self._evaluate(
                variables, jax.device_put(batch, split), self.vgg, self.frozen
            )
            average.add({name: float(value) for name, value in jax.device_get(metrics).items()})
            if i == 0 and grid:
                reports.grid(step, batch["content"], batch["style"], jax.device_get(stylized))
        means = average.take()
        reports.scalars(step, "validation", means)
        reports.say(
            f"step {step}: validation content {means['content']:.3f}, style {means['style']:.3f}, "
            f"output spread {means['output_spread']:.3f}"
        )
        return means["total"]


def _shapes(tree):
    return jax.tree.map(lambda x: tuple(x.shape), tree)


def _require_finite(step: int, checkpoints: Checkpoints, *values: float):
    """Stops before a state that has diverged is saved."""
    if finite(*values):
        return
    checkpoints.wait()
    good = checkpoints.latest()
    raise UserError(
        f"the loss or its gradient is not finite at step {step}; the last good checkpoint is "
        f"{'none' if good is None else f'step {good}'}: lower config.optim.learning_rate or set "
        "config.optim.clip, in a new --workdir."
    )
