"""Learned linear transformation: a 1x1 kernel as the product of two nets' (Li et al. 2019).

    y = T (x - mu_c) + mu_s,     T = T_s(cov_s) T_c(cov_c)           (Li et al. 2019, section 3)

T knows the content too, and a style code must not: so T_c is a part of the normalizer, which
measures the content's covariance as whitening does, and T_s with mu_s is the code. WCT is the case
T_c = cov_c^(-1/2), T_s = cov_s^(1/2). Statistics stay what tiles, masks and frames pool and hand
on; codes still mix linearly.

Where their nets are convolutions of features before a covariance, here a covariance is all that is
read, brought to R channels by a matrix that is learned; and their matrix of rank R = 32 stands here
beside the identity, so that training begins at the content with the style's means.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array, lax

from din_jax.layers.codes import LayerCode
from din_jax.layers.nets import DynamicNet, dead_units
from din_jax.layers.normalizers import Moments
from din_jax.ops.normalization import Affine
from din_jax.ops.statistics import EPSILON, mean_and_covariance

_EXACT = lax.Precision.HIGHEST


class CovarianceNet(nnx.Module):
    """M = I + g P N(P^T cov P) Q: a covariance [B, C, C] to a matrix [B, C, C] for rows of pixels.

    P [C, R] and Q [R, C] are learned, N is a net of one hidden layer (`DynamicNet` of 1x1), which
    reads the covariance of the map brought to R channels: divided by its mean variance, and the
    logarithm of that.

    Args:
      channels: C.
      rank: R; no more than C are made.
      hidden: units of the net.
      scale: g.
      rngs: initialization.
    """

    def __init__(self, channels: int, *, rank: int, hidden: int, scale: float, rngs: nnx.Rngs):
        rank = min(rank, channels)
        down, up = (channels, rank), (rank, channels)
        self.in_basis = nnx.Param(channels**-0.5 * jax.random.normal(rngs.params(), down))
        self.out_basis = nnx.Param(rank**-0.5 * jax.random.normal(rngs.params(), up))
        self.weight_net = DynamicNet(
            rank * rank + 1, rank * rank, hidden=hidden, pool=1, kernel=1, rngs=rngs
        )
        self.rank = rank
        self.scale = scale

    def described(self, covariance: Array) -> Array:
        """What the net reads: [B, 1, 1, R * R + 1]."""
        basis = self.in_basis[...].astype(covariance.dtype)
        small = jnp.einsum("ir,bij,js->brs", basis, covariance, basis, precision=_EXACT)
        size = jnp.trace(small, axis1=1, axis2=2)[:, None] / self.rank + EPSILON
        parts = [small.reshape(len(small), -1) / size, jnp.log(size)]
        return jnp.concatenate(parts, -1)[:, None, None]

    def __call__(self, covariance: Array) -> Array:
        inner = self.weight_net(self.described(covariance))
        inner = inner.reshape(-1, self.rank, self.rank)
        outer = [self.in_basis[...], self.out_basis[...]]
        change = jnp.einsum("ir,brs,so->bio", outer[0], inner, outer[1], precision=_EXACT)
        return jnp.eye(change.shape[1], dtype=change.dtype)[None] + self.scale * change


class LinearNormalizer(nnx.Module):
    """T_c (x - mu): the content's half of the product. See `layers.normalizers`."""

    def __init__(self, net: CovarianceNet):
        self.net = net

    def statistics(self, x: Array, weights: Array | None = None) -> Moments:
        mean, covariance = mean_and_covariance(x, weights)
        return Moments(mean, covariance=covariance)

    def affine(self, moments: Moments) -> Affine:
        return Affine(moments.mean, matrix=self.net(moments.covariance))


class CovarianceSource(nnx.Module):
    """The style's half: kernel T_s(cov_s), dense 1x1, and bias mu_s, from its map [B, H, W, C]."""

    def __init__(self, net: CovarianceNet):
        self.net = net

    def __call__(self, features: Array) -> LayerCode:
        mean, covariance = mean_and_covariance(features)
        return LayerCode(self.net(covariance)[:, None, None], mean)

    def diagnostics(self, features: Array) -> dict[str, Array]:
        read = self.net.described(mean_and_covariance(features)[1])
        return {"dead_units": dead_units(self.net.weight_net, read)}
