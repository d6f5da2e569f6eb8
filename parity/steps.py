"""Training on either side, so that gradients and updates can be looked at."""

import copy
import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

from din_jax.training.objective import Objective
from din_jax.training.optimizer import make_optimizer
from din_jax.training.state import TrainState
from din_jax.training.step import make_train_step
from din_jax.weights.torch_names import to_torch
from parity.pair import Pair, as_torch
from parity.reference import training as reference

Batch = dict[str, np.ndarray]


class Settings(NamedTuple):
    """The part of a `Config` that `make_train_step` reads; a run has no float64, this has."""

    train: object
    loss: object
    optim: object


@dataclasses.dataclass
class JaxTraining:
    """The compiled update of `din_jax`, which also keeps the last gradient and what it led to."""

    step: jax.stages.Compiled
    state: TrainState
    pair: Pair

    def __call__(self, batch: Batch) -> dict[str, jax.Array]:
        self.state, metrics = self.step(self.state, batch, self.pair.vgg, self.pair.frozen)
        return metrics

    @property
    def gradient(self) -> dict:
        return self.state.opt_state[0]

    @property
    def update(self) -> dict:
        return self.state.opt_state[1]


def jax_training(pair: Pair, batch: Batch, steps: int) -> JaxTraining:
    """The state at step 0 and the update, compiled for batches of this shape."""
    config = pair.config
    train = dataclasses.replace(config.train, compute_dtype=pair.dtype)
    settings = Settings(train, config.loss, config.optim)
    objective = Objective.of(config, pair.weights.preprocessing)
    optimizer = keep_update(make_optimizer(config.optim, steps))
    start = optimizer.init(pair.params)
    state = TrainState(jnp.zeros((), jnp.int32), pair.params, pair.stats, start)
    step = jax.jit(make_train_step(pair.network, objective, optimizer, settings))
    return JaxTraining(step.lower(state, batch, pair.vgg, pair.frozen).compile(), state, pair)


def keep_update(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    """The same optimizer, with the last gradient and the last update before its own state.

    Its counters are as wide as JAX makes them: schedules and powers of a 32 bit counter are float32
    numbers, even beside float64 parameters.
    """

    def init(params):
        widest = jnp.asarray(0).dtype
        inner = jax.tree.map(
            lambda x: x.astype(widest) if jnp.issubdtype(x.dtype, jnp.integer) else x,
            optimizer.init(params),
        )
        zeros = jax.tree.map(jnp.zeros_like, params)
        return zeros, zeros, inner

    def update(gradient, state, params=None):
        updates, inner = optimizer.update(gradient, state[2], params)
        return updates, (gradient, updates, inner)

    return optax.GradientTransformation(init, update)


class TorchTraining:
    """PyTorch's side: a model of its own, with its optimizer and schedule."""

    def __init__(self, pair: Pair, steps: int):
        self.pair = pair
        self.model = copy.deepcopy(pair.model).train()
        self.optimizer, self.scheduler = reference.make_optimizer(
            self.model.named_parameters(), pair.config.optim, steps
        )
        self.count = 0

    def __call__(self, images: dict[str, torch.Tensor]) -> dict[str, float]:
        self.count += 1
        return reference.update(
            self.model,
            self.pair.torch_vgg,
            images,
            self.optimizer,
            self.scheduler,
            self.pair.config,
            self.count - 1,
        )


def shaken_training(pair: Pair, steps: int) -> TorchTraining:
    """PyTorch's side from parameters that are off by rounding errors."""
    training = TorchTraining(pair, steps)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in training.model.parameters():
            noise = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
            parameter.mul_(1 + torch.finfo(torch.float32).eps * noise)
    return training


def adam_states(state) -> list[optax.ScaleByAdamState]:
    """Every Adam state inside an optimizer's, whatever is chained around it."""
    found = jax.tree.leaves(state, is_leaf=lambda x: isinstance(x, optax.ScaleByAdamState))
    return [x for x in found if isinstance(x, optax.ScaleByAdamState)]


def gradient_of(model: torch.nn.Module) -> dict[str, np.ndarray]:
    """The gradients that lie on a model, zero where none was computed."""
    return {
        name: np.zeros(tuple(p.shape)) if p.grad is None else p.grad.numpy()
        for name, p in model.named_parameters()
    }


def as_images(batch: Batch, dtype: str) -> dict[str, torch.Tensor]:
    """A batch for PyTorch's side."""
    return {side: as_torch(batch[side], dtype) for side in ("content", "style")}


def to_arrays(params: dict) -> dict[str, np.ndarray]:
    """PyTorch's names to arrays; optax's placeholders for another group's parameters vanish."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return to_torch({".".join(["params", *(str(k.key) for k in path)]): x for path, x in leaves})
