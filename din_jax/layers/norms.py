"""The norms of the content network: instance, batch, or none."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from din_jax.layers.measuring import measured
from din_jax.layers.normalizers import Instance
from din_jax.ops.widening import widen


class InstanceNorm(nnx.Module):
    """y = scale * instance_norm(x) + bias, scale and bias learned per channel."""

    def __init__(self, channels: int, gain: float = 1.0):
        self.scale = nnx.Param(jnp.full(channels, gain))
        self.bias = nnx.Param(jnp.zeros(channels))

    def __call__(self, x: Array) -> Array:
        with jax.named_scope("norm"):
            numbers = (p[...].astype(x.dtype) for p in (self.scale, self.bias))
            scale, bias = (p[None, None, None] for p in numbers)
            normalizer = Instance()
            return normalizer.affine(measured(normalizer, x))(x) * scale + bias


class BatchNorm(nnx.BatchNorm):
    """`nnx.BatchNorm` whose result has the type of its input; `train()` and `eval()` switch it.

    Statistics are those of the whole batch over all devices while training (the mean is taken
    inside the jitted step), a running mean of them afterwards. The running variance is the biased
    one; PyTorch keeps the unbiased, larger by 1 / (N - 1) with N = B H W (0.8 % at 2 x 8 x 8).
    """

    def __call__(self, x: Array) -> Array:
        with jax.named_scope("norm"):
            return super().__call__(widen(x)).astype(x.dtype)


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
            self.mean[...], self.variance[...], self.updates[...] = mean, variance, n + 1
        return (x - mean[None]) / (jnp.sqrt(variance) + 1e-2)[None]


class Identity(nnx.Module):
    """No norm."""

    def __call__(self, x: Array) -> Array:
        return x


def make_norm(kind: str, channels: int, rngs: nnx.Rngs, gain: float = 1.0) -> nnx.Module:
    """The norm named in a config, "instance", "batch" or "none", its scale starting at `gain`."""
    if kind == "instance":
        return InstanceNorm(channels, gain)
    if kind == "batch":
        start = nnx.initializers.constant(gain)
        return BatchNorm(channels, momentum=0.99, scale_init=start, rngs=rngs)
    return Identity()
