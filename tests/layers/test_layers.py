import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from din_jax.layers.blocks import Conv, ConvBlock, ResidualBlock, SeparableBlock
from din_jax.layers.codes import LayerCode
from din_jax.layers.nets import DynamicCode
from din_jax.layers.norms import BatchNorm, Identity, InstanceNorm, RunningStandardize, make_norm
from din_jax.ops.normalization import instance_norm


@pytest.fixture
def x():
    return jnp.asarray(np.random.default_rng(5).normal(2, 3, (2, 6, 5, 4)), jnp.float32)


def normal(shape):
    return jnp.asarray(np.random.default_rng(1).normal(size=shape), jnp.float32)


def fast_rngs():
    """Of the generator that XLA compiles in a sixth of the time of the default one."""
    return nnx.Rngs(jax.random.key(0, impl="rbg"))


def run(build, x):
    """`build(rngs)(x)` as one program."""
    return jax.jit(lambda x: build(fast_rngs())(x))(x)


def dynamic_code(rngs, **changes):
    settings = {"hidden": 4, "pool": 4, "kernel": 3, "scale": 1 / 64, "rngs": rngs}
    return DynamicCode(6, 3, **(settings | changes))


def test_conv_adds_its_bias_and_keeps_or_halves_the_size(x):
    conv = Conv(4, 3, 3, 2, rngs=fast_rngs())
    conv.kernel[...] = jnp.zeros_like(conv.kernel[...])
    conv.bias[...] = jnp.asarray([1.0, 2.0, 3.0])
    y = conv(x)
    assert y.shape == (2, 3, 3, 3)
    np.testing.assert_array_equal(y, np.broadcast_to([1, 2, 3], y.shape))


@pytest.mark.parametrize("depthwise", [False, True])
def test_a_fresh_conv_and_relu_keep_the_mean_square(depthwise):
    y = run(lambda rngs: Conv(32, 32, 3, depthwise=depthwise, rngs=rngs), normal((1, 16, 16, 32)))
    assert 0.7 < np.square(np.maximum(y, 0)).mean() < 1.4


def test_instance_norm_layer_scales_and_shifts(x):
    norm = InstanceNorm(4)
    np.testing.assert_array_equal(norm(x), instance_norm(x))
    norm.scale[...] = jnp.asarray([2.0, 1, 1, 1])
    norm.bias[...] = jnp.asarray([0.0, 3, 0, 0])
    expected = np.asarray(instance_norm(x)) * [2, 1, 1, 1] + [0, 3, 0, 0]
    np.testing.assert_allclose(norm(x), expected, atol=1e-6)


def test_batch_norm_uses_the_batch_in_training_and_running_means_afterwards(x):
    norm = BatchNorm(4, momentum=0.9)
    exact = np.asarray(x, np.float64)
    mean, variance = exact.mean((0, 1, 2)), exact.var((0, 1, 2))
    np.testing.assert_allclose(norm(x), (exact - mean) / np.sqrt(variance + 1e-5), atol=1e-5)
    running_mean, running_variance = 0.1 * mean, 0.9 + 0.1 * variance
    np.testing.assert_allclose(norm.mean[...], running_mean, rtol=1e-5)
    norm.eval()
    expected = (exact - running_mean) / np.sqrt(running_variance + 1e-5)
    np.testing.assert_allclose(norm(x), expected, atol=1e-4)
    np.testing.assert_allclose(norm.mean[...], running_mean, rtol=1e-5)


def test_batch_norm_keeps_its_digits_where_the_mean_is_far_from_zero(x):
    norm = BatchNorm(4)
    np.testing.assert_allclose(norm(1000 + x), norm(x), atol=2e-3)


@pytest.mark.parametrize("kind", ["instance", "batch", "none"])
def test_every_norm_keeps_the_type_of_its_input(kind, x):
    norm = make_norm(kind, 4)
    assert norm(x.astype(jnp.bfloat16)).dtype == jnp.bfloat16
    assert isinstance(norm, Identity) == (kind == "none")


def test_running_standardize_is_the_plain_average_at_first_and_frozen_in_eval():
    rows = np.random.default_rng(0).normal(4, 2, (3, 8, 2)).astype(np.float32)
    layer = RunningStandardize(2)
    for batch in rows:
        layer(jnp.asarray(batch))
    np.testing.assert_allclose(layer.mean[...], rows.mean((0, 1)), rtol=1e-5)
    before = np.asarray(layer.variance[...])
    layer.eval()
    y = layer(jnp.asarray(rows[0]))
    np.testing.assert_allclose(
        y, (rows[0] - rows.mean((0, 1))) / (np.sqrt(before) + 1e-2), atol=1e-5
    )
    np.testing.assert_array_equal(layer.variance[...], before)


@pytest.mark.parametrize("separable", [True, False])
@pytest.mark.parametrize("norm", ["instance", "none"])
def test_a_residual_block_with_a_zero_branch_is_the_identity(x, separable, norm):
    block = ResidualBlock(4, norm=norm, separable=separable, rngs=fast_rngs())
    last = block.second.pointwise
    apply = nnx.jit(lambda block, x: block(x))
    assert not np.allclose(apply(block, x), x)
    scale = last.norm.scale if norm == "instance" else last.conv.kernel
    scale[...] = jnp.zeros_like(scale[...])
    np.testing.assert_array_equal(apply(block, x), x)


def test_a_linear_block_has_negative_values_and_others_have_none(x):
    for linear in (False, True):
        y = run(
            lambda rngs, linear=linear: ConvBlock(4, 3, norm="instance", linear=linear, rngs=rngs),
            x,
        )
        assert (y.min() < 0) == linear


def test_a_separable_block_has_one_filter_per_channel_then_mixes():
    block = nnx.eval_shape(lambda: SeparableBlock(4, 6, 2, norm="none", rngs=fast_rngs()))
    assert block.depthwise.conv.kernel.shape == (3, 3, 1, 4)
    assert block.pointwise.conv.kernel.shape == (1, 1, 4, 6)
    graph, state = nnx.split(block)
    y = nnx.eval_shape(lambda state, x: nnx.merge(graph, state)(x), state, jnp.ones((1, 7, 6, 4)))
    assert y.shape == (1, 4, 3, 6)


@pytest.mark.parametrize("kernel,pool", [(3, 4), (1, 4), (1, 1)])
def test_a_fresh_dynamic_code_is_near_the_identity(kernel, pool):
    features = 50 + 100 * normal((5, 8, 8, 6))
    code = run(lambda rngs: dynamic_code(rngs, kernel=kernel, pool=pool), features)
    assert isinstance(code, LayerCode)
    assert code.kernel.shape == (5, 1, 1, 3, 3) and code.bias.shape == (5, 3)
    assert np.abs(np.asarray(code.kernel[:, 0, 0]) - np.eye(3)).max() < 0.15
    assert np.abs(code.bias).max() < 0.6


def test_a_dynamic_code_with_scale_0_is_the_identity():
    code = run(lambda rngs: dynamic_code(rngs, scale=0.0), jnp.ones((1, 4, 4, 6)))
    np.testing.assert_array_equal(code.kernel[0, 0, 0], np.eye(3))
    np.testing.assert_array_equal(code.bias, np.zeros((1, 3)))


def test_a_dynamic_code_depends_on_the_style_and_not_on_its_brightness():
    styles = normal((2, 8, 8, 6))
    both = jnp.concatenate([styles, 3 * styles + 7])
    kernel = run(dynamic_code, both).kernel
    assert np.abs(kernel[0] - kernel[1]).max() > 1e-3
    np.testing.assert_allclose(kernel[2:], kernel[:2], atol=1e-5)


def test_no_hidden_unit_of_a_fresh_net_is_without_gradient():
    features = normal((2, 8, 8, 6))

    @jax.jit
    def slopes():
        net = dynamic_code(fast_rngs()).weight_net
        return nnx.grad(lambda net: jnp.square(net(features)).sum())(net)

    gradients = slopes()
    per_unit = np.abs(gradients.first.kernel[...]).sum((0, 1, 2))
    assert (per_unit > 0).all()


def test_a_norm_draws_nothing():
    """Networks that differ in a norm alone begin from the same kernels."""
    kernels = [
        SeparableBlock(4, 6, norm=norm, rngs=nnx.Rngs(3)).pointwise.conv.kernel[...]
        for norm in ("batch", "instance", "none")
    ]
    for other in kernels[1:]:
        np.testing.assert_array_equal(other, kernels[0])
