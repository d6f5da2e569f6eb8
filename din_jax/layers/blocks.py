"""Convolutions, and the blocks of the content network built from them."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from din_jax.layers.norms import Identity, make_norm
from din_jax.ops.convolution import conv2d, depthwise_conv2d
from din_jax.ops.widening import add_bias


class Conv(nnx.Module):
    """conv2d(x; kernel) + bias with reflect padding, He-normal kernel times `gain`, zero bias.

    `depthwise` holds one K x K filter per channel. Shapes: [B, H, W, I] ->
    [B, ceil(H/stride), ceil(W/stride), O].
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        *,
        depthwise: bool = False,
        gain: float = 1.0,
        rngs: nnx.Rngs,
    ):
        fan_in = kernel * kernel * (1 if depthwise else inputs)
        shape = (kernel, kernel, 1 if depthwise else inputs, outputs)
        deviation = gain * (2.0 / fan_in) ** 0.5
        self.kernel = nnx.Param(deviation * jax.random.normal(rngs.params(), shape))
        self.bias = nnx.Param(jnp.zeros(outputs))
        self.stride = stride
        self.depthwise = depthwise

    def __call__(self, x: Array) -> Array:
        apply = depthwise_conv2d if self.depthwise else conv2d
        y = apply(x, self.kernel[...], self.stride)
        with jax.named_scope("bias"):
            return add_bias(y, self.bias[...])


def relu(x: Array) -> Array:
    """max(x, 0), in a scope of its own so that operation counts and profiles can name it."""
    with jax.named_scope("relu"):
        return jax.nn.relu(x)


class ConvBlock(nnx.Module):
    """Convolution, norm, and ReLU unless `linear`."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int = 1,
        *,
        norm: str,
        depthwise: bool = False,
        linear: bool = False,
        gain: float = 1.0,
        rngs: nnx.Rngs,
    ):
        self.conv = Conv(inputs, outputs, kernel, stride, depthwise=depthwise, gain=gain, rngs=rngs)
        self.norm = make_norm(norm, outputs)
        self.linear = linear

    def __call__(self, x: Array) -> Array:
        y = self.norm(self.conv(x))
        return y if self.linear else relu(y)


class SeparableBlock(nnx.Module):
    """Depthwise 3x3 (with the stride), then pointwise 1x1, each with norm and ReLU (MobileNet).

    `separable=False` is the standard 3x3 convolution that it approximates.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int = 1,
        *,
        norm: str,
        separable: bool = True,
        linear: bool = False,
        gain: float = 1.0,
        rngs: nnx.Rngs,
    ):
        if separable:
            self.depthwise = ConvBlock(
                inputs, inputs, 3, stride, norm=norm, depthwise=True, rngs=rngs
            )
            self.pointwise = ConvBlock(
                inputs, outputs, 1, norm=norm, linear=linear, gain=gain, rngs=rngs
            )
        else:
            self.depthwise = Identity()
            self.pointwise = ConvBlock(
                inputs, outputs, 3, stride, norm=norm, linear=linear, gain=gain, rngs=rngs
            )

    def __call__(self, x: Array) -> Array:
        return self.pointwise(self.depthwise(x))


class ResidualBlock(nnx.Module):
    """x + f(x), f two separable blocks, the second without ReLU.

    Without a norm the branch starts small, so that depth does not amplify; a norm starts it at unit
    variance.
    """

    GAIN = 0.2

    def __init__(self, channels: int, *, norm: str, separable: bool, rngs: nnx.Rngs):
        shared = {"norm": norm, "separable": separable, "rngs": rngs}
        self.first = SeparableBlock(channels, channels, **shared)
        self.second = SeparableBlock(channels, channels, linear=True, gain=self.GAIN, **shared)

    def __call__(self, x: Array) -> Array:
        return x + self.second(self.first(x))
