"""Decoders begun by least squares: exact where a convolution can be, near elsewhere."""

import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.evaluation.rivals.networks import Networks, decoder_shapes
from din_jax.evaluation.rivals.regression import least_squares, regressed_decoder
from din_jax.ops.convolution import conv2d
from din_jax.ops.forms import default_form
from din_jax.weights.normalized import noise_images, random_vgg19


@pytest.fixture(autouse=True)
def plain_convolutions():
    with default_form("conv"):
        yield


def test_a_convolution_is_found_from_what_it_gives(monkeypatch):
    monkeypatch.setattr("din_jax.evaluation.rivals.regression.RIDGE", 1e-9)
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(1, 1, (3, 12, 14, 2)), jnp.float32)
    kernel = rng.normal(size=(3, 3, 2, 4)).astype(np.float32)
    target = conv2d(x, jnp.asarray(kernel)) + jnp.asarray([1.0, -2, 3, 0])[None, None, None]
    found, bias = least_squares(x, target)
    np.testing.assert_allclose(found, kernel, atol=1e-4)
    np.testing.assert_allclose(bias, [1, -2, 3, 0], atol=1e-3)


def test_a_silent_channel_is_no_division_by_zero():
    x = jnp.zeros((1, 6, 6, 2)).at[..., 0].set(jnp.arange(36.0).reshape(1, 6, 6))
    kernel, bias = least_squares(x, x[..., :1])
    assert np.isfinite(kernel).all() and np.isfinite(bias).all()
    np.testing.assert_allclose(conv2d(x, jnp.asarray(kernel))[..., 0] + bias[0], x[..., 0], atol=1)


@pytest.mark.parametrize("layer, least", [("relu1_1", 0.99), ("relu2_1", 0.8)])
def test_a_regressed_decoder_gives_other_pictures_back(layer, least):
    vgg = random_vgg19(0, (layer,))
    pictures = np.uint8(255 * noise_images(np.random.default_rng(1))[:, :32, :32])
    others = noise_images(np.random.default_rng(2))[:2, :32, :32]
    params = regressed_decoder(Networks.of(vgg), pictures, layer)
    shapes = decoder_shapes(layer)["convs"]
    assert [c["kernel"].shape for c in params["convs"].values()] == [
        c["kernel"].shape for c in shapes.values()
    ]
    networks = Networks.of(vgg, {layer: params})
    back = np.asarray(networks.decode(networks.encode(others, (layer,))[layer], layer))
    assert np.corrcoef(back.ravel(), others.ravel())[0, 1] > least
