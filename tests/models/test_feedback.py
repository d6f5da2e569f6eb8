"""Nets that look at what their code paints: the loop, and what it leaves alone."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from din_jax.config import ModelConfig
from din_jax.models.network import StylizationNetwork
from din_jax.training.state import batch_stats_of

SMALL = ModelConfig(
    widths=(2, 3, 4), kernel=3, residuals=1, levels=2, style_encoder="mobilenet",
    style_feature="statistics", net_pool=1, net_kernel=1, net_hidden=3, net_scale=0.2,
    encoder_norm="batch", decoder_norm="batch", net_feedback=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def model():
    """In eval mode, what is missing heard as loudly as the style."""
    network = StylizationNetwork(SMALL, rngs=nnx.Rngs(0))
    rng = np.random.default_rng(1)
    for source in network.codes.values():
        for net in (source.weight_net, source.bias_net):
            shape = net.correct.kernel.shape
            net.correct.kernel.set_value(jnp.asarray(rng.normal(0, 0.5, shape), jnp.float32))
    network.eval()
    return network


@pytest.fixture(scope="module")
def styles():
    return jax.random.uniform(jax.random.key(3), (2, 40, 32, 3))


def leaky(x):
    return np.where(x > 0, x, 0.2 * x)


def by_hand(source, features: np.ndarray, missing: np.ndarray):
    """A code from vectors [I], the nets' convolutions written as products."""

    def net(part):
        x = (features - features.mean()) / np.sqrt(features.var() + 1e-5) / 16
        hidden = x @ part.first.kernel[0, 0] + part.first.bias[...]
        hidden = leaky(hidden + missing / 16 @ part.correct.kernel[0, 0] + part.correct.bias[...])
        return hidden @ part.last.kernel[0, 0] + part.last.bias[...]

    channels = source.shape[-1]
    scale = SMALL.net_scale
    kernel = np.eye(channels) + scale * net(source.weight_net).reshape(channels, channels)
    return kernel[None, None], 4 * scale * net(source.bias_net)


def test_each_round_adds_what_the_last_pictures_lacked(model, styles):
    """Style by style and picture by picture, the nets by hand."""
    encode = jax.jit(model.style_features)
    paint = jax.jit(model.stylize)
    found = jax.jit(model.encode_style)(styles)
    pictures = np.asarray(model.feedback.pictures[...])
    assert pictures.shape == (4, 64, 64, 3)
    for number, style in enumerate(styles):
        features = np.asarray(encode(style[None])).ravel().astype(np.float64)
        missing, sums = np.zeros_like(features), []
        for _ in range(SMALL.net_feedback + 1):
            code = {
                name: by_hand(source, features, missing) for name, source in model.codes.items()
            }
            given = {
                name: found[name]._replace(
                    kernel=jnp.asarray(kernel[None], jnp.float32),
                    bias=jnp.asarray(bias[None], jnp.float32),
                )
                for name, (kernel, bias) in code.items()
            }
            painted = [np.clip(paint(picture[None], given), 0, 1) for picture in pictures]
            seen = np.mean([np.asarray(encode(x)).ravel() for x in painted], 0)
            sums.append(missing)
            missing = missing + features - seen
        assert np.abs(sums[1]).max() > 0.1 and not np.allclose(sums[2], 2 * sums[1], atol=0.01)
        for name, (kernel, bias) in code.items():
            np.testing.assert_allclose(found[name].kernel[number], kernel, rtol=0, atol=2e-4)
            np.testing.assert_allclose(found[name].bias[number], bias, rtol=0, atol=2e-4)


def test_nets_that_hear_nothing_of_it_give_the_code_of_a_model_without(styles):
    whole = StylizationNetwork(SMALL, rngs=nnx.Rngs(0))  # `correct` begins at zero
    whole.eval()
    plain = StylizationNetwork(dataclasses.replace(SMALL, net_feedback=0), rngs=nnx.Rngs(0))
    plain.eval()
    for name in plain.levels:
        for part in ("weight_net", "bias_net"):
            for conv in ("first", "last"):
                given = getattr(getattr(whole.codes[name], part), conv)
                mine = getattr(getattr(plain.codes[name], part), conv)
                mine.kernel.set_value(given.kernel[...])
    plain.style_encoder = whole.style_encoder
    codes = [jax.jit(network.encode_style)(styles) for network in (whole, plain)]
    assert jax.tree.all(jax.tree.map(jnp.array_equal, *codes))


def test_gradient_reaches_the_nets_and_nothing_that_was_only_looked_at(model, styles):
    graph, params, rest = nnx.split(model, nnx.Param, ...)
    features = model.style_features(styles)

    @jax.jit
    def gradient(params):
        def total(params):
            code = nnx.merge(graph, params, rest).code(features)
            return sum(jnp.sum(x**2) for x in jax.tree.leaves(code))

        return jax.grad(total)(params)

    found = nnx.to_pure_dict(gradient(params))
    for part in ("encoder", "decoder", "style_encoder"):
        assert not any(np.any(x) for x in jax.tree.leaves(found[part])), part
    for net in jax.tree.leaves(found["codes"], is_leaf=lambda x: "correct" in x):
        assert all(np.any(x["kernel"]) for x in net.values())


def test_looking_moves_no_running_statistic(model, styles):
    training = nnx.merge(*nnx.split(model))
    training.train()
    before = batch_stats_of(training)
    code = training.code(training.style_features(styles))
    assert jax.tree.all(jax.tree.map(jnp.array_equal, before, batch_stats_of(training)))
    # And what is looked at is painted with them, not with those of the pictures.
    expected = model.code(model.style_features(styles))
    for a, b in zip(jax.tree.leaves(code), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
