import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from din_jax.evaluation.operations import Operations, count_operations
from din_jax.layers.blocks import ConvBlock
from din_jax.ops.convolution import conv2d, depthwise_conv2d
from din_jax.ops.dynamic import dynamic_conv
from din_jax.ops.resizing import adaptive_average_pool, max_pool


def shape(*sizes):
    return jax.ShapeDtypeStruct(sizes, jnp.float32)


def test_a_convolution_counts_its_products_without_padding():
    # 4 x 3 outputs, 5 channels, 3 * 3 * 2 products each.
    x, kernel = shape(1, 8, 6, 2), shape(3, 3, 2, 5)
    counted = count_operations(lambda x, k: conv2d(x, k, 2), x, kernel)
    assert counted == Operations(macs=4 * 3 * 5 * 18)
    counted = count_operations(conv2d, x, kernel)
    assert counted == Operations(macs=8 * 6 * 5 * 18)


def test_a_depthwise_convolution_counts_one_filter_per_channel():
    counted = count_operations(depthwise_conv2d, shape(1, 8, 6, 2), shape(3, 3, 1, 2))
    assert counted == Operations(macs=8 * 6 * 2 * 9)


def test_a_dynamic_1x1_counts_one_product_and_its_bias():
    counted = count_operations(dynamic_conv, shape(2, 4, 4, 3), shape(2, 1, 1, 3, 5), shape(2, 5))
    assert counted == Operations(macs=2 * 16 * 15, bias=2 * 16 * 5)


@pytest.mark.parametrize("norm,factor", [("instance", 2), ("none", 0)])
def test_a_block_counts_bias_norm_and_relu_once_per_call(norm, factor):
    graph, state = nnx.split(
        nnx.eval_shape(lambda: ConvBlock(2, 2, 1, norm=norm, rngs=nnx.Rngs(0)))
    )

    def twice(state, x):
        block = nnx.merge(graph, state)
        return block(block(x))

    counted = count_operations(twice, state, shape(1, 4, 4, 2))
    assert counted == Operations(macs=2 * 64, bias=64, norm=factor * 64, relu=64)
    assert counted.total == 2 * 64 + 64 + factor * 64 + 64


def test_pooling_counts_maxima_but_not_averages():
    assert count_operations(max_pool, shape(1, 4, 4, 3)) == Operations(max_pool=48)
    counted = count_operations(lambda x: adaptive_average_pool(x, 2), shape(1, 4, 4, 3))
    assert counted == Operations()


def test_products_inside_jit_are_counted():
    counted = count_operations(jax.jit(lambda a, b: a @ b), shape(2, 3), shape(3, 4))
    assert counted == Operations(macs=24)


def test_loops_are_refused():
    with pytest.raises(ValueError, match="not in a while"):
        count_operations(lambda x: jax.lax.fori_loop(0, x.astype(int), lambda i, y: y + i, 0), 3.0)


def test_operations_add_up():
    assert Operations(1, 2, 3, 4, 5) + Operations(macs=10) == Operations(11, 2, 3, 4, 5)
