import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.ops.dynamic import dynamic_conv, dynamic_instance_norm
from din_jax.ops.normalization import instance_norm

# (groups, inputs, outputs): dense, grouped, depthwise, depthwise with a multiplier, many groups.
GROUPS = [(1, 4, 6), (2, 4, 6), (4, 4, 4), (4, 4, 8), (17, 34, 17)]
# As many groups are taken at once as have 32 channels: parts of two, of three, one group each.
PARTS = [(6, 96, 12), (6, 66, 6), (2, 80, 4)]
FORMS = ("vmap", "matmul", "winograd")


def random_case(rng, side, groups, inputs, outputs):
    x = rng.normal(1, 2, (2, 5, 6, inputs)).astype(np.float32)
    kernel = rng.normal(0, 0.3, (2, side, side, inputs // groups, outputs)).astype(np.float32)
    return x, kernel, rng.normal(size=(2, outputs)).astype(np.float32)


@functools.cache
def every_form(function):
    """The results by form, from one compiled program: eager operations compile one by one."""
    return jax.jit(lambda *a: {form: function(*a, form) for form in FORMS})


def in_every_form(function, *inputs):
    return every_form(function)(*inputs)


@pytest.mark.parametrize("side", [1, 3, 5])
@pytest.mark.parametrize("groups,inputs,outputs", GROUPS)
def test_all_forms_equal_a_plain_loop(rng, reference, side, groups, inputs, outputs):
    case = random_case(rng, side, groups, inputs, outputs)
    expected = reference.convolve_each(*case)
    for form, y in in_every_form(dynamic_conv, *case).items():
        np.testing.assert_allclose(y, expected, atol=1e-5, err_msg=form)


@pytest.mark.parametrize("side,groups,inputs,outputs", [(5, 1, 65, 3), *((3, *p) for p in PARTS)])
def test_groups_by_parts_and_wide_kernels_equal_vmap(rng, side, groups, inputs, outputs):
    """5x5 of more than 64 channels is not the 3x3 on blocks that it is below."""
    x, kernel, _ = random_case(rng, side, groups, inputs, outputs)
    kernel /= (inputs / groups) ** 0.5

    def both(form):
        y, pull = jax.vjp(lambda x, k: dynamic_conv(x, k, form=form), x, kernel)
        return y, *pull(jnp.cos(y))

    expected, result = (jax.jit(both, static_argnums=0)(form) for form in ("vmap", "winograd"))
    for a, b in zip(result, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5 * max(1, np.abs(b).max()))


@pytest.mark.parametrize("groups,inputs,outputs", [GROUPS[0], GROUPS[2]])
@pytest.mark.parametrize("side,dilation", [(3, 2), (3, 3), (5, 2)])
def test_a_dilated_kernel_is_a_larger_one_with_zeros(rng, side, dilation, groups, inputs, outputs):
    x, kernel, bias = random_case(rng, side, groups, inputs, outputs)
    x = np.concatenate([x, -x[:, ::-1]], 1)[:, :, [*range(6)] * 2] / 4  # a larger map
    larger = np.zeros((2, *[dilation * (side - 1) + 1] * 2, *kernel.shape[3:]), np.float32)
    larger[:, ::dilation, ::dilation] = kernel
    forms = ("vmap", "matmul")

    @jax.jit
    def both(x, larger, kernel, bias):
        return {
            function.__name__: (
                function(x, larger, bias),
                [function(x, kernel, bias, form, dilation=dilation) for form in forms],
            )
            for function in (dynamic_conv, dynamic_instance_norm)
        }

    for name, (expected, results) in both(x, larger, kernel, bias).items():
        for form, y in zip(forms, results, strict=True):
            np.testing.assert_allclose(y, expected, atol=1e-5, err_msg=f"{name}, {form}")


def test_without_a_bias_none_is_added(rng):
    x, kernel, _ = random_case(rng, 1, 1, 4, 6)
    with_zeros = dynamic_conv(x, kernel, jnp.zeros((2, 6)))
    np.testing.assert_array_equal(dynamic_conv(x, kernel), with_zeros)


@pytest.mark.parametrize("side", [1, 3])
@pytest.mark.parametrize("groups,inputs,outputs", GROUPS)
def test_din_normalizes_then_convolves(rng, reference, side, groups, inputs, outputs):
    x, kernel, bias = random_case(rng, side, groups, inputs, outputs)
    expected = reference.convolve_each(reference.normalize(x), kernel, bias)
    for form, y in in_every_form(dynamic_instance_norm, x, kernel, bias).items():
        np.testing.assert_allclose(y, expected, atol=1e-5, err_msg=form)


def test_the_folded_form_keeps_its_digits_far_from_zero(rng, reference):
    x = (1e4 + rng.normal(0, 1, (1, 8, 8, 3))).astype(np.float32)
    kernel = rng.normal(size=(1, 1, 1, 3, 3)).astype(np.float32)
    expected = reference.convolve_each(reference.normalize(x), kernel, np.zeros((1, 3)))
    np.testing.assert_allclose(
        dynamic_instance_norm(x, kernel, jnp.zeros((1, 3))), expected, atol=5e-3
    )


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("mean,deviation", [(0, 1), (100, 1), (3, 0), (0, 0), (-1, 1e-3)])
def test_the_folded_form_equals_the_unfolded(rng, groups, mean, deviation):
    """Also on constant maps, where the norm multiplies rounding by 1 / sqrt(epsilon) = 316."""
    x = (mean + deviation * rng.normal(size=(2, 8, 8, 4))).astype(np.float32)
    kernel = rng.normal(0, 0.5, (2, 1, 1, 4 // groups, 4)).astype(np.float32)
    bias = rng.normal(size=(2, 4)).astype(np.float32)
    forms = in_every_form(dynamic_instance_norm, x, kernel, bias)
    np.testing.assert_allclose(forms["matmul"], forms["vmap"], atol=1e-5)


def test_the_folded_form_in_bfloat16_has_statistics_in_float32(rng, reference):
    x = jnp.asarray(rng.normal(2, 3, (2, 16, 16, 4)), jnp.bfloat16)
    kernel = rng.normal(0, 0.5, (2, 1, 1, 4, 4)).astype(np.float32)
    bias = rng.normal(size=(2, 4)).astype(np.float32)
    y = dynamic_instance_norm(x, kernel, bias)
    assert y.dtype == jnp.bfloat16
    expected = reference.convolve_each(reference.normalize(np.asarray(x, np.float64)), kernel, bias)
    # Operands and result are rounded to 8 bits, one part in 256 each; sums are not.
    error = np.abs(np.asarray(y, np.float64) - expected)
    assert error.max() < 4 / 256 * np.abs(expected).max()
    assert abs((np.asarray(y, np.float64) - expected).mean()) < 1e-3


def test_the_identity_code_is_instance_norm(rng):
    x = rng.normal(2, 3, (2, 6, 5, 4)).astype(np.float32)
    dense = jnp.broadcast_to(jnp.eye(4), (2, 1, 1, 4, 4))
    depthwise = jnp.ones((2, 1, 1, 1, 4))
    for kernel in (dense, depthwise):
        y = dynamic_instance_norm(x, kernel, jnp.zeros((2, 4)))
        np.testing.assert_allclose(y, instance_norm(x), atol=1e-5)


@pytest.mark.parametrize("channels,outputs,groups", [(2, 2, 1), (4, 4, 2), (2, 2, 2)])
def test_the_form_that_is_chosen_is_one_of_them(rng, channels, outputs, groups):
    case = random_case(rng, 3, groups, channels, outputs)

    def program(form, platform):
        trace = jax.jit(lambda *a: dynamic_conv(*a, form)).trace(*case)
        return trace.lower(lowering_platforms=(platform,)).as_text()

    on_cpu = program("auto", "cpu")
    assert on_cpu == program("winograd", "cpu")
    for platform in ("cuda", "tpu"):
        elsewhere = program("auto", platform)
        assert elsewhere == program("matmul", platform)
        assert elsewhere.count("dot_general") == (9 if groups < channels else 0)
    # F(2x2, 3x3) takes sixteen products, the taps are nine.
    assert on_cpu.count("dot_general") == (16 if groups < channels else 0)


@pytest.mark.parametrize("side,groups", [(1, 1), (1, 2), (3, 1), (3, 2)])
def test_gradients_match_finite_differences(rng, reference, side, groups):
    x = rng.normal(1, 2, (2, 3, 4, 2))
    kernel = rng.normal(size=(2, side, side, 2 // groups, 2))
    bias, weights = rng.normal(size=(2, 2)), rng.normal(size=(2, 3, 4, 2))

    def slow(x, kernel, bias):
        return (weights * reference.convolve_each(reference.normalize(x), kernel, bias)).sum()

    def fast(x, kernel, bias, form):
        return (weights * dynamic_instance_norm(x, kernel, bias, form)).sum()

    inputs = [jnp.asarray(v, jnp.float32) for v in (x, kernel, bias)]
    gradients = in_every_form(jax.grad(fast, (0, 1, 2)), *inputs)
    to_x = reference.slopes(lambda v: slow(v, kernel, bias), x)
    to_kernel = reference.slopes(lambda v: slow(x, v, bias), kernel)
    to_bias = reference.slopes(lambda v: slow(x, kernel, v), bias)
    for form, found in gradients.items():
        for a, b in zip(found, (to_x, to_kernel, to_bias), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4, err_msg=form)


@pytest.mark.parametrize(
    "x,kernel,bias,numbers",
    [
        ((5, 5, 4), (1, 1, 1, 4, 4), (1, 4), "(5, 5, 4)"),
        ((1, 5, 5, 4), (1, 1, 4, 4), (1, 4), "(1, 1, 4, 4)"),
        ((2, 5, 5, 4), (3, 1, 1, 4, 4), (2, 4), "2 images but 3 kernels"),
        ((1, 5, 5, 4), (1, 2, 2, 4, 4), (1, 4), "2 x 2"),
        ((1, 5, 5, 4), (1, 1, 3, 4, 4), (1, 4), "1 x 3"),
        ((1, 5, 5, 4), (1, 1, 1, 3, 4), (1, 4), "4 input and 4 output channels"),
        ((1, 5, 5, 4), (1, 1, 1, 8, 4), (1, 4), "groups of 8"),
        ((1, 5, 5, 4), (1, 1, 1, 2, 5), (1, 5), "4 input and 5 output channels"),
        ((1, 5, 5, 4), (1, 1, 1, 4, 4), (1, 3), "(1, 4), not (1, 3)"),
        ((1, 5, 5, 4), (1, 1, 1, 4, 4), (4,), "(1, 4), not (4,)"),
        ((1, 2, 5, 4), (1, 5, 5, 4, 4), (1, 4), "not 2 x 5"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_at_trace_time(x, kernel, bias, numbers):
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (x, kernel, bias)]
    for function in (dynamic_conv, dynamic_instance_norm):
        with pytest.raises(ValueError, match=re.escape(numbers)):
            jax.eval_shape(function, *shapes)


def test_a_dilation_below_one_is_refused():
    with pytest.raises(ValueError, match="dilation .* at least 1, not 0"):
        dynamic_conv(jnp.zeros((1, 4, 4, 2)), jnp.zeros((1, 3, 3, 2, 2)), dilation=0)


def test_an_unknown_form_is_refused():
    x, kernel = jnp.zeros((1, 4, 4, 2)), jnp.zeros((1, 1, 1, 2, 2))
    with pytest.raises(ValueError, match="'fast'"):
        dynamic_conv(x, kernel, form="fast")


@pytest.mark.parametrize("form", ["auto", *FORMS])
@pytest.mark.parametrize("side,groups", [(1, 1), (3, 1), (3, 2), (3, 4)])
def test_a_batch_of_no_images_gives_none(form, side, groups):
    shapes = [(0, 5, 6, 4), (0, side, side, 4 // groups, 8), (0, 8)]
    inputs = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    for function in (dynamic_conv, dynamic_instance_norm):

        def run(*inputs, function=function):
            y, pull = jax.vjp(lambda *a: function(*a, form), *inputs)
            return y, *pull(y)

        results = jax.eval_shape(run, *inputs)
        assert [y.shape for y in results] == [(0, 5, 6, 8), *shapes]
