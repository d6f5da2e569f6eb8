"""Weight net and bias net: from style features to the kernel and bias of a styled layer."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from din_jax.layers.blocks import Conv
from din_jax.layers.codes import LayerCode, MapCode, identity_kernel
from din_jax.ops.resizing import adaptive_average_pool
from din_jax.ops.widening import widen

# The nets learn ten times faster than the rest, and Adam moves every weight by about the learning
# rate. Small inputs and large first weights make that step small against the weights (an equalized
# learning rate); without it the hidden units die within 200 steps and the network goes style-blind.
INPUT_SCALE = 1 / 16
# A bias moves a whole channel, a kernel entry a 1/C of it: biases may start and learn faster.
BIAS_GAIN = 4.0


class DynamicNet(nnx.Module):
    """Two convolutions and adaptive pooling, from style features to the numbers of a kernel.

    Features [B, H, W, I] are averaged to a square of `pool * side` pixels and brought to zero mean
    and unit variance per image over all channels, then: convolution I -> hidden, leaky ReLU (slope
    0.2, so that no unit dies), convolution hidden -> outputs. 3x3 convolutions take stride 2 and
    their map, averaged to side x side, is the kernel's taps (4 -> 2 -> 1 for side 1); with 1x1 the
    hidden map is averaged to one vector, from which the last convolution gives all taps.

    With `corrected` the features are [f, D], 2 I channels (`beside`): f goes the way above, and a
    1x1 convolution of D, which begins at zero, is added before the leaky ReLU. D is not normalized:
    how much is missing is what it says.

    Returns [B, side, side, outputs].
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        hidden: int,
        pool: int,
        kernel: int,
        side: int = 1,
        corrected: bool = False,
        rngs: nnx.Rngs,
    ):
        self.strided = kernel > 1
        stride = 2 if self.strided else 1
        self.first = Conv(inputs, hidden, kernel, stride, gain=1 / INPUT_SCALE, rngs=rngs)
        taps = 1 if self.strided else side * side
        self.last = Conv(hidden, taps * outputs, kernel, stride, gain=0.5**0.5, rngs=rngs)
        self.pool = pool * side if self.strided else pool
        self.side = side
        self.correct = Conv(inputs, hidden, 1, gain=0.0, rngs=rngs) if corrected else None

    def hidden(self, features: Array) -> Array:
        """Activations of the hidden layer, [B, h, w, hidden]; units that stay below 0 are dead."""
        # Whatever the network computes in: kernels are small differences.
        x, missing = widen(features), None
        if self.correct is not None:
            x, missing = jnp.split(x, 2, -1)
        x = hidden_layer(adaptive_average_pool(x, self.pool), self.first)
        if missing is not None:
            x += self.correct(missing * INPUT_SCALE)
        return leaky(x)

    def __call__(self, features: Array) -> Array:
        x = self.hidden(features)
        if not self.strided:
            y = self.last(x.mean((1, 2), keepdims=True))
            return y.reshape(y.shape[0], self.side, self.side, -1)
        return adaptive_average_pool(self.last(x), self.side)


def beside(features: Array, missing: Array) -> Array:
    """[f, D]: what nets that are `corrected` read, from f and D of one shape."""
    return jnp.concatenate([features, missing], -1)


def hidden_layer(x: Array, conv: Conv) -> Array:
    """Zero mean and unit variance per image over all channels, then the convolution."""
    mean = x.mean((1, 2, 3), keepdims=True)
    x = (x - mean) * jax.lax.rsqrt(x.var((1, 2, 3), keepdims=True) + 1e-5)
    return conv(x * INPUT_SCALE)


def leaky(x: Array) -> Array:
    """The hidden units' leaky ReLU, in a scope that operation counts know."""
    with jax.named_scope("relu"):
        return jax.nn.leaky_relu(x, 0.2)


class DynamicCode(nnx.Module):
    """A weight net and a bias net: kernel = I + s g * net(style), bias = 4 g * net(style).

    Starting near the identity makes the first steps those of plain instance norm; the nets'
    learning rate acts on g * net. s = sqrt(C / (K^2 C / groups)) gives the sum over a kernel's
    entries the same spread for every kernel size and number of groups; it is 1 for a dense 1x1.

    Args:
      inputs: channels of the style features.
      channels: C, of the styled map.
      hidden, pool, kernel: of the nets, see `DynamicNet`.
      scale: g.
      side: K, of the dynamic kernel.
      groups: of the dynamic convolution; C is depthwise.
      corrected: the nets read what is missing too, see `DynamicNet`.
      rngs: initialization.
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
        side: int = 1,
        groups: int = 1,
        corrected: bool = False,
        rngs: nnx.Rngs,
    ):
        if channels % groups:
            raise ValueError(
                f"{channels} channels do not divide into {groups} groups: choose a divisor of "
                "every styled level's channels, or 0 for one group per channel."
            )
        per_group = channels // groups
        shared = {"hidden": hidden, "pool": pool, "kernel": kernel, "corrected": corrected}
        shared["rngs"] = rngs
        self.weight_net = DynamicNet(inputs, per_group * channels, side=side, **shared)
        self.bias_net = DynamicNet(inputs, channels, **shared)
        self.shape = (side, side, per_group, channels)
        self.scale = scale
        self.kernel_scale = scale * (channels / (side * side * per_group)) ** 0.5

    def __call__(self, features: Array) -> LayerCode:
        kernel = self.kernel_scale * self.weight_net(features).reshape(-1, *self.shape)
        bias = BIAS_GAIN * self.scale * self.bias_net(features).mean((1, 2))
        return LayerCode(kernel + identity_kernel(*self.shape, kernel.dtype)[None], bias)

    def diagnostics(self, features: Array) -> dict[str, Array]:
        return {"dead_units": dead_units(self.weight_net, features)}


class MapNet(nnx.Module):
    """Style features [B, H, W, I] -> [B, grid, grid, outputs]: pooling, two 3x3 convolutions."""

    def __init__(self, inputs: int, outputs: int, *, hidden: int, grid: int, rngs: nnx.Rngs):
        self.first = Conv(inputs, hidden, 3, gain=1 / INPUT_SCALE, rngs=rngs)
        self.last = Conv(hidden, outputs, 3, gain=0.5**0.5, rngs=rngs)
        self.grid = grid

    def hidden(self, features: Array) -> Array:
        """Activations of the hidden layer, [B, grid, grid, hidden]."""
        return leaky(hidden_layer(adaptive_average_pool(widen(features), self.grid), self.first))

    def __call__(self, features: Array) -> Array:
        return self.last(self.hidden(features))


class SpatialCode(nnx.Module):
    """One weight and bias per position: maps 1 + 4 g * net(style) and 4 g * net(style).

    Returns maps [B, grid, grid, C] of a fixed size, so that codes of styles of any size mix; they
    are resized to the content map where they are applied.
    """

    def __init__(
        self,
        inputs: int,
        channels: int,
        *,
        hidden: int,
        grid: int,
        scale: float,
        rngs: nnx.Rngs,
    ):
        shared = {"hidden": hidden, "grid": grid, "rngs": rngs}
        self.weight_net = MapNet(inputs, channels, **shared)
        self.bias_net = MapNet(inputs, channels, **shared)
        self.scale = BIAS_GAIN * scale

    def __call__(self, features: Array) -> MapCode:
        kernel = 1 + self.scale * self.weight_net(features)
        return MapCode(kernel, self.scale * self.bias_net(features))

    def diagnostics(self, features: Array) -> dict[str, Array]:
        return {"dead_units": dead_units(self.weight_net, features)}


def dead_units(net: DynamicNet | MapNet, features: Array) -> Array:
    """The share of a net's hidden units that are negative for every style of the batch."""
    return (net.hidden(features) <= 0).all((0, 1, 2)).mean()
