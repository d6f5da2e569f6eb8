"""Nets that give kernels of any size and number of groups, and maps of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from din_jax.layers.codes import LayerCode, MapCode, identity_kernel
from din_jax.layers.nets import DynamicCode, SpatialCode
from din_jax.layers.normalizers import Instance
from din_jax.layers.styled import StyledLayer
from din_jax.layers.transforms import KernelTransform, SpatialTransform
from din_jax.ops.normalization import instance_norm

CHANNELS = 8
plain = StyledLayer(Instance(), KernelTransform())


def features(count, size=12):
    rng = np.random.default_rng(count)
    return jnp.asarray(rng.normal(50, 100, (count, size, size, 6)), jnp.float32)


def run(kind, x, **settings):
    """A fresh module's code of x, as one program."""
    settings = {"hidden": 16, "scale": 1 / 64} | settings

    @jax.jit
    def build_and_call(x):
        rngs = nnx.Rngs(jax.random.key(0, impl="rbg"))
        return kind(6, CHANNELS, rngs=rngs, **settings)(x)

    return build_and_call(x)


@pytest.mark.parametrize("kernel,pool", [(3, 4), (1, 1)])
@pytest.mark.parametrize("side,groups", [(1, 1), (3, 1), (5, 1), (1, 4), (3, 8)])
def test_the_code_has_exactly_the_size_asked_for_and_starts_near_the_identity(
    kernel, pool, side, groups
):
    code = run(DynamicCode, features(4), kernel=kernel, pool=pool, side=side, groups=groups)
    assert code.kernel.shape == (4, side, side, CHANNELS // groups, CHANNELS)
    assert code.bias.shape == (4, CHANNELS)
    change = np.asarray(code.kernel) - np.asarray(
        identity_kernel(side, side, CHANNELS // groups, CHANNELS)
    )
    # What a kernel adds to unit-variance maps has the same size for every side and grouping.
    added = np.sqrt(np.square(change).sum((1, 2, 3))).mean()
    assert 0.005 < added / np.sqrt(CHANNELS) < 0.05
    assert (np.ptp(change, axis=0) > 0).any((2, 3)).all(), "a tap that no style moves"


@pytest.mark.parametrize("side,groups", [(1, 1), (3, 1), (3, 2), (5, 8)])
def test_the_identity_kernel_changes_nothing(side, groups):
    x = jnp.asarray(np.random.default_rng(0).normal(2, 3, (1, 7, 6, CHANNELS)), jnp.float32)
    kernel = identity_kernel(side, side, CHANNELS // groups, CHANNELS)[None]
    y = plain(x, LayerCode(kernel, jnp.zeros((1, CHANNELS))))
    np.testing.assert_allclose(y, instance_norm(x), atol=1e-5)


def test_taps_of_a_strided_net_come_from_where_they_lie_in_the_style():
    """The paper pools the net's map to K x K: a style's corner moves the kernel's corner."""
    x = np.asarray(features(1, 24))
    changed = x.copy()
    changed[:, :4, :4] = changed[:, :4, :4][:, ::-1] * 2
    # One mean and variance for both, so that only the corner differs.
    changed[:, :4, :4] += x[:, :4, :4].mean() - changed[:, :4, :4].mean()
    code = run(DynamicCode, jnp.asarray(np.concatenate([x, changed])), kernel=3, pool=4, side=3)
    moved = np.abs(np.asarray(code.kernel[0] - code.kernel[1])).mean((2, 3))
    assert moved.argmax() == 0 and moved[0, 0] > 4 * moved[2, 2]


def test_groups_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="8 channels do not divide into 3 groups"):
        run(DynamicCode, features(1), kernel=1, pool=1, groups=3)


def test_a_spatial_code_is_a_map_of_fixed_size_near_one_and_zero():
    for size in (9, 32):
        code = run(SpatialCode, features(2, size), grid=5)
        assert isinstance(code, MapCode)
        assert code.kernel.shape == code.bias.shape == (2, 5, 5, CHANNELS)
        assert 0 < np.abs(code.kernel - 1).max() < 0.6 and 0 < np.abs(code.bias).max() < 0.6
        assert (np.ptp(code.kernel, axis=(1, 2)) > 0).all()


@pytest.mark.parametrize("transform", ["instance norm", "standard", "3x3", "depthwise", "spatial"])
def test_a_flat_area_stays_flat_but_for_the_spatially_adaptive_transform(transform):
    """Figure 7 of the paper: one kernel per image gives a constant where the content is one."""
    x = np.random.default_rng(1).normal(0, 1, (1, 20, 20, CHANNELS)).astype(np.float32)
    x[:, :12] = np.linspace(-1, 1, CHANNELS)
    if transform == "instance norm":
        y = instance_norm(jnp.asarray(x))
    elif transform == "spatial":
        layer = StyledLayer(Instance(), SpatialTransform())
        y = layer(x, run(SpatialCode, features(1, 32), grid=6))
    else:
        side, groups = {"standard": (1, 1), "3x3": (3, 1), "depthwise": (3, 8)}[transform]
        settings = {"kernel": 3, "pool": 4, "side": side, "groups": groups}
        y = plain(x, run(DynamicCode, features(1, 32), **settings))
    spread = np.std(np.asarray(y)[:, :11], axis=(1, 2)).max()
    assert spread > 0.02 if transform == "spatial" else spread < 1e-5
