"""No operation makes masked loads between elementwise neighbors, in value or gradient.

What XLA fuses depends on what stands around an operation, so norm and ReLU stand on both sides, as
in the network. docs/SLOW_STATE.md says what such loads cost.
"""

import pathlib
import platform

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from din_jax.layers.blocks import ConvBlock, SeparableBlock
from din_jax.ops.convolution import conv2d, depthwise_conv2d
from din_jax.ops.deformable import deformable_conv
from din_jax.ops.dynamic import dynamic_conv, dynamic_instance_norm
from din_jax.ops.normalization import adain, instance_norm
from din_jax.ops.padding import reflect_pad
from din_jax.ops.resizing import adaptive_average_pool, max_pool, upsample_bilinear
from din_jax.ops.sampling import bilinear_sample
from din_jax.ops.spatial import spatial_instance_norm
from din_jax.ops.statistics import gram_matrix
from din_jax.tools.masked_loads import masked_loads


def shape(*sizes):
    return jax.ShapeDtypeStruct(sizes, jnp.float32)


def dilated(x, kernel):
    return dynamic_conv(x, kernel, dilation=2)


def by_taps(x, kernel):
    return dynamic_conv(x, kernel, form="matmul")


def strided(x, kernel):
    return depthwise_conv2d(x, kernel, 2)


MAP, ODD = (2, 24, 20, 32), (1, 21, 19, 32)
# Operation, shape of its map, shapes of its other inputs.
CASES = {
    "reflection": (lambda x: reflect_pad(x, 4), MAP),
    "depthwise": (depthwise_conv2d, MAP, (3, 3, 1, 32)),
    "depthwise, one odd map": (depthwise_conv2d, ODD, (5, 5, 1, 32)),
    "depthwise, stride 2": (strided, MAP, (3, 3, 1, 32)),
    "3x3": (conv2d, MAP, (3, 3, 32, 24)),
    "3x3 to few": (conv2d, MAP, (3, 3, 32, 3)),
    "3x3 from few": (conv2d, (1, 24, 20, 3), (3, 3, 3, 64)),
    "9x9": (conv2d, (2, 24, 20, 3), (9, 9, 3, 32)),
    "Winograd": (conv2d, (1, 65, 66, 64), (3, 3, 64, 64)),
    "dynamic 1x1": (dynamic_instance_norm, MAP, (2, 1, 1, 32, 32), (2, 32)),
    "dynamic 3x3": (by_taps, MAP, (2, 3, 3, 32, 32)),
    "dynamic, groups": (by_taps, MAP, (2, 3, 3, 1, 64)),
    "dynamic, dilated": (dilated, MAP, (2, 3, 3, 32, 32)),
    "dynamic depthwise": (dynamic_conv, MAP, (2, 3, 3, 1, 32)),
    "dynamic depthwise, dilated": (dilated, MAP, (2, 3, 3, 1, 32)),
    "deformable": (deformable_conv, MAP, (2, 24, 20, 18), (2, 3, 3, 1, 32)),
    "sampling": (bilinear_sample, MAP, (2, 13, 11, 2)),
    "upsampling": (upsample_bilinear, MAP),
    "maximum": (max_pool, ODD),
    "average": (lambda x: adaptive_average_pool(x, 4), ODD),
    "spatial": (spatial_instance_norm, MAP, (2, 37, 9, 32), (2, 37, 9, 32)),
    "instance norm": (instance_norm, MAP),
    "AdaIN": (adain, MAP, (2, 9, 7, 32)),
    "Gram matrix": (gram_matrix, MAP),
}


def between_neighbors(operation):
    def run(x, scale, bias, *others):
        y = operation(jax.nn.relu(x * scale + bias), *others)
        return jax.nn.relu(y * 1.5 + 0.5)

    return run


def with_gradients(function):
    def run(gradient, *inputs):
        y, pull = jax.vjp(function, *inputs)
        return y, pull(gradient)

    return run


@pytest.mark.parametrize("name", CASES)
def test_no_operation_has_any(name):
    operation, *shapes = CASES[name]
    x, *others = (shape(*sizes) for sizes in shapes)
    channels = shape(1, 1, 1, x.shape[-1])
    function, inputs = between_neighbors(operation), (x, channels, channels, *others)
    assert masked_loads(function, *inputs) == {}
    gradient = jax.eval_shape(function, *inputs)
    assert masked_loads(with_gradients(function), gradient, *inputs) == {}


@pytest.mark.parametrize("norm", ["batch", "instance"])
@pytest.mark.parametrize("kind", ["depthwise", "separable"])
def test_no_block_has_any(kind, norm):
    def make():
        if kind == "depthwise":
            return ConvBlock(32, 32, 3, norm=norm, depthwise=True, rngs=nnx.Rngs(0))
        return SeparableBlock(32, 16, norm=norm, rngs=nnx.Rngs(0))

    block = nnx.eval_shape(make)
    block.eval()
    graph, state = nnx.split(block)
    run = lambda state, x: nnx.merge(graph, state)(x)  # noqa: E731
    assert masked_loads(run, state, shape(1, 24, 20, 32)) == {}


def sees_masks() -> bool:
    """Whether LLVM has masked loads for this processor."""
    info = pathlib.Path("/proc/cpuinfo")
    return platform.machine() == "x86_64" and info.exists() and "avx2" in info.read_text()


@pytest.mark.skipif(not sees_masks(), reason="this processor has no masked loads to be found")
def test_a_map_with_its_border_set_in_one_loop_has_some():
    """The program of docs/SLOW_STATE.md."""

    def bordered(x, kernel, top, bottom, left, right, scale):
        h, w, _ = x.shape
        y = sum(x[i : i + h - 2, j : j + w - 2] * kernel[i, j] for i in range(3) for j in range(3))
        y = jnp.pad(y, ((1, 1), (1, 1), (0, 0)))
        y = y.at[:1].set(top).at[-1:].set(bottom).at[:, :1].set(left).at[:, -1:].set(right)
        return jnp.maximum(y * scale + scale, 0)

    rows, columns = shape(1, 64, 32), shape(64, 1, 32)
    kernel, scale = shape(3, 3, 1, 1, 32), shape(1, 1, 32)
    inputs = shape(64, 64, 32), kernel, rows, rows, columns, columns, scale
    assert sum(masked_loads(bordered, *inputs).values()) > 10
