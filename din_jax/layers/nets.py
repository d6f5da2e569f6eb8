"""Weight net and bias net: from style features to the kernel and bias of a styled layer."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from din_jax.layers.blocks import Conv
from din_jax.layers.codes import LayerCode
from din_jax.ops.resizing import adaptive_average_pool

# The nets learn ten times faster than the rest, and Adam moves every weight by about the learning
# rate. Small inputs and large first weights make that step small against the weights (an equalized
# learning rate); without it the hidden units die within 200 steps and the network goes style-blind.
INPUT_SCALE = 1 / 16
# A bias moves a whole channel, a kernel entry a 1/C of it: biases may start and learn faster.
BIAS_GAIN = 4.0


class DynamicNet(nnx.Module):
    """Two convolutions and adaptive pooling, from style features to the numbers of a kernel.

    Features [B, H, W, I] are averaged to `pool` x `pool` and brought to zero mean and unit variance
    per image over all channels, then: convolution I -> hidden, leaky ReLU (slope 0.2, so that no
    unit dies), convolution hidden -> outputs. 3x3 convolutions take stride 2 (4 -> 2 -> 1); with
    1x1 the hidden map is averaged instead.

    Returns [B, outputs].
    """

    def __init__(
        self, inputs: int, outputs: int, *, hidden: int, pool: int, kernel: int, rngs: nnx.Rngs
    ):
        stride = 1 if kernel == 1 else 2
        self.first = Conv(inputs, hidden, kernel, stride, gain=1 / INPUT_SCALE, rngs=rngs)
        self.last = Conv(hidden, outputs, kernel, stride, gain=0.5**0.5, rngs=rngs)
        self.pool = pool

    def hidden(self, features: Array) -> Array:
        """Activations of the hidden layer, [B, h, w, hidden]; units that stay below 0 are dead."""
        x = adaptive_average_pool(features.astype(jnp.float32), self.pool)
        mean = x.mean((1, 2, 3), keepdims=True)
        x = (x - mean) * jax.lax.rsqrt(x.var((1, 2, 3), keepdims=True) + 1e-5)
        x = self.first(x * INPUT_SCALE)
        with jax.named_scope("relu"):
            return jax.nn.leaky_relu(x, 0.2)

    def __call__(self, features: Array) -> Array:
        x = self.hidden(features)
        if self.first.stride == 1:
            x = x.mean((1, 2), keepdims=True)
        return self.last(x).mean((1, 2))


class DynamicCode(nnx.Module):
    """A weight net and a bias net: kernel = I + g * net(style), bias = 4 g * net(style).

    Starting near the identity makes the first steps those of plain instance norm; the nets'
    learning rate acts on g * net.
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        *,
        hidden: int,
        pool: int,
        kernel: int,
        scale: float,
        rngs: nnx.Rngs,
    ):
        shared = {"hidden": hidden, "pool": pool, "kernel": kernel, "rngs": rngs}
        self.weight_net = DynamicNet(inputs, channels * channels, **shared)
        self.bias_net = DynamicNet(inputs, channels, **shared)
        self.channels = channels
        self.scale = scale

    def __call__(self, features: Array) -> LayerCode:
        c = self.channels
        kernel = self.scale * self.weight_net(features).reshape(-1, 1, 1, c, c) + jnp.eye(c)
        return LayerCode(kernel, BIAS_GAIN * self.scale * self.bias_net(features))
