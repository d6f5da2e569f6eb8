"""AdaIN with a style encoder of its own: shared AdaIN's picture where the two are alike."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from din_jax.config import Config, ModelConfig
from din_jax.errors import UserError
from din_jax.models.network import StylizationNetwork

SHARED = ModelConfig(
    widths=(2, 4, 6), residuals=1, code="adain", style_encoder="content",
    encoder_norm="none", decoder_norm="none",
)  # fmt: skip
UNSHARED = dataclasses.replace(SHARED, style_encoder="unshared")


def test_it_is_shared_adain_where_both_encoders_are_alike_and_another_where_not():
    rng = np.random.default_rng(0)
    content, style = jnp.asarray(rng.random((2, 1, 32, 36, 3)), jnp.float32)
    shared = StylizationNetwork(SHARED, rngs=nnx.Rngs(0))
    unshared = StylizationNetwork(UNSHARED, rngs=nnx.Rngs(1))
    picture = jax.jit(lambda model, *images: model(*images))
    nnx.update(unshared.encoder, nnx.state(shared.encoder))
    nnx.update(unshared.decoder, nnx.state(shared.decoder))
    expected = picture(shared, content, style)
    assert np.abs(picture(unshared, content, style) - expected).max() > 1e-3
    nnx.update(unshared.style_encoder, nnx.state(shared.encoder))
    np.testing.assert_allclose(picture(unshared, content, style), expected, atol=1e-6)
    # Each reads its own side alone.
    assert unshared.style_encoder is not unshared.encoder


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ({"code": "adain", "style_encoder": "unshared", "network": "vgg19", "levels": 1},
         "a second encoder of the lightweight network"),
        ({"code": "wct", "style_encoder": "unshared", "normalizer": "whitening"},
         "set config.model.style_encoder to 'content'"),
        ({"code": "din", "style_encoder": "unshared"}, "'vgg19' or 'mobilenet'"),
    ],
)  # fmt: skip
def test_it_is_for_adain_in_the_lightweight_network(model, words):
    with pytest.raises(UserError, match=words):
        Config.from_dict({"model": model})
