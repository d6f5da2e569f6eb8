"""The linear transformation: both halves, what they are in the family, and what they measure."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from din_jax.layers.linear import CovarianceNet, CovarianceSource, LinearNormalizer
from din_jax.layers.mixtures import Blend
from din_jax.layers.normalizers import Centering, pool_moments
from din_jax.layers.styled import StyledLayer
from din_jax.layers.transforms import KernelTransform
from din_jax.ops.statistics import mean_and_covariance

C, RANK = 4, 3


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def net(seed, scale=0.5):
    """A net of numbers that NumPy has drawn."""
    made = nnx.eval_shape(
        lambda: CovarianceNet(C, rank=RANK, hidden=5, scale=scale, rngs=nnx.Rngs(0))
    )
    graph, state = nnx.split(made)
    drawn = jax.tree.map(lambda x: normal(seed + sum(x.shape), *x.shape), state)
    return nnx.merge(graph, drawn)


@pytest.fixture
def x():
    return 2 + normal(5, 2, 6, 5, C) @ normal(6, C, C)


@pytest.fixture
def style():
    return normal(7, 2, 7, 8, C) @ normal(8, C, C) - 1


@pytest.fixture
def layer():
    return StyledLayer(LinearNormalizer(net(1)), KernelTransform(), CovarianceSource(net(2)))


def test_the_layer_is_the_product_of_both_matrices(layer, x, style):
    """Li et al. 2019, pixel by pixel in float64: T_s T_c (x - mu_c) + mu_s."""
    y = layer(x, layer.code(style))
    content = layer.normalizer.net(mean_and_covariance(x)[1])
    other = layer.source.net(mean_and_covariance(style)[1])
    for i in range(2):
        product = np.asarray(content[i], np.float64) @ np.asarray(other[i], np.float64)
        pixels = np.asarray(x[i], np.float64).reshape(-1, C)
        means = pixels.mean(0), np.asarray(style[i], np.float64).mean((0, 1))
        expected = ((pixels - means[0]) @ product + means[1]).reshape(x[i].shape)
        np.testing.assert_allclose(y[i], expected, atol=2e-5 * np.abs(expected).max())
    assert min(np.abs(m - jnp.eye(C)[None]).max() for m in (content, other)) > 0.1


def test_a_matrix_is_the_identity_and_a_change_of_the_rank_that_is_set(style):
    covariance = mean_and_covariance(style)[1]
    change = np.asarray(net(1)(covariance) - jnp.eye(C)[None])
    values = np.linalg.svd(change, compute_uv=False)
    assert (values[:, RANK:] < 1e-5 * values[:, :1]).all() and (values[:, RANK - 1] > 1e-3).all()


def test_with_nets_of_nothing_the_layer_shifts_the_means(x, style):
    """The identity of the method: centring, and the style's means."""
    plain = StyledLayer(
        LinearNormalizer(net(1, scale=0.0)), KernelTransform(), CovarianceSource(net(2, scale=0.0))
    )
    y = plain(x, plain.code(style))
    expected = Centering().affine(Centering().statistics(x))(x) + style.mean((1, 2))[:, None, None]
    np.testing.assert_allclose(y, expected, atol=1e-5)


def test_the_content_enters_by_its_covariance_alone(layer, x, style):
    """A content turned by 180 degrees gives the picture turned; one of another contrast another."""
    code = layer.code(style)
    y = layer(x, code)
    np.testing.assert_allclose(layer(x[:, ::-1, ::-1], code), y[:, ::-1, ::-1], atol=1e-4)
    # A brighter content is the same centred; one of twice the contrast is not twice the picture.
    np.testing.assert_allclose(layer(x + 3, code), y, atol=2e-3)
    linear = 2 * (y - style.mean((1, 2))[:, None, None]) + style.mean((1, 2))[:, None, None]
    assert np.abs(layer(2 * x, code) - linear).max() > 1e-2


def test_a_tile_under_the_whole_s_statistics_is_a_piece_of_the_whole(layer, x, style):
    code = layer.code(style)
    given = layer.statistics(x, code)
    tile = layer(x[:, 1:4, 2:], code, given)
    np.testing.assert_allclose(tile, layer(x, code)[:, 1:4, 2:], atol=1e-4)
    parts = [layer.normalizer.statistics(part) for part in (x[:, :2], x[:, 2:])]
    pooled = pool_moments(parts, jnp.asarray([1 / 3, 2 / 3]))
    np.testing.assert_allclose(layer(x, code, pooled), layer(x, code), atol=1e-3)


def test_codes_of_two_styles_mix_as_their_pictures_do(layer, x, style):
    codes = [layer.code(style), layer.code(style**2)]
    y = layer(x, Blend(codes, jnp.asarray([0.3, 0.7])))
    apart = [layer(x, code) for code in codes]
    np.testing.assert_allclose(y, 0.3 * apart[0] + 0.7 * apart[1], atol=1e-4)


def test_a_style_of_no_contrast_is_no_division_by_zero(layer, x):
    flat = jnp.ones((2, 4, 4, C))
    y, gradient = jax.value_and_grad(lambda s: layer(x, layer.code(s)).mean())(flat)
    assert np.isfinite(y) and np.isfinite(gradient).all()


def test_dead_units_are_a_share(layer, style):
    assert 0 <= float(layer.source.diagnostics(style)["dead_units"]) <= 1
