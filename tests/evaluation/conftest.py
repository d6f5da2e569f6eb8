"""A VGG-19 of three channels a layer, and pictures on disk."""

import numpy as np
import pytest

from din_jax.data.decoding import save_image
from din_jax.models.vgg import layers_up_to
from din_jax.ops.preprocessing import Preprocessing
from din_jax.weights.vgg19 import VGGWeights


@pytest.fixture
def narrow_vgg():
    rng = np.random.default_rng(0)
    params, inputs = {}, 3
    for name in layers_up_to("relu4_1"):
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
