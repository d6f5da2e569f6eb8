"""Roots of covariances, whitening and coloring, against NumPy in float64."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.ops.forms import default_form
from din_jax.ops.normalization import adain
from din_jax.ops.statistics import EPSILON, mean_and_covariance
from din_jax.ops.whitening import covariance_root, inverse_covariance_root, wct


def maps(rng, rows=9, columns=8, channels=6):
    x = rng.normal(0, 1, (2, rows, columns, channels)) @ rng.normal(0, 1, (channels, channels))
    return (x + rng.normal(0, 3, channels)).astype(np.float32)


def wct_by_numpy(content, style):
    """Li et al. 2017c, one picture, by the singular value decomposition of their program."""

    def spectrum(x):
        flat = x.reshape(-1, x.shape[-1]).T.astype(np.float64)
        mean = flat.mean(1, keepdims=True)
        vectors, values, _ = np.linalg.svd(np.cov(flat, bias=True) + EPSILON * np.eye(len(flat)))
        return flat - mean, mean, vectors, values

    centered, _, vectors, values = spectrum(content)
    white = vectors @ np.diag(values**-0.5) @ vectors.T @ centered
    _, mean, vectors, values = spectrum(style)
    colored = vectors @ np.diag(values**0.5) @ vectors.T @ white + mean
    return colored.T.reshape(content.shape)


def test_wct_equals_numpy(rng):
    content, style = maps(rng), maps(rng, 5, 7)
    expected = np.stack([wct_by_numpy(*pair) for pair in zip(content, style, strict=True)])
    np.testing.assert_allclose(wct(content, style), expected, atol=1e-4)


def test_wct_gives_the_style_s_covariance(rng):
    content, style = maps(rng), maps(rng, 12, 12)
    for a, b in zip(mean_and_covariance(wct(content, style)), mean_and_covariance(style),
                    strict=True):  # fmt: skip
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3)


def test_covariances_are_numpy_s(rng):
    x = maps(rng)
    mean, covariance = mean_and_covariance(x)
    for i in range(2):
        flat = x[i].reshape(-1, 6).astype(np.float64)
        np.testing.assert_allclose(mean[i], flat.mean(0), atol=1e-5)
        np.testing.assert_allclose(covariance[i], np.cov(flat.T, bias=True), rtol=1e-4, atol=1e-5)


def test_on_channels_that_do_not_correlate_wct_is_adain():
    # Each channel a sine of a frequency of its own: orthogonal over the pixels.
    waves = np.sin(2 * np.pi * np.outer(np.arange(64), [1, 2, 3]) / 64).reshape(1, 8, 8, 3)
    content = (waves * [1, 2, 3] + [4, 5, 6]).astype(np.float32)
    style = (waves * [3, 0.5, 1] - [1, 2, 0]).astype(np.float32)
    np.testing.assert_allclose(wct(content, style), adain(content, style), atol=1e-5)


@pytest.mark.parametrize("root", [covariance_root, inverse_covariance_root])
def test_gradients_match_finite_differences_and_stay_finite(rng, root):
    full = rng.normal(size=(4, 4))
    full = (full @ full.T + np.eye(4)).astype(np.float64)
    weights = rng.normal(size=(4, 4))

    def slow(c):
        values, vectors = np.linalg.eigh((c + c.T) / 2)
        power = 0.5 if root is covariance_root else -0.5
        return (weights * ((vectors * (values + EPSILON) ** power) @ vectors.T)).sum()

    gradient = jax.jit(jax.grad(lambda c: (weights * root(c)[0]).sum()))
    found = np.asarray(gradient(jnp.asarray(full[None], jnp.float32)))[0]
    for i in range(4):
        for j in range(4):
            step = np.zeros((4, 4))
            step[i, j] = 1e-5
            slope = (slow(full + step) - slow(full - step)) / 2e-5
            np.testing.assert_allclose(found[i, j], slope, rtol=1e-3, atol=1e-4)
    # Equal eigenvalues, and none at all: of the identity, of a constant map.
    for same in (np.eye(4), np.zeros((4, 4))):
        assert np.isfinite(gradient(jnp.asarray(same[None], jnp.float32))).all()


def second_derivative(function, x, direction):
    """The gradient's slope along a direction, by JAX and by differences of the gradient."""
    gradient = jax.jit(jax.grad(function))
    product = jax.jit(jax.grad(lambda x: (jax.grad(function)(x) * direction).sum()))(x)
    step = 1e-5
    slope = (gradient(x + step * direction) - gradient(x - step * direction)) / (2 * step)
    return np.asarray(product), np.asarray(slope)


@pytest.mark.parametrize("root", [covariance_root, inverse_covariance_root])
@pytest.mark.parametrize("values", [(2, 2, 2, 2), (1, 1, 2, 3), (0.5, 1, 2, 3)])
def test_second_derivatives_of_roots_match_differences_of_the_first(rng, root, values):
    weights = rng.normal(size=(1, 4, 4))
    frame, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    with jax.enable_x64(True):
        covariance = jnp.asarray((frame * values) @ frame.T)[None]
        direction = jnp.asarray(rng.normal(size=(1, 4, 4)))

        def function(x):
            return jnp.sin(weights * root(x)).sum()

        product, slope = second_derivative(function, covariance, direction)
        np.testing.assert_allclose(product, slope, rtol=1e-6, atol=1e-7)

        def once(x):
            return (jax.grad(function)(x) * direction).sum()

        product, slope = second_derivative(once, covariance, direction)  # third ones
        np.testing.assert_allclose(product, slope, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("place", ["content", "style"])
def test_second_derivatives_of_wct_are_finite_where_channels_are_dead(rng, place):
    with jax.enable_x64(True):
        x = jnp.asarray(rng.normal(size=(2, 6, 5, 4))).at[..., 2:].set(0)
        other, direction = jnp.asarray(rng.normal(size=(2, 2, 6, 5, 4)))

        def function(x):
            y = wct(x, other, 1e-2) if place == "content" else wct(other, x, 1e-2)
            return jnp.sin(y).sum()

        product, slope = second_derivative(function, x, direction)
        np.testing.assert_allclose(product, slope, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("root", [covariance_root, inverse_covariance_root])
def test_forward_over_reverse_is_refused_and_gives_no_numbers(root):
    x = jnp.eye(3)[None]
    with pytest.raises(TypeError, match="forward-mode .* custom_vjp"):
        jax.jvp(jax.grad(lambda x: root(x).sum()), (x,), (x,))


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="of the CPU's library")
@pytest.mark.parametrize("form", ["auto", "conv"])
def test_matrices_are_decomposed_one_by_one_on_a_cpu(form):
    """A batch is divided among threads that then wait for themselves: read out of the program."""

    def both(x, y):
        return covariance_root(x) + inverse_covariance_root(y)

    batch = jnp.ones((4, 3, 3))
    with default_form(form):
        compiled = jax.jit(jax.value_and_grad(lambda *pair: both(*pair).sum()))
        program = compiled.lower(batch, batch).compile().as_text()
    calls = re.findall(r"= \(f32\[([\d,]*)\].*custom_call_target=\"lapack_ssyevd", program)
    assert calls == ["3,3", "3,3"]
