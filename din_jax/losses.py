"""Perceptual losses over dicts of VGG features (layer name -> [B, H, W, C]).

Each gives one float32 number per layer, averaged over the batch; the caller weighs and adds.
"""

from collections.abc import Iterable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from din_jax.ops.statistics import gram_matrix, mean_and_std
from din_jax.ops.widening import wide_type, widen

Features = Mapping[str, Array]
Statistics = Mapping[str, tuple[Array, Array]]


def _mse(a: Array, b: Array) -> Array:
    wide = wide_type(a, b)
    return jnp.mean(jnp.square(a.astype(wide) - b.astype(wide)))


def content_loss(stylized: Features, content: Features, layers: Iterable[str]) -> dict[str, Array]:
    """MSE between the features of the stylized and the content image, per layer."""
    return {name: _mse(stylized[name], content[name]) for name in layers}


def style_statistics(features: Features, layers: Iterable[str]) -> Statistics:
    """(mean, std) of each channel, per layer: what the BN-statistics style loss compares."""
    return {name: mean_and_std(features[name]) for name in layers}


def style_loss(stylized: Statistics, style: Statistics) -> dict[str, Array]:
    """BN-statistics style loss (Li et al. 2017, eq. 11; Huang & Belongie 2017, eq. 13), per layer:

    L = MSE(mu(stylized), mu(style)) + MSE(sigma(stylized), sigma(style)).
    """
    return {
        name: _mse(mean, style[name][0]) + _mse(std, style[name][1])
        for name, (mean, std) in stylized.items()
    }


def gram_matrices(features: Features, layers: Iterable[str]) -> dict[str, Array]:
    """Gram matrix [B, C, C] of each layer: what the Gram loss compares."""
    return {name: gram_matrix(features[name]) for name in layers}


def gram_loss(stylized: Mapping[str, Array], style: Mapping[str, Array]) -> dict[str, Array]:
    """MSE between Gram matrices (Gatys et al. 2016, eq. 4 up to a constant), per layer."""
    return {name: _mse(gram, style[name]) for name, gram in stylized.items()}


def style_contrast(stylized: Statistics, style: Statistics) -> dict[str, Array]:
    """How near a picture is to its own style beside the other styles of the batch, per layer:

    L = mean over i of d(x_i, s_i) / mean over j != i of d(x_i, s_j)

    with the d of `style_loss`. MicroAST's contrastive term (Wang et al. 2023), which compares its
    own encoder's signals and adds up where a mean is taken here. It needs two pairs or more.
    """
    losses = {}
    for name, mean_and_deviation in stylized.items():
        pairs = zip(mean_and_deviation, style[name], strict=True)
        wide = [(a.astype(wide_type(a, b)), b.astype(wide_type(a, b))) for a, b in pairs]
        apart = sum(jnp.square(a[:, None] - b[None, :]).mean(-1) for a, b in wide)  # [B, B]
        own = jnp.diagonal(apart)
        others = (apart.sum(1) - own) / (len(own) - 1)
        losses[name] = jnp.mean(own / (others + 1e-12))
    return losses


def neighbor_differences(x: Array, anchors: int = 4) -> Array:
    """Directions in which features [B, H, W, C] change from points of a lattice to all 8 neighbors.

    (x(p) - x(q)) / |x(p) - x(q)| for q around each of at most anchors^2 points p, [B, N, C] in
    float32; zero where nothing changes. H and W must be at least 3.
    """

    def lattice(side: int) -> np.ndarray:
        return np.unique(np.linspace(1, side - 2, anchors).round().astype(int))

    rows, columns = np.meshgrid(*(lattice(side) for side in x.shape[1:3]), indexing="ij")
    steps = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]
    center = x[:, rows, columns]
    changes = [center - x[:, rows + i, columns + j] for i, j in steps]
    found = widen(jnp.stack(changes, 1)).reshape(len(x), -1, x.shape[-1])
    return found / jnp.sqrt(jnp.sum(jnp.square(found), -1, keepdims=True) + 1e-12)


def coherence_loss(
    stylized: Mapping[str, Array], content: Mapping[str, Array], temperature: float = 0.07
) -> dict[str, Array]:
    """Whether the stylized picture changes from point to point as its content does, per layer:

    L = mean over n of -log(exp(q_n k_n / t) / sum over m of exp(q_n k_m / t))

    of `neighbor_differences` q and k. CCPL (Wu et al. 2022, eq. 3) without the projections that it
    trains along.
    """
    losses = {}
    for name, k in content.items():
        alike = jnp.einsum("bnc,bmc->bnm", stylized[name], k, precision="highest") / temperature
        losses[name] = -jnp.mean(jnp.diagonal(jax.nn.log_softmax(alike), axis1=1, axis2=2))
    return losses


def total_variation(images: Array) -> Array:
    """Mean absolute difference between neighbors, down and across; images [B, H, W, C]."""
    down = jnp.abs(images[:, 1:] - images[:, :-1]).mean()
    across = jnp.abs(images[:, :, 1:] - images[:, :, :-1]).mean()
    return widen(down + across)


def checkerboard(images: Array, period: int) -> Array:
    """Power of the pattern that is locked to the pixels' positions modulo `period`.

    h = y - box(y), a box of `period` pixels, centered, that keeps slopes out
    L = mean over phases (i, j) and channels of m_ij^2, m_ij the mean of h over pixels of that phase

    images [B, H, W, C] of at least 2 period pixels a side; the unit is the images', squared. A
    decoder that upsamples by `period` in all paints one, since a pixel's place in its cell of the
    deepest map decides how it is made (Odena et al. 2016, "Deconvolution and Checkerboard
    Artifacts"); pictures have none but by chance.
    """
    weights = np.r_[0.5, np.ones(period - 1), 0.5] / period  # two boxes, half a pixel off each way
    y = smooth = widen(images)
    for axis in (1, 2):
        length = y.shape[axis] - period

        def shifted(x: Array, by: int, axis: int = axis, length: int = length) -> Array:
            return jax.lax.slice_in_dim(x, by, by + length, axis=axis)

        smooth = sum(weight * shifted(smooth, i) for i, weight in enumerate(weights.tolist()))
        y = shifted(y, period // 2)
    rows, columns = (side // period for side in y.shape[1:3])
    h = (y - smooth)[:, : rows * period, : columns * period]
    phases = h.reshape(len(h), rows, period, columns, period, -1).mean((1, 3))
    return jnp.square(phases).mean()
