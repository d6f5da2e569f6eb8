"""The network's blocks as nodes of an ONNX graph: `layers.blocks` and `layers.norms`."""

import numpy as np

from din_jax.errors import UserError
from din_jax.export.graph import Graph
from din_jax.layers.blocks import Conv, ConvBlock, ResidualBlock, SeparableBlock
from din_jax.layers.norms import Identity, InstanceNorm
from din_jax.ops.statistics import EPSILON

LEAKY_SLOPE = 0.2


def conv(g: Graph, x: str, module: Conv, scale: float = 1.0, shift: float = 0.0) -> str:
    """The convolution of scale * (x + shift), which reflection commutes with, in one node."""
    kernel = np.asarray(module.kernel[...], np.float64)  # [K, K, I / groups, O]
    side, channels = kernel.shape[0], kernel.shape[3]
    bias = np.asarray(module.bias[...], np.float64) + scale * shift * kernel.sum((0, 1, 2))
    weights = g.weight(scale * kernel.transpose(3, 2, 0, 1), axis=0)
    return g.add(
        "Conv",
        reflected(g, x, side // 2),
        weights,
        g.constant(bias),
        kernel_shape=[side, side],
        strides=[module.stride] * 2,
        group=channels if module.depthwise else 1,
    )


def reflected(g: Graph, x: str, width: int) -> str:
    """A map with `width` mirrored pixels on each side."""
    if not width:
        return x
    return g.add("Pad", x, g.constant([0, 0, width, width] * 2), mode="reflect")


def dense(g: Graph, x: str, module: Conv, scale: float = 1.0) -> str:
    """A 1x1 convolution of vectors [B, I] -> [B, O], of scale * x."""
    kernel = scale * np.asarray(module.kernel[...], np.float64)[0, 0]
    bias = g.constant(np.asarray(module.bias[...]))
    return g.add("Gemm", x, g.weight(kernel, axis=1), bias)


def conv_block(g: Graph, x: str, block: ConvBlock, scale: float = 1.0, shift: float = 0.0) -> str:
    """`ConvBlock` of scale * (x + shift), its batch norm folded before."""
    y = conv(g, x, block.conv, scale, shift)
    if isinstance(block.norm, InstanceNorm):
        numbers = [g.constant(np.asarray(p[...])) for p in (block.norm.scale, block.norm.bias)]
        y = g.add("InstanceNormalization", y, *numbers, epsilon=EPSILON)
    elif not isinstance(block.norm, Identity):
        raise UserError(f"a norm of kind {type(block.norm).__name__} is not exported to ONNX.")
    return y if block.linear else g.add("Relu", y)


def separable(g: Graph, x: str, block: SeparableBlock) -> str:
    """`SeparableBlock`: depthwise, then pointwise, or one standard convolution."""
    if not isinstance(block.depthwise, Identity):
        x = conv_block(g, x, block.depthwise)
    return conv_block(g, x, block.pointwise)


def residual(g: Graph, x: str, block: ResidualBlock) -> str:
    """`ResidualBlock`: x + f(x)."""
    return g.add("Add", x, separable(g, separable(g, x, block.first), block.second))
