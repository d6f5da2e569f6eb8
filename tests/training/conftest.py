"""One tiny network, its batch and its compiled update, shared by the tests of a session."""

import dataclasses
import functools
import runpy
from pathlib import Path
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.config import Config
from din_jax.models.style_encoders import MAP_CHANNELS, MobileNetFeatures
from din_jax.ops.forms import default_form
from din_jax.training import loop
from din_jax.training.calls import Steps
from din_jax.training.objective import Objective, layers_needed
from din_jax.training.optimizer import make_optimizer
from din_jax.training.state import Network, TrainState
from din_jax.training.step import make_train_step
from din_jax.weights import random_vgg19

from .fake_runs import checkpoints_in_memory, fake_trainer


@pytest.fixture(scope="module", autouse=True)
def plain_convolutions():
    """Compiled in half the time; tests of ops, models and layers hold that both forms are equal."""
    with default_form("conv"):
        yield


@pytest.fixture(scope="module", autouse=True)
def small_style_encoder():
    """Two narrow blocks in the place of the style encoder's five, to the same stride."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MobileNetFeatures, "CHANNELS", (8, 8, MAP_CHANNELS))
        patch.setattr(MobileNetFeatures, "STRIDES", (2, 2, 2))
        yield


TINY = runpy.run_path(str(Path(__file__).with_name("tiny.py")))["TINY"]


random_features = functools.cache(random_vgg19)


def change(config: Config, **sections) -> Config:
    """`config` with some fields of some sections replaced: change(c, train={"steps": 2})."""
    parts = {
        name: dataclasses.replace(getattr(config, name), **fields)
        for name, fields in sections.items()
    }
    return dataclasses.replace(config, **parts)


def parts_of(config: Config) -> SimpleNamespace:
    """Network, loss and compiled update as the trainer wires them, without its files."""
    vgg = random_features(0, tuple(sorted(layers_needed(config))))
    network = Network(config.model)
    optimizer = make_optimizer(config.optim, config.train.steps)
    objective = Objective.of(config, vgg.preprocessing)
    return SimpleNamespace(
        config=config,
        vgg=jax.tree.map(jnp.asarray, vgg.params),
        preprocessing=vgg.preprocessing,
        network=network,
        objective=objective,
        state=draw_state(network, optimizer),
        step=jax.jit(make_train_step(network, objective, optimizer, config)),
        batch=make_pictures(0),
    )


def draw_state(network: Network, optimizer) -> TrainState:
    """A first state drawn by NumPy: JAX takes 12 s to compile the drawing of a hundred arrays."""
    rng = np.random.default_rng(0)
    params, stats = jax.eval_shape(network.init, jax.random.key(0))

    def draw(path, x):
        names = [str(getattr(entry, "key", "")) for entry in path]
        if names[-1] != "kernel":
            return (
                jnp.ones(x.shape)
                if names[-1] in ("scale", "var", "variance")
                else jnp.zeros(x.shape)
            )
        gain = 16 if "codes" in names and "first" in names else 0.1 if "output" in names else 1
        deviation = gain * (2 / np.prod(x.shape[:-1])) ** 0.5
        return jnp.asarray(deviation * rng.standard_normal(x.shape), jnp.float32)

    params, stats = (jax.tree_util.tree_map_with_path(draw, tree) for tree in (params, stats))
    return TrainState(jnp.zeros((), jnp.int32), params, stats, optimizer.init(params))


def make_pictures(seed: int, count: int = 2) -> dict[str, np.ndarray]:
    """Blocky color patterns, uint8 [count, 32, 32, 3] for content and style."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (2, count, 8, 8, 3), np.uint8)
    content, style = coarse.repeat(4, 2).repeat(4, 3)
    return {"content": content, "style": style}


@pytest.fixture(scope="module", autouse=True)
def no_silent_transfers():
    """The jitted step gets what lies on the devices already, or is put there in so many words."""
    call = Steps.__call__

    def guarded(self, *arguments):
        with jax.transfer_guard("disallow"):
            return call(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Steps, "__call__", guarded)
        yield


@pytest.fixture(scope="module", autouse=True)
def the_same_random_features():
    """The loss network of a seed, made once for all trainers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("din_jax.weights.choose.random_vgg19", random_features)
        yield


@pytest.fixture(scope="session")
def tiny() -> Config:
    return TINY


@pytest.fixture(scope="session")
def changed():
    return change


@pytest.fixture(scope="session")
def pictures():
    return make_pictures


@pytest.fixture(scope="session")
def make_parts():
    return parts_of


tiny_parts = functools.cache(lambda: parts_of(TINY))


@pytest.fixture(scope="module")  # not of the session, which would come before the fixtures above
def parts() -> SimpleNamespace:
    return tiny_parts()


@pytest.fixture
def trainer(tiny, changed, tmp_path):
    return fake_trainer(tiny, changed, tmp_path)


@pytest.fixture
def in_memory(monkeypatch):
    """Checkpoints in memory: those of orbax take longer to write than all the rest."""
    monkeypatch.setattr(loop, "Checkpoints", checkpoints_in_memory())
