"""Pictures in larger maps are computed as if the maps were not larger."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.ops import extent, padding
from din_jax.ops.convolution import conv2d, depthwise_conv2d
from din_jax.ops.extent import Extent
from din_jax.ops.forms import default_form
from din_jax.ops.resizing import upsample_bilinear

FULL = (24, 32)
SIZES = ((17, 29), (24, 31))


def maps(scale=1, channels=3):
    shape = (2, FULL[0] // scale, FULL[1] // scale, channels)
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


def small_and_large(functions, x, scale):
    """Results of each picture alone, and of the map that holds both: one program for each."""

    @jax.jit
    def alone(x):
        return [function(x) for function in functions]

    @jax.jit
    def together(x, sizes):
        with extent.within(Extent(FULL, sizes)):
            return [function(x) for function in functions]

    # What has been traced of such maps outside is no more taken inside than the other way around.
    jax.eval_shape(lambda x: alone.__wrapped__(x), x)
    held = together(x, jnp.asarray(SIZES))
    jax.eval_shape(lambda x: alone.__wrapped__(x), x)
    for i, (rows, columns) in enumerate(SIZES):
        picture = x[i : i + 1, : -(-rows // scale), : -(-columns // scale)]
        yield alone(picture), [y[i : i + 1] for y in held]


KERNEL = jnp.asarray(np.random.default_rng(1).normal(size=(3, 3, 3, 3)), jnp.float32)
FUNCTIONS = (
    lambda x: padding.reflect_pad(x, 3, 2),
    padding.repeat_border,
    lambda x: conv2d(x, KERNEL, 2),
    lambda x: depthwise_conv2d(x, KERNEL[:, :, :1], 2),
    upsample_bilinear,
)


@pytest.mark.parametrize("form, scale", [("conv", 1), ("shift", 2)])
def test_borders_are_those_of_the_pictures(form, scale):
    with default_form(form):
        for alone, held in small_and_large(FUNCTIONS, maps(scale), scale):
            for one, larger in zip(alone, held, strict=True):
                larger = larger[:, : one.shape[1], : one.shape[2]]
                np.testing.assert_allclose(larger, one, atol=1e-5)


def test_shares_are_of_the_picture_or_of_its_own_part():
    x = maps(4)
    share = np.asarray(jax.jit(lambda x: Extent(FULL, jnp.asarray(SIZES)).share(x))(x))
    assert share.shape == (2, 6, 8)
    for i, (rows, columns) in enumerate(((5, 8), (6, 8))):
        assert share[i].sum() == share[i, :rows, :columns].sum() == rows * columns
    own = jnp.asarray([[[4, 16], [0, 29]], [[0, 24], [8, 12]]])
    share = np.asarray(jax.jit(lambda x: Extent(FULL, jnp.asarray(SIZES), own).share(x))(x))
    assert share[0].sum() == share[0, 1:4].sum() == 3 * 8
    assert share[1].sum() == share[1, :, 2:3].sum() == 6


def test_what_lies_outside_is_cleared():
    x = 2 + maps(2)
    assert extent.outside_cleared(x) is x

    @jax.jit
    def clear(x):
        with extent.within(Extent(FULL, jnp.asarray(SIZES))):
            return extent.outside_cleared(x)

    cleared, x = np.asarray(clear(x)), np.asarray(x)
    for i, (rows, columns) in enumerate(((9, 15), (12, 16))):
        np.testing.assert_array_equal(cleared[i, :rows, :columns], x[i, :rows, :columns])
        assert not cleared[i, rows:].any() and not cleared[i, :, columns:].any()


def test_maps_that_no_scale_fits_are_refused():
    with extent.within(Extent(FULL, jnp.asarray(SIZES))):
        with pytest.raises(ValueError, match="multiple of 8"):
            padding.reflect_pad(jnp.zeros((2, 7, 16, 1)), 1)
    assert extent.current() is None
