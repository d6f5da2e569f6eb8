import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.ops.dynamic import dynamic_conv, dynamic_instance_norm
from din_jax.ops.normalization import adain, instance_norm
from din_jax.ops.statistics import gram_matrix, log_statistics, mean_and_std, mean_and_variance


def test_instance_norm_gives_mean_0_variance_1(rng):
    y = np.asarray(instance_norm(jnp.asarray(rng.normal(3, 5, (2, 6, 7, 3)), jnp.float32)))
    np.testing.assert_allclose(y.mean((1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(y.var((1, 2)), 1, atol=1e-5)


def test_instance_norm_matches_float64(rng, reference):
    x = rng.normal(3, 5, (2, 6, 7, 3)).astype(np.float32)
    np.testing.assert_allclose(instance_norm(x), reference.normalize(x), atol=1e-5)


def test_epsilon_stands_inside_the_root(rng, reference):
    x = rng.normal(0, 0.1, (1, 4, 4, 2)).astype(np.float32)
    np.testing.assert_allclose(instance_norm(x, 0.5), reference.normalize(x, 0.5), atol=1e-6)


def test_instance_norm_gradient_matches_finite_differences(rng, reference):
    x, weights = rng.normal(1, 2, (2, 3, 4, 2)), rng.normal(size=(2, 3, 4, 2))
    gradient = jax.jit(jax.grad(lambda x: (weights * instance_norm(x)).sum()))
    expected = reference.slopes(lambda x: (weights * reference.normalize(x)).sum(), x)
    np.testing.assert_allclose(gradient(jnp.asarray(x, jnp.float32)), expected, atol=1e-5)


def test_instance_norm_keeps_its_digits_far_from_zero(rng, reference):
    x = (1e4 + rng.normal(0, 1, (1, 8, 8, 2))).astype(np.float32)
    np.testing.assert_allclose(instance_norm(x), reference.normalize(x), atol=1e-3)


def test_variance_is_biased_and_float32_for_bfloat16(rng):
    x = jnp.asarray(rng.normal(2, 3, (2, 16, 16, 3)), jnp.bfloat16)
    exact = np.asarray(x, np.float64)
    mean, variance = mean_and_variance(x)
    assert mean.dtype == variance.dtype == jnp.float32
    np.testing.assert_allclose(mean, exact.mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(variance, exact.var((1, 2)), rtol=1e-5)


def test_pixels_are_summed_column_by_column_and_in_one_sum_by_xla(rng):
    """Runtimes that add in order lose digits in a sum over all pixels; XLA need not pay for two."""
    x = jnp.asarray(rng.normal(2, 3, (2, 16, 18, 3)), jnp.float32)
    lowered = jax.jit(mean_and_variance).lower(x)
    axes = re.findall(r"reduce.*dimensions = \[([0-9, ]*)\]", lowered.as_text())
    assert axes == 4 * ["1"]
    compiled = lowered.compile().as_text()
    assert set(re.findall(r" reduce\(.*dimensions=\{([0-9,]*)\}", compiled)) == {"1,2"}


@pytest.mark.parametrize("side", [1, 3])
def test_bfloat16_in_gives_bfloat16_out_with_float32_statistics(rng, reference, side):
    # Statistics in bfloat16 would be some 1e-2 off at this mean.
    x = jnp.asarray(20 + rng.normal(0, 1, (1, 16, 16, 2)), jnp.bfloat16)
    exact = reference.normalize(np.asarray(x, np.float64))
    normalized = instance_norm(x)
    assert normalized.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(normalized, np.float64), exact, atol=0.02)
    kernel = np.zeros((1, side, side, 2, 2), np.float32)
    kernel[:, side // 2, side // 2] = np.eye(2)
    y = dynamic_instance_norm(x, jnp.asarray(kernel), jnp.zeros((1, 2)))
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(y, np.float64), exact, atol=0.04)
    assert dynamic_conv(x, jnp.asarray(kernel), jnp.zeros((1, 2))).dtype == jnp.bfloat16


def test_adain_takes_the_statistics_of_the_style(rng):
    content = rng.normal(-1, 4, (2, 8, 8, 3)).astype(np.float32)
    style = rng.normal(5, 2, (2, 5, 9, 3)).astype(np.float32)
    y = np.asarray(adain(content, style))
    np.testing.assert_allclose(y.mean((1, 2)), style.mean((1, 2)), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(y.std((1, 2)), style.std((1, 2)), rtol=1e-5)


def test_adain_of_an_image_with_itself_changes_nothing(rng):
    x = rng.normal(1, 2, (1, 6, 6, 3)).astype(np.float32)
    np.testing.assert_allclose(adain(x, x), x, atol=1e-5)


@pytest.mark.parametrize("form", ["vmap", "matmul"])
def test_adain_is_a_depthwise_dynamic_convolution(rng, form):
    content = rng.normal(2, 3, (2, 6, 5, 4)).astype(np.float32)
    style = rng.normal(-1, 2, (2, 7, 7, 4)).astype(np.float32)
    mean, std = mean_and_std(style)
    y = dynamic_instance_norm(content, std[:, None, None, None, :], mean, form)
    np.testing.assert_allclose(y, adain(content, style), atol=1e-5)


def test_constant_maps_give_finite_values_and_gradients():
    x = jnp.full((1, 4, 4, 2), 3.0)
    kernel, bias = jnp.ones((1, 1, 1, 2, 2)), jnp.ones((1, 2))
    functions = [
        instance_norm,
        lambda x: adain(x, x),
        lambda x: dynamic_instance_norm(x, kernel, bias),
        lambda x: jnp.stack(mean_and_std(x)),
        lambda x: log_statistics([0 * x]),
    ]
    for function in functions:
        value, gradient = jax.jit(jax.value_and_grad(lambda x, f=function: f(x).sum()))(x)
        assert np.isfinite(value) and np.isfinite(gradient).all()
    assert (instance_norm(x) == 0).all()


def test_log_statistics_are_the_logarithms_of_mean_and_deviation_by_map(rng):
    maps = [rng.uniform(0.5, 2, (2, 4, 4, c)).astype(np.float32) for c in (2, 3)]
    expected = np.concatenate(
        [f for x in maps for f in (np.log(x.mean((1, 2))), np.log(x.std((1, 2))))], -1
    )
    np.testing.assert_allclose(log_statistics(maps), expected, atol=1e-4)
    np.testing.assert_allclose(log_statistics([np.zeros((1, 2, 2, 1))])[0, 0], np.log(1e-3))


def test_gram_matrix_is_the_product_of_flattened_maps(rng):
    x = rng.normal(size=(2, 3, 4, 5)).astype(np.float32)
    for image, gram in zip(x, np.asarray(gram_matrix(x)), strict=True):
        flat = image.reshape(12, 5).astype(np.float64)
        np.testing.assert_allclose(gram, flat.T @ flat / 60, atol=1e-6)
