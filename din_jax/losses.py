"""Perceptual losses over dicts of VGG features (layer name -> [B, H, W, C]).

Each gives one float32 number per layer, averaged over the batch; the caller weighs and adds.
"""

from collections.abc import Iterable, Mapping

import jax.numpy as jnp
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


def total_variation(images: Array) -> Array:
    """Mean absolute difference between neighbors, down and across; images [B, H, W, C]."""
    down = jnp.abs(images[:, 1:] - images[:, :-1]).mean()
    across = jnp.abs(images[:, :, 1:] - images[:, :, :-1]).mean()
    return widen(down + across)
