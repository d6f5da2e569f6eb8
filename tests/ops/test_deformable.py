"""The oracle is the formula of the paper in float64, position by position (`slow`)."""

import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax

from din_jax.ops import deformable_conv

EXAMPLE = Path(__file__).parents[2] / "examples" / "deformable.py"


def hat(distance):
    return np.maximum(0, 1 - np.abs(distance))


def slow(x, offsets, kernel, bias=None, mask=None, stride=1, dilation=1):
    """Zhu et al. 2019, eq. 1, with Dai et al. 2017, eq. 3 for the value between the pixels."""
    x, offsets, kernel = (np.asarray(v, np.float64) for v in (x, offsets, kernel))
    b, h, w, channels = x.shape
    kernel = kernel if kernel.ndim == 5 else np.stack([kernel] * b)
    side, per_group, outputs = kernel.shape[1], kernel.shape[3], kernel.shape[4]
    offsets = offsets.reshape(*offsets.shape[:3], -1, side, side, 2)
    mask = np.ones(offsets.shape[:-1]) if mask is None else np.asarray(mask, np.float64)
    mask = mask.reshape(offsets.shape[:-1])
    moved_together = channels // offsets.shape[3]
    y = np.zeros((*offsets.shape[:3], outputs))
    for n, p, q, i, j in np.ndindex(*offsets.shape[:3], side, side):
        sample = np.zeros(channels)
        for g in range(offsets.shape[3]):
            move = offsets[n, p, q, g, i, j]
            row = stride * p + dilation * (i - side // 2) + move[0]
            column = stride * q + dilation * (j - side // 2) + move[1]
            part = slice(g * moved_together, (g + 1) * moved_together)
            value = np.einsum(
                "i,j,ijc->c", hat(row - np.arange(h)), hat(column - np.arange(w)), x[n, ..., part]
            )
            sample[part] = value * mask[n, p, q, g, i, j]
        for o in range(outputs):
            first = o // (outputs // (channels // per_group)) * per_group
            y[n, p, q, o] += sample[first : first + per_group] @ kernel[n, i, j, :, o]
    if bias is not None:
        y += np.asarray(bias, np.float64).reshape(-1, 1, 1, outputs)
    return y


def random_case(
    rng, size=(2, 4, 5), inputs=4, outputs=4, side=3, groups=1, offset_groups=1, stride=1, shared=()
):
    """Maps, offsets that no coordinate of which is whole, kernel, bias and mask."""
    b, h, w = size
    out = (b, -(-h // stride), -(-w // stride))
    points = offset_groups * side * side
    each = () if shared else (b,)
    return (
        rng.normal(size=(*size, inputs)),
        rng.integers(-16, 16, (*out, points * 2)) / 8 + 1 / 16,
        rng.normal(0, 0.3, (*each, side, side, inputs // groups, outputs)),
        rng.normal(size=(*each, outputs)),
        rng.normal(size=(*out, points)),
    )


def as_float32(*arrays):
    return [jnp.asarray(v, jnp.float32) for v in arrays]


CASES = {
    "dense": {},
    "side 1": {"side": 1},
    "side 5": {"side": 5},
    "shared": {"shared": True},
    "grouped": {"groups": 2, "outputs": 6},
    "grouped, shared": {"groups": 2, "shared": True},
    "depthwise": {"groups": 4},
    "depthwise, shared": {"groups": 4, "shared": True},
    "depthwise with a multiplier": {"groups": 4, "outputs": 8},
    "two offset groups": {"offset_groups": 2, "outputs": 3},
    "an offset group per channel": {"groups": 2, "offset_groups": 4},
    "stride 2": {"stride": 2},
    "dilation 2": {"dilation": 2},
    "stride 2, dilation 3": {"stride": 2, "dilation": 3, "offset_groups": 2},
}


@pytest.mark.parametrize("name", CASES)
def test_every_form_equals_the_formula(rng, name):
    settings = dict(CASES[name])
    dilation = settings.pop("dilation", 1)
    x, offsets, kernel, bias, mask = random_case(rng, **settings)
    steps = {"stride": settings.get("stride", 1), "dilation": dilation}
    forms = [("taps", None), ("taps", 3), ("im2col", 1), ("im2col", None)]

    def each(x, offsets, kernel, bias, mask):
        given = [{"form": form, "rows_at_a_time": rows, **steps} for form, rows in forms]
        plain = [deformable_conv(x, offsets, kernel, **g) for g in given]
        return plain, [deformable_conv(x, offsets, kernel, bias, mask=mask, **g) for g in given]

    plain, full = jax.jit(each)(*as_float32(x, offsets, kernel, bias, mask))
    expected = slow(x, offsets, kernel, **steps)
    for form, y in zip(forms, plain, strict=True):
        np.testing.assert_allclose(y, expected, atol=1e-5, err_msg=str(form))
    expected = slow(x, offsets, kernel, bias, mask, **steps)
    for form, y in zip(forms, full, strict=True):
        np.testing.assert_allclose(y, expected, atol=1e-5, err_msg=f"{form}, modulated")


@pytest.mark.parametrize(
    "settings",
    [
        {"inputs": 2, "outputs": 3},
        {"inputs": 2, "outputs": 3, "shared": True, "offset_groups": 2},
        {"inputs": 4, "outputs": 2, "groups": 2, "side": 1},
        {"inputs": 2, "outputs": 2, "groups": 2, "offset_groups": 2},
        {"inputs": 2, "outputs": 2, "groups": 2, "shared": True},
    ],
)
def test_gradients_match_finite_differences(rng, reference, settings):
    forms = [("taps", None), ("taps", 2), ("im2col", None)]
    case = random_case(rng, size=(2, 3, 2), **settings)
    weights = rng.normal(size=(2, 3, 2, settings["outputs"]))

    def fast(form, rows, x, offsets, kernel, bias, mask):
        y = deformable_conv(x, offsets, kernel, bias, mask=mask, form=form, rows_at_a_time=rows)
        return (weights.astype(np.float32) * y).sum()

    def each(*inputs):
        return [jax.grad(fast, range(2, 7))(*form, *inputs) for form in forms]

    gradients = jax.jit(each)(*as_float32(*case))
    for index in range(5):
        pick = rng.permutation(case[index].size)[:12]

        def value(numbers, index=index, pick=pick):
            changed = [np.array(v) for v in case]
            changed[index].flat[pick] = numbers
            return (weights * slow(*changed)).sum()

        expected = reference.slopes(value, case[index].flat[pick])
        for form, gradient in zip(forms, gradients, strict=True):
            got = np.asarray(gradient[index]).flat[pick]
            np.testing.assert_allclose(got, expected, atol=1e-5, err_msg=f"{form}: {index}")


def test_without_a_mask_the_other_gradients_are_those_of_a_mask_of_ones(rng):
    x, offsets, kernel, _, mask = as_float32(*random_case(rng, offset_groups=2))

    @jax.jit
    def both(mask):
        def loss(mask, *inputs):
            return jnp.sin(deformable_conv(*inputs, mask=mask)).sum()

        inputs = (x, offsets, kernel)
        return [jax.value_and_grad(loss, (1, 2, 3))(m, *inputs) for m in (None, mask)]

    without, ones = both(jnp.ones_like(mask))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), without, ones)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("stride,dilation", [(1, 1), (1, 2), (2, 1)])
def test_zero_offsets_give_the_ordinary_convolution(rng, groups, stride, dilation):
    x, offsets, kernel, _, _ = as_float32(*random_case(rng, groups=groups, stride=stride))
    pad = [(dilation, dilation)] * 2

    @jax.jit
    def both(x, kernel):
        rows = [
            lax.conv_general_dilated(
                x[i : i + 1],
                kernel[i],
                (stride, stride),
                pad,
                rhs_dilation=(dilation, dilation),
                dimension_numbers=("NHWC", "HWIO", "NHWC"),
                feature_group_count=groups,
            )
            for i in range(len(x))
        ]
        zero = jnp.zeros_like(offsets)
        return jnp.concatenate(rows), deformable_conv(
            x, zero, kernel, stride=stride, dilation=dilation
        )

    ordinary, y = both(x, kernel)
    np.testing.assert_allclose(y, ordinary, atol=1e-5)


def test_whole_offsets_shift_the_map(rng):
    x = rng.normal(size=(1, 5, 6, 3)).astype(np.float32)
    offsets = np.broadcast_to(np.array([2.0, -1.0], np.float32), (1, 5, 6, 2))
    y = deformable_conv(x, offsets, jnp.eye(3)[None, None])
    # Every pixel reads 2 below and 1 to the left of itself.
    np.testing.assert_array_equal(y[:, :3, 1:], x[:, 2:, :-1])
    assert not np.any(y[:, 3:]) and not np.any(y[:, :, :1])


def test_a_tap_follows_its_own_offset_channel(rng):
    """A tap at (i, j) that is moved back to the center reads the center."""
    x = rng.normal(size=(1, 4, 5, 2)).astype(np.float32)
    for i, j in [(0, 2), (2, 1)]:
        kernel = np.zeros((3, 3, 2, 2), np.float32)
        kernel[i, j] = np.eye(2)
        offsets = np.zeros((1, 4, 5, 3, 3, 2), np.float32)
        offsets[..., i, j, :] = [1 - i, 1 - j]
        y = deformable_conv(x, offsets.reshape(1, 4, 5, 18), kernel)
        np.testing.assert_array_equal(y, x)


def test_offsets_keep_their_digits_far_from_the_first_pixel(rng):
    x = rng.normal(size=(1, 1, 3000, 1))
    offsets = rng.uniform(-0.9, 0.9, (1, 1, 3000, 2)) * [0, 1]
    kernel = np.ones((1, 1, 1, 1))
    x, offsets, kernel = as_float32(x, offsets, kernel)
    y = jax.jit(deformable_conv)(x, offsets, kernel)
    np.testing.assert_allclose(y, slow(x, offsets, kernel), atol=1e-6)


def test_bfloat16_maps_sum_in_float32(rng):
    x, offsets, kernel, bias, mask = random_case(rng, side=5)
    x, kernel, bias = (jnp.asarray(v, jnp.bfloat16) for v in (x, kernel, bias))
    offsets, mask = as_float32(offsets, mask)

    def apply(x, offsets, kernel, bias, mask):
        return deformable_conv(x, offsets, kernel, bias, mask=mask)

    inputs = (x, offsets, kernel, bias, mask)
    y = jax.jit(apply)(*inputs)
    assert y.dtype == jnp.bfloat16
    expected = slow(*(np.asarray(v, np.float64) for v in inputs))
    # Rounded: the samples, the sum, and the sum with the bias.
    scale = np.abs(expected).max()
    np.testing.assert_allclose(np.asarray(y, np.float64), expected, atol=2 * 2**-8 * scale)
    gradients = jax.jit(jax.grad(lambda *a: apply(*a).astype(jnp.float32).sum(), range(5)))(*inputs)
    wide = [jnp.asarray(v, jnp.float32) for v in inputs]
    exact = jax.jit(jax.grad(lambda *a: apply(*a).sum(), range(5)))(*wide)
    for given, got, want in zip(inputs, gradients, exact, strict=True):
        assert got.dtype == given.dtype
        scale = np.abs(want).max()
        np.testing.assert_allclose(got.astype(jnp.float32), want, atol=2**-6 * scale)


@pytest.mark.parametrize(
    "form,rows,forward,both",
    [("taps", None, 0.15, 0.3), ("taps", 512, 3, 6), ("im2col", 8, 0.2, 0.6)],
)
def test_memory_stays_a_small_multiple_of_the_map(form, rows, forward, both):
    """In maps, beyond arguments and results, at 512 x 512 with 32 channels; nothing is run."""
    x = jax.ShapeDtypeStruct((1, 512, 512, 32), jnp.float32)
    offsets = jax.ShapeDtypeStruct((1, 512, 512, 18), jnp.float32)
    kernel = jax.ShapeDtypeStruct((1, 3, 3, 32, 32), jnp.float32)

    def apply(x, offsets, kernel):
        return deformable_conv(x, offsets, kernel, form=form, rows_at_a_time=rows)

    def with_gradients(gradient, *inputs):
        y, pull = jax.vjp(apply, *inputs)
        return y, pull(gradient)

    for function, inputs, limit in [
        (apply, (x, offsets, kernel), forward),
        (with_gradients, (x, x, offsets, kernel), both),
    ]:
        compiled = jax.jit(function).lower(*inputs).compile()
        used = compiled.memory_analysis().temp_size_in_bytes / (512 * 512 * 32 * 4)
        assert used < limit
    if rows == 512:
        assert used > 1  # else the analysis tells nothing


@pytest.mark.parametrize("offset_groups", [1, 2])
@pytest.mark.parametrize("groups,stride,dilation", [(1, 1, 1), (2, 1, 2), (4, 2, 1)])
def test_values_and_gradients_equal_torchvision(rng, groups, stride, dilation, offset_groups):
    # A torchvision built for another torch raises RuntimeError, not ImportError.
    vision = pytest.importorskip("torchvision", reason="no working torchvision", exc_type=Exception)
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    x, _, kernel, bias, mask = as_float32(
        *random_case(
            rng,
            size=(2, 7, 6),
            groups=groups,
            offset_groups=offset_groups,
            stride=stride,
            shared=True,
        )
    )
    # Whole coordinates and borders among them, where both take the slope to the right and below.
    offsets = jnp.asarray(rng.integers(-12, 12, (*mask.shape[:3], 2 * mask.shape[3])) / 4)
    inputs = (x, offsets.astype(jnp.float32), kernel, bias, mask)
    weights = rng.normal(size=(*mask.shape[:3], kernel.shape[-1])).astype(np.float32)
    steps = {"stride": stride, "dilation": dilation}

    def fast(x, offsets, kernel, bias, mask):
        y = deformable_conv(x, offsets, kernel, bias, mask=mask, **steps)
        return (weights * y).sum(), y

    gradients, y = jax.jit(jax.grad(fast, tuple(range(5)), has_aux=True))(*inputs)
    # Ours to torch: channels second in maps, offsets and mask; [O, I / groups, K, K] in weights.
    axes = [(0, 3, 1, 2), (0, 3, 1, 2), (3, 2, 0, 1), (0,), (0, 3, 1, 2)]
    tensors = [
        torch.tensor(np.asarray(v).transpose(order), requires_grad=True)
        for v, order in zip(inputs, axes, strict=True)
    ]
    result = vision.ops.deform_conv2d(*tensors[:4], mask=tensors[4], padding=dilation, **steps)
    (result * torch.tensor(weights.transpose(0, 3, 1, 2))).sum().backward()
    expected = result.detach().numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(y, expected, atol=1e-5)
    for gradient, tensor, order in zip(gradients, tensors, axes, strict=True):
        expected = tensor.grad.numpy()
        got = np.asarray(gradient).transpose(order)
        np.testing.assert_allclose(got, expected, atol=1e-5 * max(1, np.abs(expected).max()))


def test_sizes_may_be_unknown_while_tracing(rng):
    inputs = as_float32(*random_case(rng, shared=True))
    b, h, w = export.symbolic_shape("b, h, w")
    shapes = [
        jax.ShapeDtypeStruct(
            v.shape if v.ndim == 1 or v.shape[0] == 3 else (b, h, w, v.shape[3]), v.dtype
        )
        for v in inputs
    ]

    def apply(x, offsets, kernel, bias, mask):
        return deformable_conv(x, offsets, kernel, bias, mask=mask)

    y = export.export(jax.jit(apply))(*shapes).call(*inputs)
    np.testing.assert_allclose(y, slow(*inputs), atol=1e-5)


FINE = {
    "x": (2, 4, 5, 6),
    "offsets": (2, 4, 5, 18),
    "kernel": (2, 3, 3, 6, 4),
    "bias": (2, 4),
    "mask": (2, 4, 5, 9),
}


@pytest.mark.parametrize(
    "change,message",
    [
        ({"x": (4, 5, 6)}, r"takes x \[B, H, W, I\].*not shapes \(4, 5, 6\)"),
        ({"kernel": (3, 3, 3, 6, 4)}, "2 maps but 3 kernels: give one for every map, or one"),
        ({"kernel": (2, 2, 2, 6, 4)}, "square with an odd side, not 2 x 2"),
        ({"kernel": (2, 3, 1, 6, 4)}, "square with an odd side, not 3 x 1"),
        ({"kernel": (2, 3, 3, 4, 4)}, "6 input and 4 output channels.*groups of 4.*choose"),
        ({"kernel": (2, 3, 3, 2, 4)}, "6 input and 4 output channels.*groups of 2.*choose"),
        ({"offsets": (1, 4, 5, 18)}, r"must be \[B, H, W\] = \(2, 4, 5\), not \(1, 4, 5\)"),
        ({"offsets": (2, 4, 4, 18)}, r"= \(2, 4, 5\), not \(2, 4, 4\): predict them at the size"),
        ({"offsets": (2, 4, 5, 9)}, "groups .* 18 channels for a 3 x 3 kernel.*not 9 channels"),
        ({"offsets": (2, 4, 5, 72)}, "divides the 6 input channels, not 72 channels"),
        ({"mask": (2, 4, 5, 18)}, r"mask must be \(2, 4, 5, 9\), one.*not \(2, 4, 5, 18\)"),
        ({"mask": (1, 4, 5, 9)}, r"mask must be \(2, 4, 5, 9\)"),
        ({"bias": (6,)}, r"bias must be \(4,\) or \(2, 4\), not \(6,\)"),
        ({"stride": 2}, r"at stride 2 must be \[B, H, W\] = \(2, 2, 3\), not \(2, 4, 5\)"),
        ({"dilation": 0}, "dilation is a whole number from 1 on, not 0"),
        ({"rows_at_a_time": 0}, "rows_at_a_time is a whole number from 1 on, not 0"),
        ({"form": "fast"}, "form of a deformable convolution is taps or im2col, not 'fast'"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_while_tracing(change, message):
    arrays = {name: change.get(name, shape) for name, shape in FINE.items()}
    settings = {name: value for name, value in change.items() if name not in FINE}
    with pytest.raises(ValueError, match=message) as raised:
        jax.eval_shape(
            lambda arrays: deformable_conv(**arrays, **settings),
            {name: jax.ShapeDtypeStruct(shape, jnp.float32) for name, shape in arrays.items()},
        )
    assert str(raised.value).endswith(".") and "\n" not in str(raised.value)


def test_the_example_learns_what_a_plain_convolution_cannot(capsys):
    with jax.numpy_dtype_promotion("standard"):  # Optax raises a float to an int32 count
        plain, deformable = runpy.run_path(str(EXAMPLE))["main"](steps=100)
    assert deformable < 0.5 * plain
    assert "deformable" in capsys.readouterr().out
