"""A VGG-19 of three channels a layer, a tiny model, and pictures on disk."""

import numpy as np
import pytest
from flax import nnx

from din_jax.config import Config
from din_jax.data.decoding import save_image
from din_jax.models.network import StylizationNetwork
from din_jax.models.vgg import layers_up_to
from din_jax.ops.forms import default_form
from din_jax.ops.preprocessing import Preprocessing
from din_jax.weights.models import save_model
from din_jax.weights.vgg19 import VGGWeights


@pytest.fixture(scope="module", autouse=True)
def plain_convolutions():
    """Compiled in half the time; tests of ops, models and layers hold that both forms are equal."""
    with default_form("conv"):
        yield


@pytest.fixture
def narrow_vgg():
    return narrow("relu4_1")


@pytest.fixture
def deeper_vgg():
    return narrow("relu5_1")


def narrow(layer):
    rng = np.random.default_rng(0)
    params, inputs = {}, 3
    for name in layers_up_to(layer):
        outputs = 3 + int(name[4])
        params[name] = {
            "kernel": 0.4 * rng.standard_normal((3, 3, inputs, outputs), np.float32),
            "bias": rng.uniform(0, 0.5, outputs).astype(np.float32),
        }
        inputs = outputs
    preprocessing = Preprocessing(255.0, (120.0, 110.0, 100.0), (60.0, 61.0, 62.0), bgr=True)
    return VGGWeights(params, preprocessing, tuple(params), "narrow")


@pytest.fixture
def pictures(tmp_path):
    """pictures("content", "a.png", "sub/b.jpg"): files of random pixels, sizes all different."""

    def make(folder, *names):
        for i, name in enumerate(names):
            rng = np.random.default_rng([i, len(folder)])
            shape = (33 + i, 36 + 2 * i, 3)
            save_image(tmp_path / folder / name, rng.integers(0, 256, shape, np.uint8))
        return tmp_path / folder

    return make


@pytest.fixture
def model_file(tmp_path):
    model = {"widths": [4, 8, 8], "residuals": 0, "code": "adain", "style_encoder": "content"}
    config = Config.from_dict({"model": model, "data": {"crop": 32}})
    abstract = nnx.eval_shape(lambda: StylizationNetwork(config.model, None, rngs=nnx.Rngs(0)))
    rng = np.random.default_rng(0)

    def fill(tree):
        if isinstance(tree, dict):
            return {key: fill(value) for key, value in tree.items()}
        return rng.normal(0, 0.2, tree.shape).astype(np.float32)

    params = fill(nnx.to_pure_dict(nnx.state(abstract, nnx.Param)))
    return save_model(tmp_path / "tiny.safetensors", config, {"params": params})
