"""A VGG-19 of random numbers, scaled so that activations neither die nor grow."""

import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.models.network import VGGBackbone
from din_jax.models.vgg import conv_shapes, layers_up_to
from din_jax.ops.preprocessing import CAFFE


@pytest.fixture(scope="session")
def backbone():
    rng = np.random.default_rng(11)
    params = {}
    for name in layers_up_to("relu4_1"):
        *receptive, outputs = shape = conv_shapes()[name]
        kernel = rng.standard_normal(shape, np.float32) * np.sqrt(2 / np.prod(receptive))
        bias = 0.1 * rng.standard_normal(outputs, np.float32)
        params[name] = {"kernel": jnp.asarray(kernel, jnp.float32), "bias": jnp.asarray(bias)}
    return VGGBackbone(params, CAFFE)
