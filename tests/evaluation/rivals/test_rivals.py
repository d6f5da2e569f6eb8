"""The rivals' equations against NumPy and the shared operations, on a narrow VGG-19."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.evaluation.rivals import adain, avatar, gatys, swap, wct
from din_jax.evaluation.rivals.methods import METHODS, Options
from din_jax.evaluation.rivals.networks import Networks
from din_jax.evaluation.rivals.optimization import Minimizer
from din_jax.ops import normalization, swapping, whitening
from din_jax.ops.forms import default_form


@pytest.fixture(autouse=True)
def plain_convolutions():
    with default_form("conv"):
        yield


def tree(cls):
    register = jax.tree_util.register_dataclass
    return register(
        dataclasses.dataclass(frozen=True)(cls), ["params", "decoders"], ["preprocessing"]
    )


@tree
class Undecoded(Networks):
    """Gives features in the place of pictures, so that what a method does to them is seen."""

    def decode(self, features, layer):
        return features


@pytest.fixture
def networks(narrow_vgg):
    return Undecoded(narrow_vgg.params, narrow_vgg.preprocessing)


@pytest.fixture
def pair():
    rng = np.random.default_rng(2)
    content, style = rng.uniform(0, 1, (1, 40, 48, 3)), rng.uniform(0, 1, (1, 48, 40, 3)) ** 2
    return jnp.asarray(content, jnp.float32), jnp.asarray(style, jnp.float32)


encode = jax.jit(Networks.encode, static_argnums=2)


def features(networks, pair, layer):
    return [encode(networks, x, (layer,))[layer] for x in pair]


def close(found, expected):
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, atol=1e-5 * scale)


def test_adain_out_of_the_dynamic_convolution_is_adain(networks, pair):
    own, other = features(networks, pair, "relu4_1")
    expected = normalization.adain(own, other)
    paint = jax.jit(adain.paint)
    close(paint(networks, *pair), expected)
    close(paint(networks, *pair, strength=0.25), 0.75 * own + 0.25 * expected)
    close(paint(networks, *pair, strength=0.0), own)


def test_a_level_of_wct_out_of_the_dynamic_convolution_is_wct(networks, pair):
    own, other = features(networks, pair, "relu2_1")
    expected = whitening.wct(own, other)
    scale = np.abs(expected).max()
    paint = jax.jit(functools.partial(wct.paint, layers=("relu2_1",)))
    found = paint(networks, *pair)
    np.testing.assert_allclose(found, expected, atol=1e-4 * scale)
    half = paint(networks, *pair, strength=0.5)
    np.testing.assert_allclose(half, (own + expected) / 2, atol=1e-4 * scale)


@pytest.mark.parametrize("layers", [wct.LAYERS, wct.FIVE])
def test_wct_goes_from_coarse_to_fine_over_its_own_pictures(deeper_vgg, pair, layers):
    means = []

    class Dimming(Networks):
        """Each level gives a grey picture, darker than the last."""

        def decode(self, features, layer):
            means.append((layer, features.mean()))
            return jnp.full_like(pair[0], 0.1 * len(means))

    def run(params, content, style):
        given = Dimming(params, deeper_vgg.preprocessing)
        dim = jnp.full_like(content, 0.1 * (len(layers) - 1))
        before = given.encode(dim, ("relu1_1",))["relu1_1"]
        found = wct.paint(given, content, style, strength=0.0, layers=layers)
        return found, before.mean(), means[-1][1]

    found, expected, seen = jax.jit(run)(deeper_vgg.params, *pair)
    deep_first = ["relu5_1", "relu4_1", "relu3_1", "relu2_1", "relu1_1"][-len(layers) :]
    assert [layer for layer, _ in means] == deep_first
    np.testing.assert_allclose(found, 0.1 * len(layers), rtol=1e-6)
    # With no strength a level hands on the features of the picture that the last one gave.
    np.testing.assert_allclose(seen, expected, rtol=1e-5)


def test_style_swap_is_at_relu3_1(networks, pair):
    expected = swapping.style_swap(*features(networks, pair, "relu3_1"), 3)
    close(jax.jit(swap.paint)(networks, *pair), expected)


def test_the_decorator_swaps_white_patches_and_colors_them(networks, pair):
    """Of NumPy's singular values and the loop-tested swap; a picture by itself is itself."""

    def spectrum(x):
        flat = np.asarray(x, np.float64).reshape(-1, x.shape[-1])
        values, vectors = np.linalg.eigh(np.cov(flat.T, bias=True) + 1e-5 * np.eye(x.shape[-1]))
        return flat.mean(0), lambda power: vectors @ np.diag(values**power) @ vectors.T

    own, other = features(networks, pair, "relu4_1")
    white = []
    for x in (own, other):
        mean, root = spectrum(x)
        white.append(jnp.asarray((np.asarray(x, np.float64) - mean) @ root(-0.5), jnp.float32))
    mean, root = spectrum(other)
    swapped = np.asarray(jax.jit(swapping.style_swap)(*white), np.float64)
    expected = swapped @ root(0.5) + mean
    paint = jax.jit(avatar.paint)
    np.testing.assert_allclose(paint(networks, *pair), expected, atol=1e-3 * np.abs(expected).max())
    again = paint(networks, pair[1], pair[1])
    np.testing.assert_allclose(again, other, atol=1e-3 * np.abs(other).max())


def test_the_loss_of_gatys_is_the_papers(networks, pair):
    """Eqs. 1, 4, 5 and 7 in float64, from the features."""
    settings = gatys.Settings(style_weight=7.0)
    content, style = pair
    image = jnp.flip(content, 2)
    every = settings.style_layers
    given = encode(networks, content, ("relu4_1",)), encode(networks, style, every)

    def gram(x):
        flat = np.asarray(x, np.float64)[0].reshape(-1, x.shape[-1])
        return flat.T @ flat / len(flat)

    own = {k: np.asarray(v, np.float64) for k, v in encode(networks, image, every).items()}
    expected = 0.5 * np.mean((own["relu4_1"] - np.asarray(given[0]["relu4_1"])) ** 2)
    for name in every:
        n = own[name].shape[-1]
        away = np.sum((gram(own[name]) - gram(given[1][name])) ** 2) / (4 * n**2)
        expected += 7.0 * away / len(every)
    grams = gatys.gram_matrices(given[1], every)
    found = gatys.loss(settings, (networks, given[0], grams), image)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_gatys_comes_nearer_with_every_few_steps(networks, pair):
    painter = gatys.Gatys(gatys.Settings(steps=6, style_weight=1.0))
    image, losses = painter.found(networks, *pair)
    assert image.shape == pair[0].shape and len(losses) == 6
    assert losses[-1] < losses[3] < losses[0]
    again = painter(networks, *pair)
    np.testing.assert_array_equal(again, image)


def test_gatys_from_noise_does_not_start_at_the_content(networks, pair):
    noise = gatys.Gatys(gatys.Settings(steps=1, noise=True, style_weight=1.0))
    plain = gatys.Gatys(gatys.Settings(steps=1, style_weight=1.0))
    first = [painter.found(networks, *pair)[1][0] for painter in (noise, plain)]
    assert abs(first[0] - first[1]) > 0.01 * first[1]


def test_style_swap_by_optimization_comes_nearer_to_the_swapped_features(networks, pair):
    found = swap.Optimized(swap.Settings(steps=8, variation_weight=0.0))(networks, *pair)
    target = jax.jit(swap.swapped)(networks, *pair)
    away = [
        float(jnp.square(features(networks, (x,), "relu3_1")[0] - target).mean())
        for x in (jnp.broadcast_to(pair[1].mean((1, 2), keepdims=True), pair[0].shape), found)
    ]
    assert away[1] < 0.8 * away[0]


def test_style_swap_by_optimization_starts_in_the_style_s_colors(networks, pair):
    """From the content's, flat areas would keep them."""
    red, blue = (jnp.asarray([x], jnp.float32)[:, None, None] for x in ([1, 0, 0], [0, 0, 1]))
    content, style = (0.2 * x + 0.8 * color for x, color in zip(pair, (red, blue), strict=True))
    found = swap.Optimized(swap.Settings(steps=1))(networks, content, style).mean((0, 1, 2))
    assert found[2] > 0.5 > found[0]


def test_l_bfgs_finds_the_least_of_a_bowl():
    rng = np.random.default_rng(0)
    target = jnp.asarray(rng.normal(size=(1, 3, 4, 3)), jnp.float32)
    slopes = jnp.asarray(rng.uniform(0.1, 10, (1, 3, 4, 3)), jnp.float32)

    def loss(given, x):
        return (slopes * jnp.square(x - given)).sum()

    found, losses = Minimizer(loss, 40)(target, jnp.zeros_like(target))
    np.testing.assert_allclose(found, target, atol=1e-3)
    assert losses[0] == pytest.approx(float(loss(target, 0 * target)), rel=1e-5)


def test_what_a_rival_does_not_take_is_no_setting_of_its_pictures():
    options = Options(steps=3, strength=0.5)
    assert METHODS["adain"].settings(options) == {"strength": 0.5}
    assert METHODS["swap"].settings(options) == {}
    assert METHODS["gatys"].settings(options)["steps"] == 3
