"""The train state as plain nested dicts, and the functional view of a network over them."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx, struct

from din_jax.config import ModelConfig
from din_jax.models.network import StylizationNetwork, VGGBackbone, abstract_network
from din_jax.models.vgg import Frozen


@struct.dataclass
class TrainState:
    """What an update changes: everything that a checkpoint needs except the input position."""

    step: jax.Array
    params: dict[str, Any]
    batch_stats: dict[str, Any]
    opt_state: optax.OptState
    average: dict[str, Any] = struct.field(default_factory=dict)  # of params over steps, or {}

    @property
    def variables(self) -> dict[str, Any]:
        """What inference needs: {"params": ..., "batch_stats": ...}, averaged where it is kept."""
        return {"params": self.average or self.params, "batch_stats": self.batch_stats}


class Network:
    """A `StylizationNetwork` as pure functions of its variables.

    Modules hold structure; arrays travel as nested dicts, so that the jitted step sees nothing but
    dicts, `multi_transform` reads plain paths and checkpoints have plain names.
    """

    def __init__(self, config: ModelConfig, vgg: VGGBackbone | None = None):
        self.config = config
        self._vgg = vgg
        self._graphs = {}
        model = abstract_network(config, vgg)  # slow to trace, so that both modes are of one
        for training in (True, False):
            model.train() if training else model.eval()
            self._graphs[training] = nnx.split(model, nnx.Param, nnx.BatchStat, Frozen)[0]

    def init(self, key: jax.Array) -> tuple[dict, dict]:
        """Fresh (params, batch_stats)."""
        model = StylizationNetwork(self.config, self._vgg, rngs=nnx.Rngs(key))
        _, params, stats, _ = nnx.split(model, nnx.Param, nnx.BatchStat, Frozen)
        return nnx.to_pure_dict(params), nnx.to_pure_dict(stats)

    def frozen(self) -> dict:
        """Variables that no checkpoint holds: VGG-19 where the model contains it, else {}."""
        if self._vgg is None:
            return {}
        model = StylizationNetwork(self.config, self._vgg, rngs=nnx.Rngs(0))
        return nnx.to_pure_dict(nnx.state(model, Frozen))

    def module(self, params, batch_stats, frozen, *, training: bool) -> StylizationNetwork:
        """The module over these arrays; inside jit this is free."""
        return nnx.merge(self._graphs[training], params, batch_stats, frozen)


def create_state(
    network: Network,
    optimizer: optax.GradientTransformation,
    key: jax.Array,
    *,
    average: bool = False,
) -> TrainState:
    """The state at step 0; pure, so that it can be jitted with output shardings.

    `average` keeps a second copy of the parameters, their running average.
    """
    # A weakly typed array (`jnp.full` gives one) would make the update compile a second time.
    params, stats = jax.tree.map(
        lambda x: jax.lax.convert_element_type(x, x.dtype), network.init(key)
    )
    copy = jax.tree.map(jnp.array, params) if average else {}
    return TrainState(jnp.zeros((), jnp.int32), params, stats, optimizer.init(params), copy)


def count(tree) -> int:
    """How many numbers a tree of arrays holds."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


def variables_of(model: StylizationNetwork) -> dict:
    """{"params", "batch_stats"} of a module, as nested dicts."""
    params = nnx.to_pure_dict(nnx.state(model, nnx.Param))
    return {"params": params, "batch_stats": batch_stats_of(model)}


def batch_stats_of(model: StylizationNetwork) -> dict:
    """The running statistics after a forward pass in training mode."""
    return nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))
