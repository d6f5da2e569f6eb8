"""The norms of the content network: instance, batch, or none."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from din_jax.layers.measuring import measured
from din_jax.layers.normalizers import Instance, average
from din_jax.ops.statistics import EPSILON
from din_jax.ops.widening import add_bias, widen


class InstanceNorm(nnx.Module):
    """y = scale * instance_norm(x) + bias, scale and bias learned per channel."""

    def __init__(self, channels: int):
        self.scale = nnx.Param(jnp.ones(channels))
        self.bias = nnx.Param(jnp.zeros(channels))

    def __call__(self, x: Array) -> Array:
        with jax.named_scope("norm"):
            normalizer = Instance()
            y = widen(normalizer.affine(measured(normalizer, x))(x))
            # In the wide type, as `add_bias`: the gradients of both are sums over pixels.
            scale = self.scale[...].astype(y.dtype)[None, None, None]
            return add_bias(y * scale, self.bias[...]).astype(x.dtype)


class BatchNorm(nnx.Module):
    """y = scale * (x - mu) / sqrt(var + epsilon) + bias, scale and bias learned per channel.

    mu and var are those of the whole batch over all devices while training (the mean is taken
    inside the jitted step), a running mean of them afterwards; `train()` and `eval()` switch. The
    running variance is the biased one; PyTorch keeps the unbiased, larger by 1 / (N - 1) with
    N = B H W (0.8 % at 2 x 8 x 8). Statistics are float32 or wider, the result has the type of
    `x` [B, H, W, C]. Ioffe & Szegedy 2015.

    Parameters and statistics are named as in `nnx.BatchNorm`, whose variance is E[x^2] - mu^2 and
    loses digits where the mean is far from zero.
    """

    def __init__(self, channels: int, momentum: float = 0.99, epsilon: float = EPSILON):
        self.scale = nnx.Param(jnp.ones(channels))
        self.bias = nnx.Param(jnp.zeros(channels))
        self.mean = nnx.BatchStat(jnp.zeros(channels))
        self.var = nnx.BatchStat(jnp.ones(channels))
        self.momentum, self.epsilon = momentum, epsilon
        self.use_running_average = False

    def _statistics(self, x: Array) -> tuple[Array, Array]:
        if self.use_running_average:
            return self.mean[...], self.var[...]
        mean = x.mean((0, 1, 2))
        variance = jnp.square(x - mean[None, None, None]).mean((0, 1, 2))
        average(self.mean, mean, self.momentum)
        average(self.var, variance, self.momentum)
        return mean, variance

    def __call__(self, x: Array) -> Array:
        with jax.named_scope("norm"):
            wide = widen(x)
            mean, variance = self._statistics(wide)
            factor = jax.lax.rsqrt(variance + self.epsilon) * self.scale[...]
            mean, factor, bias = (p[None, None, None] for p in (mean, factor, self.bias[...]))
            return ((wide - mean) * factor + bias).astype(x.dtype)


class RunningStandardize(nnx.Module):
    """y = (x - m) / (s + 0.01), m and s the running mean and deviation of x [B, C] in training.

    Unlike batch norm, the running values are what training itself uses, so that a small batch does
    not erase what its members have in common. The first updates are plain averages.
    """

    def __init__(self, channels: int, momentum: float = 0.99):
        self.mean = nnx.BatchStat(jnp.zeros(channels))
        self.variance = nnx.BatchStat(jnp.ones(channels))
        self.updates = nnx.BatchStat(jnp.zeros(()))
        self.momentum = momentum
        self.use_running_average = False

    def __call__(self, x: Array) -> Array:
        mean, variance = self.mean[...], self.variance[...]
        if not self.use_running_average:
            n = self.updates[...]
            rate = jnp.maximum(1 / (n + 1), 1 - self.momentum)
            sample = jax.lax.stop_gradient(x)
            mean = mean + rate * (sample.mean(0) - mean)
            # About the running mean: one batch of four says little about a deviation.
            deviation = jnp.square(sample - mean[None]).mean(0)
            variance = variance + rate * (deviation - variance)
            for kept, new in ((self.mean, mean), (self.variance, variance), (self.updates, n + 1)):
                kept.set_value(new)
        return (x - mean[None]) / (jnp.sqrt(variance) + 1e-2)[None]


class Identity(nnx.Module):
    """No norm."""

    def __call__(self, x: Array) -> Array:
        return x


def make_norm(kind: str, channels: int) -> nnx.Module:
    """The norm named in a config, "instance", "batch" or "none"."""
    if kind == "instance":
        return InstanceNorm(channels)
    if kind == "batch":
        return BatchNorm(channels)
    return Identity()
