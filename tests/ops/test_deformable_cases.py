"""The cases of torchvision's own tests of `deform_conv2d`, and the gradient at every boundary.

The oracle is the definition once more, in torchvision's layout (channels second) and by the four
corners around a point, so that the conversions that `ops.deformable` states are held too.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.ops import bilinear_sample, deformable_conv, dynamic_conv

# torchvision's: 6 to 2 channels in 2 groups, 3 offset groups, maps of 5 x 4, batches of 0 and 33.
INPUTS, OUTPUTS, GROUPS, OFFSET_GROUPS, SIZE, SIDE = 6, 2, 2, 3, (5, 4), 3


def corner_value(channel, y, x):
    """Bilinear between the four pixels around (y, x), those outside the map zero."""
    top, left = math.floor(y), math.floor(x)
    total = 0.0
    for i, part_y in ((top, top + 1 - y), (top + 1, y - top)):
        for j, part_x in ((left, left + 1 - x), (left + 1, x - left)):
            if 0 <= i < channel.shape[0] and 0 <= j < channel.shape[1]:
                total += part_y * part_x * channel[i, j]
    return total


def deform_conv2d(x, offset, weight, bias=None, mask=None, stride=1, dilation=1):
    """[B, I, H, W], [B, 2 G K K, h, w], [O, I / groups, K, K], [O], [B, G K K, h, w]."""
    outputs, per_group, side, _ = weight.shape
    per_weight = outputs // (x.shape[1] // per_group)
    per_offset = x.shape[1] // (offset.shape[1] // (2 * side * side))
    out = np.zeros((len(x), outputs, *offset.shape[2:]))
    for b, o, p, q in np.ndindex(out.shape):
        for c, i, j in np.ndindex(per_group, side, side):
            channel = o // per_weight * per_group + c
            tap = (channel // per_offset * side + i) * side + j
            y = p * stride + (i - side // 2) * dilation + offset[b, 2 * tap, p, q]
            z = q * stride + (j - side // 2) * dilation + offset[b, 2 * tap + 1, p, q]
            scale = 1.0 if mask is None else mask[b, tap, p, q]
            out[b, o, p, q] += weight[o, c, i, j] * scale * corner_value(x[b, channel], y, z)
        out[b, o, p, q] += 0.0 if bias is None else bias[o]
    return out


def case(rng, batch, stride, offsets=None):
    """(x, offset, weight, bias, mask) of torchvision's layout, in float64."""
    size = [-(-n // stride) for n in SIZE]
    points = OFFSET_GROUPS * SIDE * SIDE
    drawn = rng.normal(size=(batch, 2 * points, *size)) if offsets is None else offsets
    return (
        rng.uniform(size=(batch, INPUTS, *SIZE)),
        np.broadcast_to(drawn, (batch, 2 * points, *size)).copy(),
        rng.normal(size=(OUTPUTS, INPUTS // GROUPS, SIDE, SIDE)),
        rng.normal(size=OUTPUTS),
        rng.normal(size=(batch, points, *size)),
    )


def ours(x, offset, weight, bias=None, mask=None, **settings):
    """The same by `deformable_conv`, through the conversions that its module states."""
    x, offset, mask = (None if v is None else v.transpose(0, 2, 3, 1) for v in (x, offset, mask))
    kernel = weight.transpose(2, 3, 1, 0)
    return deformable_conv(x, offset, kernel, bias, mask=mask, **settings).transpose(0, 3, 1, 2)


def test_torchvisions_case(rng):
    given = case(rng, 33, 2)
    settings = {"stride": 2, "dilation": 2}

    def both(x, offset, weight, bias, mask):
        plain = ours(x, offset, weight, form="im2col", **settings)
        return plain, ours(x, offset, weight, bias, mask, **settings)

    with jax.enable_x64(True):
        plain, full = jax.jit(both)(*given)
    few = slice(None, None, 8)  # the oracle takes its time
    x, offset, weight, bias, mask = given
    expected = deform_conv2d(x[few], offset[few], weight, **settings)
    np.testing.assert_allclose(plain[few], expected, atol=1e-12)
    expected = deform_conv2d(x[few], offset[few], weight, bias, mask[few], **settings)
    np.testing.assert_allclose(full[few], expected, atol=1e-12)


@pytest.mark.parametrize("form", ["taps", "im2col"])
def test_an_empty_batch_has_a_value_and_gradients(rng, form):
    given = case(rng, 0, 1)

    def apply(given):
        y = ours(*given, form=form, rows_at_a_time=2)
        return y.sum(), y

    gradients, y = jax.jit(jax.grad(apply, has_aux=True))(given)
    assert y.shape == (0, OUTPUTS, *SIZE)
    for gradient, array in zip(gradients, given, strict=True):
        np.testing.assert_array_equal(gradient, np.zeros_like(array))


@pytest.mark.parametrize("masked", [True, False])
def test_gradients_of_torchvisions_case_with_every_point_on_a_pixel(rng, masked):
    """At borders and beyond them too, the slope to an offset is the one to the right and below: the
    function is linear from one pixel to the next, so a difference finds it."""
    stride, dilation, step = 2, 2, 0.125
    shape = (2, 2 * OFFSET_GROUPS * SIDE * SIDE, 3, 2)
    given = case(rng, 2, stride, rng.integers(-5, 6, shape).astype(float))
    given = given if masked else (*given[:4], None)
    weights = rng.normal(size=(2, OUTPUTS, 3, 2))

    def loss(function, given):
        return (weights * function(*given, stride=stride, dilation=dilation)).sum()

    with jax.enable_x64(True):
        gradients = jax.jit(jax.grad(lambda given: loss(ours, given)))(given)
    value = loss(deform_conv2d, given)
    for index, gradient in enumerate(gradients[: 5 if masked else 4]):
        for place in rng.choice(given[index].size, min(given[index].size, 20), replace=False):
            changed = [None if v is None else v.copy() for v in given]
            changed[index].flat[place] += step
            slope = (loss(deform_conv2d, changed) - value) / step
            np.testing.assert_allclose(np.asarray(gradient).flat[place], slope, atol=1e-9)


# Beyond the map, where it begins and ends, at its first, middle and last pixel, and between.
ROWS = [-2, -1.5, -1, -0.5, 0, 0.25, 1, 1.5, 2, 2.75, 3, 4]  # of 3
COLUMNS = [-2, -1.25, -1, -0.25, 0, 0.5, 1, 2.5, 3, 3.5, 4, 5]  # of 4


def at_every_boundary(rng):
    """A 1x1 kernel whose points lie at every pair of ROWS and COLUMNS: one pair per output.

    Maps and kernel are whole, offsets quarters: float32 holds values and slopes exactly.
    """
    targets = np.stack(np.meshgrid(ROWS, COLUMNS, indexing="ij"), -1).reshape(12, 3, 4, 2)
    pixels = np.stack(np.meshgrid(np.arange(3), np.arange(4), indexing="ij"), -1)
    return (
        rng.integers(-8, 8, (12, 3, 4, 2)).astype(np.float32),
        (targets - pixels).astype(np.float32),
        rng.integers(-4, 4, (1, 1, 2, 1)).astype(np.float32),
        targets,
    )


@pytest.mark.parametrize("form", ["taps", "im2col"])
def test_the_slope_at_every_boundary_is_the_one_to_the_right_and_below(rng, form):
    x, offsets, kernel, targets = at_every_boundary(rng)
    pull = jax.jit(jax.grad(lambda x, o: deformable_conv(x, o, kernel, form=form).sum(), (0, 1)))
    to_x, to_offsets = pull(x, offsets)
    expected, kinks = np.zeros_like(targets), 0
    weights = np.zeros_like(x)
    for index in np.ndindex(targets.shape[:3]):
        image, (y, z) = x[index[0]] @ kernel[0, 0, :, 0], targets[index]
        for axis, (down, right) in enumerate(((0.25, 0), (0, 0.25))):
            here = corner_value(image, y, z)
            after = corner_value(image, y + down, z + right) - here
            before = here - corner_value(image, y - down, z - right)
            expected[(*index, axis)] = after / 0.25
            kinks += after != before
        for i, j in np.ndindex(3, 4):
            share = max(0, 1 - abs(y - i)) * max(0, 1 - abs(z - j))
            weights[index[0], i, j] += share * kernel[0, 0, :, 0]
    assert kinks > 50  # else the side of the slope was not asked
    np.testing.assert_array_equal(to_offsets, expected)
    np.testing.assert_array_equal(to_x, weights)


@pytest.mark.parametrize("form", ["taps", "im2col"])
@pytest.mark.parametrize("far", [-1000.0, 1000.0])
def test_taps_outside_read_nothing_of_a_map_that_is_no_number(rng, form, far):
    x = jnp.full((1, 4, 5, 4), jnp.nan)
    offsets, mask = jnp.full((1, 4, 5, 18), far), jnp.ones((1, 4, 5, 9))
    kernel = jnp.asarray(rng.normal(size=(3, 3, 4, 2)), jnp.float32)

    def loss(offsets, mask, kernel):
        y = deformable_conv(x, offsets, kernel, mask=mask, form=form)
        return y.sum(), y

    (to_offsets, to_mask, to_kernel), y = jax.jit(jax.grad(loss, (0, 1, 2), has_aux=True))(
        offsets, mask, kernel
    )
    for array in (y, to_offsets, to_mask, to_kernel):
        np.testing.assert_array_equal(array, 0)


@pytest.mark.parametrize("form", ["taps", "im2col"])
def test_a_pixel_that_is_no_number_reaches_as_far_as_the_taps(form):
    x = jnp.ones((1, 6, 7, 2)).at[0, 0, 0].set(jnp.nan)
    offsets = jnp.zeros((1, 6, 7, 18))
    y = deformable_conv(x, offsets, jnp.ones((3, 3, 2, 2)), form=form)
    expected = np.zeros((6, 7), bool)
    expected[:2, :2] = True
    np.testing.assert_array_equal(np.isnan(y[0, :, :, 1]), expected)


def test_torchvisions_wrong_sizes_are_refused(rng):
    x, offset, weight, bias, mask = case(rng, 2, 1)
    with pytest.raises(ValueError, match="offsets need groups . 18 channels.*not 2 channels"):
        ours(x, offset[:, :2], weight, bias, mask)
    with pytest.raises(ValueError, match=r"mask must be \(2, 5, 4, 27\).*not \(2, 5, 4, 2\)"):
        ours(x, offset, weight, bias, mask[:, :2])


@pytest.mark.parametrize(
    "function,inputs",
    [
        (deformable_conv, [(1, 3, 3, 2), (1, 3, 3, 2), (1, 1, 2, 2)]),
        (dynamic_conv, [(1, 3, 3, 2), (1, 1, 1, 2, 2)]),
        (bilinear_sample, [(1, 3, 3, 2), (1, 3, 2)]),
    ],
)
def test_maps_of_whole_numbers_are_refused(function, inputs):
    """A kernel of their type would be rounded to whole numbers too."""
    x, *rest = (jnp.zeros(shape) for shape in inputs)
    with pytest.raises(ValueError, match="of a float type, not uint8: convert them first"):
        function(x.astype(jnp.uint8), *rest)
