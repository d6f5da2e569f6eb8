"""Normalizers of a styled layer: statistics of a map, and the map normalized by statistics.

The two are apart, so that statistics can come from elsewhere: those of the whole picture to a tile,
of earlier frames to a frame, of one region to a mask. A normalizer has

    statistics(x, weights=None) -> Moments    of [B, H, W, C]; weights [B, H, W] say what counts
    affine(moments) -> Affine                 the map of the channels that normalizes by them

and `affine(moments)(x)` is the normalized map; a 1 x 1 convolution takes the `Affine` in instead.
Moments average: over tiles of equal size (for a variance that includes what the tiles' means
differ by, see `pool_moments`), or over frames.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array, lax

from din_jax.ops.normalization import Affine
from din_jax.ops.statistics import EPSILON, mean_and_covariance, mean_and_variance
from din_jax.ops.whitening import inverse_covariance_root
from din_jax.ops.widening import wide_type


class Moments(NamedTuple):
    """Mean [B, C] and, as its normalizer needs it, variance [B, C] or covariance [B, C, C].

    A first axis of 1 is one for the whole batch. float32 or wider.
    """

    mean: Array
    variance: Array | None = None
    covariance: Array | None = None


def pool_moments(parts: Sequence[Moments], weights: Array) -> Moments:
    """Moments of several parts together: of tiles that make up a picture, of frames.

    mean = sum w mu_i, variance = sum w (var_i + (mu_i - mean)^2), and so for a covariance.

    Args:
      parts: of one normalizer.
      weights: [number of parts], which share of the pixels each holds; sum 1.

    Returns:
      Of the type of the parts; NumPy's arrays are pooled by NumPy.
    """
    xp = np if isinstance(parts[0].mean, np.ndarray) else jnp
    stacked = Moments(*(None if p[0] is None else xp.stack(p) for p in zip(*parts, strict=True)))

    def average(values: Array) -> Array:
        return xp.tensordot(xp.asarray(weights, values.dtype), values, 1)

    mean = average(stacked.mean)
    away = stacked.mean - mean[None]
    variance, covariance = stacked.variance, stacked.covariance
    if variance is not None:
        variance = average(variance + xp.square(away))
    if covariance is not None:
        covariance = average(covariance + away[..., :, None] * away[..., None, :])
    return Moments(mean, variance, covariance)


@dataclasses.dataclass(frozen=True)
class Instance:
    """(x - mu) / sqrt(var + epsilon), per image and channel (Ulyanov et al. 2016)."""

    def statistics(self, x: Array, weights: Array | None = None) -> Moments:
        return Moments(*mean_and_variance(x, weights))

    def affine(self, moments: Moments) -> Affine:
        return Affine(moments.mean, lax.rsqrt(moments.variance + EPSILON))


@dataclasses.dataclass(frozen=True)
class Whitening:
    """(cov + epsilon)^(-1/2) (x - mu), per image (Li et al. 2017c)."""

    def statistics(self, x: Array, weights: Array | None = None) -> Moments:
        mean, covariance = mean_and_covariance(x, weights)
        return Moments(mean, covariance=covariance)

    def affine(self, moments: Moments) -> Affine:
        return Affine(moments.mean, matrix=inverse_covariance_root(moments.covariance))


@dataclasses.dataclass(frozen=True)
class Centering:
    """x - mu, per image and channel (Li et al. 2019)."""

    def statistics(self, x: Array, weights: Array | None = None) -> Moments:
        return Moments(mean_and_variance(x, weights)[0])

    def affine(self, moments: Moments) -> Affine:
        return Affine(moments.mean)


def average(running: nnx.BatchStat, new: Array, momentum: float):
    """running <- momentum running + (1 - momentum) new, without a gradient."""
    kept = momentum * running[...] + (1 - momentum) * lax.stop_gradient(new)
    # Not by `running[...] =`, which asks a tracer for its sharding, and is long about refusing.
    running.set_value(kept)


class Batch(nnx.Module):
    """(x - mu) / sqrt(var + epsilon) per channel: of the batch in training, running afterwards.

    Conditional batch norm (de Vries et al. 2017), where the code gives scale and shift. `train()`
    and `eval()` switch; `weights` count in training alone.
    """

    def __init__(self, channels: int, momentum: float = 0.99):
        self.mean = nnx.BatchStat(jnp.zeros(channels))
        self.variance = nnx.BatchStat(jnp.ones(channels))
        self.momentum = momentum
        self.use_running_average = False

    def statistics(self, x: Array, weights: Array | None = None) -> Moments:
        if self.use_running_average:
            return Moments(self.mean[...][None], self.variance[...][None])
        one = (1, -1, *x.shape[2:])  # the images as one tall one
        flat = None if weights is None else weights.reshape(1, -1, x.shape[2])
        mean, variance = mean_and_variance(x.reshape(one), flat)
        average(self.mean, mean[0], self.momentum)
        average(self.variance, variance[0], self.momentum)
        return Moments(mean, variance)

    def affine(self, moments: Moments) -> Affine:
        return Affine(moments.mean, lax.rsqrt(moments.variance + EPSILON))


@dataclasses.dataclass(frozen=True)
class NoNorm:
    """x itself; its only statistic is the zero that is subtracted."""

    def statistics(self, x: Array, weights: Array | None = None) -> Moments:
        return Moments(jnp.zeros((1, x.shape[-1]), wide_type(x)))

    def affine(self, moments: Moments) -> Affine:
        return Affine(moments.mean)


Normalizer = Instance | Whitening | Centering | Batch | NoNorm
NORMALIZERS = {
    "instance": Instance,
    "whitening": Whitening,
    "centering": Centering,
    "batch": Batch,
    "none": NoNorm,
}


def make_normalizer(kind: str, channels: int) -> Normalizer:
    """The normalizer that a config names."""
    return Batch(channels) if kind == "batch" else NORMALIZERS[kind]()
