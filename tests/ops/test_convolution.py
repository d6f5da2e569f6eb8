import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.ops.convolution import conv2d, depthwise_conv2d

# (stride, size): even and odd sizes; a stride that divides them and one that does not.
STRIDES = [(1, (5, 7)), (2, (6, 6)), (2, (5, 7)), (3, (8, 7))]
FORMS = ("conv", "shift")


@pytest.mark.parametrize("side", [1, 3, 5])
@pytest.mark.parametrize("stride,size", STRIDES)
def test_every_form_equals_a_plain_loop(rng, reference, side, stride, size):
    x = rng.normal(size=(2, *size, 3)).astype(np.float32)
    dense = rng.normal(size=(side, side, 3, 2)).astype(np.float32)
    depthwise = rng.normal(size=(side, side, 1, 3)).astype(np.float32)

    @jax.jit
    def every_form(x, dense, depthwise):
        return {
            form: (conv2d(x, dense, stride, form), depthwise_conv2d(x, depthwise, stride, form))
            for form in FORMS
        }

    for form, results in every_form(x, dense, depthwise).items():
        for y, kernel in zip(results, (dense, depthwise), strict=True):
            expected = reference.convolve(x, kernel, stride)
            np.testing.assert_allclose(y, expected, atol=1e-5, err_msg=form)


@pytest.mark.parametrize(
    "side,inputs,outputs",
    [(5, 3, 4), (7, 1, 2), (9, 3, 2), (9, 4, 2), (3, 3, 16), (3, 16, 3), (3, 17, 1)],
)
# The last one is cut into two strips, the second a row short.
@pytest.mark.parametrize("size", [(8, 10), (9, 11), (35, 6)])
def test_from_or_to_few_channels_it_equals_a_plain_loop(
    rng, reference, side, inputs, outputs, size
):
    x = jnp.asarray(rng.normal(size=(2, *size, inputs)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(side, side, inputs, outputs)) / side, jnp.float32)

    @jax.jit
    def values_and_gradients(x, kernel):
        def loss(x, kernel, form):
            y = conv2d(x, kernel, 1, form)
            return jnp.sin(y).sum(), y

        return {form: jax.grad(loss, (0, 1), has_aux=True)(x, kernel, form) for form in FORMS}

    results = values_and_gradients(x, kernel)
    expected = reference.convolve(x, kernel)
    for form, (_, y) in results.items():
        np.testing.assert_allclose(y, expected, atol=1e-5, err_msg=form)
    for a, b in zip(results["shift"][0], results["conv"][0], strict=True):
        size = np.abs(b).max()  # sums of a hundred terms
        np.testing.assert_allclose(a / size, b / size, atol=1e-5)


@pytest.mark.parametrize("stride,size", [(1, (4, 5)), (2, (4, 4)), (2, (5, 6)), (3, (5, 6))])
def test_depthwise_gradients_match_finite_differences(rng, reference, stride, size):
    x, kernel = rng.normal(size=(2, *size, 2)), rng.normal(size=(3, 3, 1, 2))
    weights = rng.normal(size=reference.convolve(x, kernel, stride).shape)

    def slow(x, kernel):
        return (weights * reference.convolve(x, kernel, stride)).sum()

    @jax.jit
    def gradients(x, kernel):
        def fast(x, kernel, form):
            return (weights * depthwise_conv2d(x, kernel, stride, form)).sum()

        return {form: jax.grad(fast, (0, 1))(x, kernel, form) for form in FORMS}

    by_x = reference.slopes(lambda v: slow(v, kernel), x)
    by_kernel = reference.slopes(lambda v: slow(x, v), kernel)
    inputs = [jnp.asarray(v, jnp.float32) for v in (x, kernel)]
    for form, (to_x, to_kernel) in gradients(*inputs).items():
        np.testing.assert_allclose(to_x, by_x, atol=1e-4, err_msg=form)
        np.testing.assert_allclose(to_kernel, by_kernel, atol=1e-4, err_msg=form)


@pytest.mark.parametrize("side", [1, 3])
@pytest.mark.parametrize("stride", [1, 2])
def test_dense_gradients_are_the_same_in_both_forms(rng, side, stride):
    x = jnp.asarray(rng.normal(size=(2, 5, 6, 3)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(side, side, 3, 2)), jnp.float32)

    def loss(x, kernel, form):
        return jnp.sin(conv2d(x, kernel, stride, form)).sum()

    @jax.jit
    def gradients(x, kernel):
        return [jax.grad(loss, (0, 1))(x, kernel, form) for form in FORMS]

    shifted, direct = gradients(x, kernel)
    for a, b in zip(shifted, direct, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_bfloat16_maps_stay_bfloat16_in_value_and_gradient(rng):
    x = jnp.asarray(rng.normal(size=(1, 6, 6, 2)), jnp.bfloat16)
    kernel = jnp.asarray(rng.normal(size=(3, 3, 1, 2)), jnp.float32)
    for form in FORMS:

        def call(x, kernel, form=form):
            y, pull = jax.vjp(lambda x, k: depthwise_conv2d(x, k, 1, form), x, kernel)
            return y, *pull(y)

        y, to_x, to_kernel = jax.eval_shape(call, x, kernel)
        assert (y.dtype, to_x.dtype, to_kernel.dtype) == (x.dtype, x.dtype, kernel.dtype)


def test_an_unknown_form_is_refused():
    x, kernel = jnp.zeros((1, 4, 4, 2)), jnp.zeros((1, 1, 2, 2))
    with pytest.raises(ValueError, match="'winograd'"):
        conv2d(x, kernel, form="winograd")
    with pytest.raises(ValueError, match="'winograd'"):
        depthwise_conv2d(x, jnp.zeros((1, 1, 1, 2)), form="winograd")


def test_maps_too_small_for_the_kernel_are_refused_at_trace_time():
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((1, 9, 4, 1), (9, 9, 1, 1))]
    for function in (conv2d, depthwise_conv2d):
        with pytest.raises(ValueError, match="4 x 4 needs a map larger than that, not 9 x 4"):
            jax.eval_shape(function, *shapes)


@pytest.mark.parametrize(
    "x,kernel",
    [
        ((1, 5, 5, 4), (3, 3, 3, 4)),
        ((1, 5, 5, 4), (3, 3, 4)),
        ((1, 5, 5, 4), (2, 2, 4, 4)),
        ((1, 5, 5, 4), (3, 1, 4, 4)),
        ((5, 5, 4), (1, 1, 4, 4)),
    ],
)
def test_shapes_that_do_not_fit_are_refused_by_name(x, kernel):
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (x, kernel)]
    both = re.escape(f"not shapes {x} and {kernel}")
    for function in (conv2d, depthwise_conv2d):
        with pytest.raises(ValueError, match=both):
            jax.eval_shape(function, *shapes)
    # One filter per channel is not one of a convolution, nor the other way around.
    x, dense, depthwise = (jnp.zeros(v) for v in ((1, 4, 4, 4), (3, 3, 4, 4), (3, 3, 1, 4)))
    with pytest.raises(ValueError, match="depthwise .* takes a kernel .K, K, 1, I. .* 3, 4, 4"):
        depthwise_conv2d(x, dense)
    with pytest.raises(ValueError, match="takes a kernel .K, K, I, O. .* 3, 1, 4"):
        conv2d(x, depthwise)


def test_a_stride_below_one_is_refused():
    with pytest.raises(ValueError, match="stride .* from 1 on, not 0"):
        conv2d(jnp.zeros((1, 4, 4, 2)), jnp.zeros((1, 1, 2, 2)), 0)
