"""Winograd's form of a convolution is the convolution, and so are its gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.ops.convolution import conv2d
from din_jax.ops.cpu import convolution
from din_jax.ops.cpu.products import matmul
from din_jax.ops.cpu.winograd import winograd_conv


# Sides beyond three are cut into pieces of three taps, the last short by one or by two.
@pytest.mark.parametrize(
    "side,size",
    [(3, (4, 6)), (3, (5, 7)), (3, (1, 2)), (3, (8, 3)), (5, (4, 7)), (5, (5, 2)), (7, (3, 4))],
)
def test_it_equals_a_plain_loop_at_even_and_odd_sizes(rng, reference, side, size):
    pad = side // 2
    padded = rng.normal(size=(2, size[0] + 2 * pad, size[1] + 2 * pad, 3))
    kernel = rng.normal(size=(side, side, 3, 5))
    # The loop pads by reflection, which reads nothing but `padded` inside a ring of its own.
    expected = reference.convolve(padded, kernel)[:, pad : pad + size[0], pad : pad + size[1]]
    with jax.enable_x64(True):
        y = jax.jit(winograd_conv)(padded, kernel)
    assert y.dtype == np.float64
    np.testing.assert_allclose(y, expected, atol=1e-12)
    single = jax.jit(winograd_conv)(jnp.float32(padded), jnp.float32(kernel))
    np.testing.assert_allclose(single, expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize(
    "side,size,each", [(3, (4, 6), ()), (3, (5, 3), ()), (3, (5, 4), (2,)), (5, (5, 4), (2,))]
)
def test_gradients_match_finite_differences(rng, side, size, each):
    padded = rng.normal(size=(2, size[0] + side - 1, size[1] + side - 1, 2))
    kernel = rng.normal(size=(*each, side, side, 2, 3))
    weights = rng.normal(size=(2, *size, 3))
    step = 1e-6
    with jax.enable_x64(True):

        @jax.jit
        def loss(padded, kernel):
            return (weights * jnp.sin(winograd_conv(padded, kernel))).sum()

        gradients = jax.jit(jax.grad(loss, (0, 1)))(padded, kernel)
        for _ in range(3):
            ways = [rng.normal(size=padded.shape), rng.normal(size=kernel.shape)]
            for i, (way, gradient) in enumerate(zip(ways, gradients, strict=True)):
                moved = [[padded, kernel], [padded, kernel]]
                moved[0][i] = moved[0][i] + step * way
                moved[1][i] = moved[1][i] - step * way
                slope = (loss(*moved[0]) - loss(*moved[1])) / (2 * step)
                np.testing.assert_allclose((gradient * way).sum(), slope, rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "outputs", "dtype", "wide"),
    [
        ((1, 64, 64, 64), 64, "float32", True),
        ((1, 64, 65, 64), 128, "float64", True),
        ((1, 63, 65, 128), 128, "float32", False),
        ((4, 64, 64, 256), 32, "float32", False),
        ((1, 64, 64, 128), 128, "bfloat16", False),
    ],
)
def test_many_channels_on_many_pixels_take_it_on_cpu(shape, outputs, dtype, wide, monkeypatch):
    taken = []

    def spy(padded, kernel):
        taken.append(padded.shape)
        return winograd_conv(padded, kernel)

    monkeypatch.setattr(convolution, "winograd_conv", spy)
    with jax.enable_x64(True):
        x = jax.ShapeDtypeStruct(shape, dtype)
        kernel = jax.ShapeDtypeStruct((3, 3, shape[-1], outputs), dtype)
        for form, stride in (("conv", 1), ("shift", 2), ("shift", 1)):
            assert not taken
            y = jax.eval_shape(lambda x, k, f=form, s=stride: conv2d(x, k, s, f), x, kernel)
    assert y.shape == (*shape[:3], outputs) and y.dtype == dtype
    assert bool(taken) is wide


def test_the_wide_form_equals_the_plain_one_in_float64(rng):
    x = rng.normal(size=(1, 65, 64, 64))
    kernel = rng.normal(size=(3, 3, 64, 128)) / 24

    def both(x, kernel, form):
        y, pull = jax.vjp(lambda x, k: conv2d(x, k, 1, form), x, kernel)
        return y, *pull(jnp.cos(y))

    ours = jax.jit(both, static_argnums=2)(*map(jnp.float32, (x, kernel)), "shift")
    with jax.enable_x64(True):
        exact = jax.jit(both, static_argnums=2)(jnp.float64(x), jnp.float64(kernel), "conv")
        exact = [np.asarray(y) for y in exact]
    for a, b in zip(ours, exact, strict=True):
        assert b.dtype == np.float64
        largest = np.abs(b).max()
        np.testing.assert_allclose(a / largest, b / largest, atol=3e-6)


def test_products_of_rounded_factors_are_off_by_their_rounding_alone(rng):
    """`jax.default_matmul_precision("bfloat16")`: 8 bits a factor, and sums that lose nothing."""
    a, b = (jnp.asarray(rng.normal(size=(64, 64)), jnp.float32) for _ in range(2))
    exact = matmul(a, b)
    with jax.default_matmul_precision("bfloat16"):
        rounded = jax.jit(matmul)(a, b)
    assert rounded.dtype == jnp.float32 and (rounded != exact).any()
    expected = a.astype(jnp.bfloat16).astype(float) @ b.astype(jnp.bfloat16).astype(float)
    np.testing.assert_allclose(rounded, expected, atol=1e-5)


def test_network_of_rounded_products_is_the_networks_to_their_rounding(rng):
    x = jnp.asarray(rng.normal(size=(1, 64, 64, 64)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(3, 3, 64, 64)) / 24, jnp.float32)

    def loss(x):
        return jnp.cos(conv2d(x, kernel, 1, "shift")).sum()

    exact = jax.jit(jax.grad(loss))(x)
    with jax.default_matmul_precision("bfloat16"):
        rounded = jax.jit(jax.grad(loss))(x)
    error = jnp.linalg.norm(rounded - exact) / jnp.linalg.norm(exact)
    assert 1e-4 < error < 0.02
