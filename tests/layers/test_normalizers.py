"""Statistics apart from the normalization that uses them."""

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from din_jax.layers.normalizers import NORMALIZERS, Batch, Moments, make_normalizer, pool_moments
from din_jax.ops.dynamic import dynamic_conv, normalized_dynamic_conv

CHANNELS = 4


@pytest.fixture
def x():
    rng = np.random.default_rng(5)
    mixed = rng.normal(0, 1, (2, 8, 6, CHANNELS)) @ rng.normal(0, 1, (CHANNELS, CHANNELS))
    return jnp.asarray(mixed + [1, -2, 3, 0], jnp.float32)


def normalize(kind, x, moments=None):
    normalizer = make_normalizer(kind, CHANNELS)
    return np.asarray(normalizer.affine(moments or normalizer.statistics(x))(x))


def moments_of(y):
    """Mean [C] and covariance [C, C] of the pixels of one map, in float64."""
    flat = np.asarray(y, np.float64).reshape(-1, CHANNELS)
    return flat.mean(0), np.cov(flat.T, bias=True)


def test_each_normalizer_removes_what_it_is_named_after(x):
    means, covariances = zip(*map(moments_of, x), strict=True)
    for i in range(2):
        mean, covariance = moments_of(normalize("instance", x)[i])
        np.testing.assert_allclose(mean, 0, atol=1e-6)
        np.testing.assert_allclose(np.diag(covariance), 1, atol=1e-4)
        assert np.abs(covariance - np.eye(CHANNELS)).max() > 0.1
        mean, covariance = moments_of(normalize("whitening", x)[i])
        np.testing.assert_allclose(mean, 0, atol=1e-5)
        np.testing.assert_allclose(covariance, np.eye(CHANNELS), atol=1e-3)
        mean, covariance = moments_of(normalize("centering", x)[i])
        np.testing.assert_allclose(mean, 0, atol=1e-6)
        np.testing.assert_allclose(covariance, covariances[i], rtol=1e-4, atol=1e-5)
    mean, covariance = moments_of(normalize("batch", x))
    np.testing.assert_allclose(mean, 0, atol=1e-6)
    np.testing.assert_allclose(np.diag(covariance), 1, atol=1e-4)
    np.testing.assert_array_equal(normalize("none", x), x)
    assert np.abs(np.subtract(*means)).max() > 0.1, "pictures that differ"


@pytest.mark.parametrize("kind", NORMALIZERS)
def test_a_tile_under_the_statistics_of_the_whole_is_a_piece_of_the_whole(kind, x):
    moments = make_normalizer(kind, CHANNELS).statistics(x)
    whole, tile = normalize(kind, x), normalize(kind, x[:, 2:5, 1:], moments)
    np.testing.assert_allclose(tile, whole[:, 2:5, 1:], atol=1e-6)


@pytest.mark.parametrize("kind", ["instance", "whitening", "centering"])
def test_tiles_pool_to_the_statistics_of_the_whole(kind, x):
    normalizer = make_normalizer(kind, CHANNELS)
    tiles = [normalizer.statistics(part) for part in (x[:, :3], x[:, 3:])]
    pooled = pool_moments(tiles, jnp.asarray([3 / 8, 5 / 8]))
    for a, b in zip(pooled, normalizer.statistics(x), strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["instance", "whitening", "centering"])
def test_a_mask_gives_the_statistics_of_its_region(kind, x):
    normalizer = make_normalizer(kind, CHANNELS)
    mask = jnp.zeros((2, 8, 6)).at[:, 2:7, 1:4].set(0.5)
    for a, b in zip(normalizer.statistics(x, mask), normalizer.statistics(x[:, 2:7, 1:4]),
                    strict=True):  # fmt: skip
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)
    nothing = normalizer.affine(normalizer.statistics(x, 0 * mask))(x)
    assert np.isfinite(nothing).all()


@pytest.mark.parametrize("kind", NORMALIZERS)
@pytest.mark.parametrize("side,groups", [(1, 1), (1, 2), (3, 1)])
def test_a_folded_normalization_equals_normalizing_first(kind, side, groups, x):
    rng = np.random.default_rng(1)
    kernel = jnp.asarray(rng.normal(size=(2, side, side, CHANNELS // groups, 6)), jnp.float32)
    normalizer = make_normalizer(kind, CHANNELS)
    affine = normalizer.affine(normalizer.statistics(x))
    y = normalized_dynamic_conv(x, affine, kernel)
    np.testing.assert_allclose(y, dynamic_conv(affine(x), kernel), atol=2e-5)


def test_statistics_of_one_picture_serve_a_batch(x):
    normalizer = make_normalizer("whitening", CHANNELS)
    one = normalizer.statistics(x[:1])
    both = normalizer.affine(one)(jnp.concatenate([x[:1], x[:1]]))
    np.testing.assert_allclose(both, jnp.stack([normalize("whitening", x[:1])[0]] * 2), atol=1e-6)
    kernel = jnp.ones((2, 1, 1, 1, CHANNELS))
    y = normalized_dynamic_conv(x, make_normalizer("instance", 4).affine(Moments(*[one.mean] * 2)),
                                kernel)  # fmt: skip
    assert y.shape == x.shape


def test_batch_statistics_run_in_training_and_stand_still_afterwards(x):
    layer = Batch(CHANNELS, momentum=0.9)
    first = layer.statistics(x)
    np.testing.assert_allclose(layer.mean[...], 0.1 * first.mean[0], rtol=1e-5)
    np.testing.assert_allclose(layer.variance[...], 0.9 + 0.1 * first.variance[0], rtol=1e-5)
    layer.eval()
    before = np.asarray(layer.mean[...])
    np.testing.assert_array_equal(layer.statistics(x).mean[0], before)
    np.testing.assert_array_equal(layer.mean[...], before)


def test_batch_statistics_alone_are_kept():
    model = nnx.Dict({kind: make_normalizer(kind, CHANNELS) for kind in NORMALIZERS})
    kept = nnx.to_pure_dict(nnx.state(model))
    assert set(kept) == {"batch"} and set(kept["batch"]) == {"mean", "variance"}
