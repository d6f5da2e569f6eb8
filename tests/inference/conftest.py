"""A content network of a few channels whose style code is AdaIN's: compiled in a second or two."""

import functools
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx

from din_jax.config import Config
from din_jax.inference.engine import Engine
from din_jax.inference.stylizer import Stylizer
from din_jax.models.network import StylizationNetwork
from din_jax.models.vgg import conv_shapes, layers_up_to
from din_jax.ops.forms import default_form
from din_jax.ops.preprocessing import Preprocessing
from din_jax.weights.models import LoadedModel, build_model
from din_jax.weights.vgg19 import VGGWeights


@pytest.fixture(scope="module", autouse=True)
def plain_convolutions():
    """Compiled in half the time; tests of ops, models and layers hold that both forms are equal."""
    with default_form("conv"):
        yield


TINY = {
    "widths": [4, 6, 8],
    "kernel": 3,
    "residuals": 1,
    "separable": False,
    "encoder_norm": "none",
    "code": "adain",
    "style_encoder": "content",
}

NETS = {"code": "din", "style_encoder": "mobilenet", "net_hidden": 4, "net_scale": 0.5}
TABLE = {"code": "cin", "style_encoder": "none", "styles": ["waves", "glass", "dots"]}
# What every control is tested with: each method, and each transform of DIN.
METHODS = {
    "adain": {},
    "wct": {"code": "wct", "normalizer": "whitening"},
    "linear": {"code": "linear", "normalizer": "linear", "net_hidden": 4, "net_scale": 0.5},
    "cin": TABLE,
    "din": NETS,
    "spatial": NETS | {"transform": "spatial", "spatial_grid": 4},
    "deformable": NETS | {"transform": "deformable", "dynamic_kernel": 3},
}


def make_loaded(config, vgg=None):
    """A model of He-normal kernels, drawn by NumPy: JAX would compile a program per shape."""
    rng = np.random.default_rng(3)
    backbone = None if vgg is None else (vgg.params, vgg.preprocessing)
    abstract = nnx.eval_shape(lambda: StylizationNetwork(config.model, backbone, rngs=nnx.Rngs(0)))

    def draw(path, x):
        if path[-1].key == "scale":  # of norms
            return rng.uniform(0.5, 1.5, x.shape)
        deviation = (2 / np.prod(x.shape[:-1])) ** 0.5 if len(x.shape) > 1 else 0
        return deviation * rng.standard_normal(x.shape)

    def running(path, x):
        mean = path[-1].key == "mean"
        return 0.1 * rng.standard_normal(x.shape) if mean else rng.uniform(0.5, 1.5, x.shape)

    params = jax.tree.map_with_path(draw, nnx.to_pure_dict(nnx.state(abstract, nnx.Param)))
    stats = jax.tree.map_with_path(running, nnx.to_pure_dict(nnx.state(abstract, nnx.BatchStat)))
    model = build_model(config, {"params": params, "batch_stats": stats}, vgg)
    return LoadedModel(config, model, 5, Path("tiny"), {}, vgg, fingerprint="cd" * 32)


@functools.cache
def load_method(name):
    data = {"crop": 40, "resize": 40}
    return make_loaded(Config.from_dict({"model": TINY | METHODS[name], "data": data}))


@pytest.fixture(scope="session")
def loaded():
    return load_method("adain")


@pytest.fixture(scope="session", params=METHODS)
def method(request):
    """The name of each method, and a stylizer of a tiny network with it."""
    return request.param, stylizer(request.param)


@pytest.fixture
def tested_methods():
    return set(METHODS)


@functools.cache
def stylizer(name):
    return Stylizer(load_method(name), style_size=0, batch=1)


@pytest.fixture(scope="session")
def stylizer_of():
    return stylizer


@pytest.fixture(scope="session")
def make():
    """make(changes): the same model with other settings."""
    return lambda **changes: make_loaded(
        Config.from_dict({"model": TINY | changes, "data": {"crop": 40, "resize": 40}})
    )


@pytest.fixture(scope="session")
def known():
    """An engine whose model has a table of three styles."""
    return Engine(load_method("cin"))


@pytest.fixture(scope="session")
def loaded_vgg():
    """AdaIN on a VGG-19 with its mirrored decoder."""
    rng = np.random.default_rng(0)
    params = {}
    for name in layers_up_to("relu4_1"):
        shape = conv_shapes()[name]
        deviation = np.float32((2 / np.prod(shape[:3])) ** 0.5)
        kernel = deviation * rng.standard_normal(shape, np.float32)
        params[name] = {"kernel": kernel, "bias": np.zeros(shape[3], np.float32)}
    vgg = VGGWeights(params, Preprocessing(mean=(0.5, 0.5, 0.5)), tuple(params))
    model = {"network": "vgg19", "levels": 1, "code": "adain", "style_encoder": "content"}
    return make_loaded(Config.from_dict({"model": model, "data": {"crop": 32, "resize": 32}}), vgg)


@pytest.fixture
def image():
    """image(height, width, seed): smooth blobs of color, so that styles differ in statistics."""

    def make(height, width, seed=0):
        rng = np.random.default_rng(seed)
        rows, columns = np.mgrid[:height, :width] / 10
        waves = [
            np.sin(rows * rng.uniform(0.2, 2) + columns * rng.uniform(0.2, 2) + rng.uniform(0, 6))
            for _ in range(3)
        ]
        low, high = np.sort(rng.uniform(0, 255, (2, 3)), 0)
        x = low + (high - low) * (np.stack(waves, -1) + 1) / 2
        x += rng.normal(0, 8, (height, width, 3))
        return np.clip(x, 0, 255).astype(np.uint8)

    return make
