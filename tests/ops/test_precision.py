"""Averages and products of statistics are exact whatever precision the program runs in.

The CPU computes in float32 in any case, so the oracle is the program: no product in it leaves the
precision to the context.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from din_jax.layers.blocks import Conv
from din_jax.layers.norms import InstanceNorm
from din_jax.ops import (
    Affine,
    adaptive_average_pool,
    conv2d,
    covariance_root,
    deformable_conv,
    dynamic_conv,
    gram_matrix,
    instance_norm,
    inverse_covariance_root,
    mean_and_covariance,
    normalized_dynamic_conv,
    resize_map,
    wct,
)

MAP = (2, 6, 5, 3)
FUNCTIONS = {
    "average": (lambda x: adaptive_average_pool(x, 4), MAP),
    "Gram matrix": (gram_matrix, MAP),
    "covariance": (lambda x: mean_and_covariance(x)[1], MAP),
    "resizing": (lambda x: resize_map(x, 4, 7), MAP),
    "root": (covariance_root, (2, 3, 3)),
    "inverse root": (inverse_covariance_root, (2, 3, 3)),
    "whitening and coloring": (lambda x: wct(x, x), MAP),
}


def products(jaxpr):
    """Every dot_general, also those inside other equations."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield equation
        for inner in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda v: hasattr(v, "jaxpr")
        ):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from products(inner)


# Covariances are float32 in any case.
KINDS = [(name, jnp.float32) for name in FUNCTIONS] + [
    (name, jnp.bfloat16) for name, (_, shape) in FUNCTIONS.items() if shape == MAP
]


@pytest.mark.parametrize("name,kind", KINDS)
def test_no_product_takes_the_precision_of_its_context(name, kind):
    function, shape = FUNCTIONS[name]
    x = jax.ShapeDtypeStruct(shape, kind)

    def both(x):
        y, pull = jax.vjp(function, x)
        return y, pull(y)

    with jax.default_matmul_precision("bfloat16"):
        found = list(products(jax.make_jaxpr(both)(x).jaxpr))
    assert len(found) >= 2  # forward and backward
    for equation in found:
        assert equation.params["precision"] == (jax.lax.Precision.HIGHEST,) * 2
        assert equation.outvars[0].aval.dtype == jnp.float32


def test_whitening_is_applied_and_folded_exactly():
    """The products of a given matrix with the map and with a kernel; the convolution itself takes
    the precision of its context."""

    def whitened(mean, matrix, x):
        return Affine(mean, None, matrix)(x)

    def folded(mean, matrix, x, kernel):
        return normalized_dynamic_conv(x, Affine(mean, None, matrix), kernel)

    shapes = [(2, 3), (2, 3, 3), MAP, (2, 1, 1, 3, 3)]
    inputs = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    for function, count in ((whitened, 3), (folded, 3)):
        arguments = inputs if function is folded else inputs[:3]

        def both(*inputs, function=function):
            y, pull = jax.vjp(function, *inputs)
            return y, pull(y)

        with jax.default_matmul_precision("bfloat16"):
            found = list(products(jax.make_jaxpr(both)(*arguments).jaxpr))
        exact = [e for e in found if e.params["precision"] == (jax.lax.Precision.HIGHEST,) * 2]
        # Forward and both gradients.
        assert len(exact) == count
        if function is whitened:
            assert exact == found
        else:
            assert all(v.aval.shape == (2, 3, 3) for e in exact for v in (*e.invars, *e.outvars))


def test_averages_of_16_bit_maps_are_rounded_once(rng):
    """With factors of 16 bit a mean of seven ones is not one."""
    x = jnp.ones((1, 7, 7, 2), jnp.bfloat16)
    np.testing.assert_array_equal(np.asarray(adaptive_average_pool(x, 1), np.float32), 1)
    x = jnp.asarray(rng.normal(3, 1, (1, 11, 13, 4)), jnp.bfloat16)
    y = adaptive_average_pool(x, 3, 2)
    assert y.dtype == jnp.bfloat16
    exact = adaptive_average_pool(x.astype(jnp.float32), 3, 2)
    np.testing.assert_array_equal(y, exact.astype(jnp.bfloat16))


@pytest.mark.parametrize("form", ["conv", "shift"])
def test_a_narrow_pointwise_kernel_rounds_factors_and_nothing_else(form):
    """Sums in float32: of 512 equal products of 1 and 1 / 256, bfloat16 would keep half."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 3, 5, 64), np.float32)
    kernel = rng.standard_normal((1, 1, 64, 6), np.float32).astype(jnp.bfloat16)
    run = jax.jit(lambda x, kernel: conv2d(x, kernel, form=form))
    y = run(x, kernel)
    assert y.dtype == jnp.float32
    rounded = x.astype(jnp.bfloat16).astype(np.float64)
    expected = rounded @ kernel[0, 0].astype(np.float64)
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    ones, parts = np.ones((1, 2, 2, 512), np.float32), np.full((1, 1, 512, 6), 1 / 256)
    np.testing.assert_allclose(run(ones, parts.astype(jnp.bfloat16)), 2.0, rtol=1e-6)


def test_a_narrow_kernel_of_more_taps_is_widened():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 5, 6, 8), np.float32)
    kernel = rng.standard_normal((3, 3, 8, 6), np.float32).astype(jnp.bfloat16)
    narrow, wide = (conv2d(x, k) for k in (kernel, kernel.astype(np.float32)))
    np.testing.assert_array_equal(narrow, wide)


def summed(x):
    """Float64 sum over images, rows and columns."""
    return np.asarray(x, np.float64).sum((0, 1, 2))


def module_gradients(module, x, weight):
    graph, parameters, rest = nnx.split(module, nnx.Param, ...)

    def loss(parameters):
        return widened(nnx.merge(graph, parameters, rest)(x), weight)

    return nnx.to_pure_dict(jax.jit(jax.grad(loss))(parameters))


def widened(y, weight):
    return (y.astype(jnp.float32) * weight.astype(jnp.float32)).sum()


def test_gradients_of_biases_are_summed_in_float32_where_maps_are_bfloat16(rng):
    """Those of all pixels: 32768 addends, where a sum in bfloat16 stands still at 256 of them."""
    shape = (2, 128, 128, 8)
    x = jnp.asarray(rng.standard_normal(shape), jnp.bfloat16)
    weight = jnp.asarray(rng.standard_normal(shape) + 1, jnp.bfloat16)
    kernel = jnp.ones((1, 1, 8, 8))
    per_image = jnp.ones((2, 1, 1, 8, 8))
    offsets = jnp.zeros((*shape[:3], 2))
    found = {
        "dynamic_conv": jax.grad(
            lambda b: widened(dynamic_conv(x, per_image, jnp.stack([b, b])), weight)
        )(jnp.zeros(8)),
        "deformable_conv": jax.grad(
            lambda b: widened(deformable_conv(x, offsets, kernel, b), weight)
        )(jnp.zeros(8)),
        "Conv": module_gradients(Conv(8, 8, 1, rngs=nnx.Rngs(0)), x, weight)["bias"],
        "InstanceNorm": module_gradients(InstanceNorm(8), x, weight)["bias"],
    }
    for name, slope in found.items():
        np.testing.assert_allclose(slope, summed(weight), rtol=1e-4, err_msg=name)


def test_gradients_of_factors_are_summed_in_float32_where_maps_are_bfloat16(rng):
    shape = (2, 128, 128, 8)
    x, weight = (jnp.asarray(rng.standard_normal(shape) + 1, jnp.bfloat16) for _ in range(2))
    product = np.asarray(x, np.float64) * np.asarray(weight, np.float64)
    slope = jax.grad(lambda k: widened(dynamic_conv(x, k), weight))(jnp.ones((2, 1, 1, 1, 8)))
    np.testing.assert_allclose(slope[:, 0, 0, 0], product.sum((1, 2)), rtol=1e-2)

    normalized = np.asarray(instance_norm(x), np.float64)
    slope = module_gradients(InstanceNorm(8), x, weight)["scale"]
    magnitude = np.sqrt(np.sum((normalized * np.asarray(weight, np.float64)) ** 2, (0, 1, 2)))
    error = slope - summed(normalized * np.asarray(weight, np.float64))
    assert np.all(np.abs(error) < 0.02 * magnitude)
