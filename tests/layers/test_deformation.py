import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from din_jax.layers.codes import LayerCode
from din_jax.layers.deformation import DeformableTransform
from din_jax.layers.normalizers import Instance
from din_jax.layers.styled import StyledLayer
from din_jax.ops.dynamic import dynamic_conv
from din_jax.ops.normalization import instance_norm


def layer(**settings):
    settings = {"side": 3} | settings
    return DeformableTransform(4, rngs=nnx.Rngs(jax.random.key(0, impl="rbg")), **settings)


def paint(transform, x, code):
    return StyledLayer(Instance(), transform)(x, code)


def case(side=3, per_group=4):
    rng = np.random.default_rng(2)
    x = jnp.asarray(rng.normal(2, 3, (2, 9, 8, 4)), jnp.float32)
    kernel = jnp.asarray(rng.normal(0, 0.3, (2, side, side, per_group, 4)), jnp.float32)
    return x, LayerCode(kernel, jnp.asarray(rng.normal(size=(2, 4)), jnp.float32))


@pytest.mark.parametrize(
    "settings,per_group",
    [({}, 4), ({"modulated": True}, 4), ({"groups": 2, "dilation": 2}, 1)],
)
def test_a_fresh_layer_is_the_standard_one_away_from_the_border(settings, per_group):
    x, code = case(per_group=per_group)
    border = settings.get("dilation", 1)
    y = paint(layer(**settings), x, code)
    expected = dynamic_conv(instance_norm(x), *code, dilation=border)
    inner = slice(border, -border)
    np.testing.assert_allclose(y[:, inner, inner], expected[:, inner, inner], atol=1e-5)
    assert np.abs(y[:, 0] - expected[:, 0]).max() > 0.01  # zeros there, not reflection


def test_one_pixel_of_offset_reads_the_neighbor():
    x, code = case()
    moved = layer()
    # Channel 2 (3 i + j) is y, the next x: all points one to the right.
    moved.offset_net.bias[...] = jnp.tile(jnp.asarray([0.0, 1.0]), 9)
    still = paint(layer(), x, code)
    np.testing.assert_allclose(paint(moved, x, code)[:, :, 1:-2], still[:, :, 2:-1], atol=1e-5)


def test_the_offsets_come_from_the_content():
    x, code = case()
    module = layer()
    rng = np.random.default_rng(0)
    kernel = jnp.asarray(rng.normal(size=module.offset_net.kernel.shape), jnp.float32)
    module.offset_net.kernel[...] = kernel
    offsets, mask = module.points_read(instance_norm(x))
    assert offsets.shape == (2, 9, 8, 18) and mask is None
    assert np.std(offsets, axis=(1, 2)).min() > 0.1
    assert np.abs(paint(module, x, code) - paint(layer(), x, code)).max() > 0.1


def test_the_offset_net_has_a_gradient_from_the_start():
    x, code = case()
    weights = jnp.asarray(np.random.default_rng(1).normal(size=x.shape), jnp.float32)
    module = layer(modulated=True)
    slopes = nnx.jit(nnx.grad(lambda m: (weights * paint(m, x, code)).sum()))(module)
    per_output = np.abs(slopes.offset_net.kernel[...]).sum((0, 1, 2))
    assert per_output.shape == (27,) and (per_output > 1e-3).all()
