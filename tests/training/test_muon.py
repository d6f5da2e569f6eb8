"""Muon for the matrices of encoder and decoder; Adam, as ever, for all else."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.config import OptimConfig
from din_jax.training.optimizer import make_optimizer

RATE = 1e-3
CONFIG = OptimConfig(learning_rate=RATE, warmup=0, method="muon")
SHAPES = {
    "decoder": {
        "pointwise": {"kernel": (1, 1, 24, 16), "bias": (16,)},
        "depthwise": {"kernel": (3, 3, 1, 16)},
        "first": {"kernel": (9, 9, 3, 8)},
    },
    "codes": {"weight_net": {"kernel": (1, 1, 16, 32)}},
}


@pytest.fixture(scope="module")
def updates():
    """First updates of the same gradients, by Muon and by Adam."""
    rng = np.random.default_rng(0)
    gradients = jax.tree.map(
        lambda shape: jnp.asarray(rng.standard_normal(shape), jnp.float32),
        SHAPES,
        is_leaf=lambda x: isinstance(x, tuple),
    )
    params = jax.tree.map(jnp.zeros_like, gradients)

    def first(config):
        optimizer = make_optimizer(config, 100)
        return jax.jit(optimizer.update)(gradients, optimizer.init(params), params)[0]

    return gradients, first(CONFIG), first(dataclasses.replace(CONFIG, method="adam"))


@pytest.mark.parametrize("layer", ["pointwise", "first"])
def test_update_of_a_matrix_is_the_nearest_orthogonal_one(updates, layer):
    """All singular values about the same, on the singular vectors of the gradient."""
    gradients, muon, _ = updates
    gradient, update = (
        np.asarray(x["decoder"][layer]["kernel"]).reshape(-1, SHAPES["decoder"][layer]["kernel"][3])
        for x in (gradients, muon)
    )
    values = np.linalg.svd(update, compute_uv=False)
    assert values.min() > 0.5 * values.max()
    u, _, v = np.linalg.svd(gradient, full_matrices=False)
    polar = u @ v
    aligned = -(update * polar).sum() / np.linalg.norm(update) / np.linalg.norm(polar)
    assert aligned > 0.97
    # As large as Adam's updates mostly are.
    assert np.sqrt(np.square(update).mean()) == pytest.approx(0.2 * RATE, rel=0.15)


def test_nets_are_updated_as_by_adam(updates):
    _, muon, adam = updates
    jax.tree.map(np.testing.assert_array_equal, muon["codes"], adam["codes"])


def test_what_is_no_matrix_is_scaled_number_by_number(updates):
    gradients, muon, _ = updates
    for layer, name in (("pointwise", "bias"), ("depthwise", "kernel")):
        update, gradient = (np.asarray(x["decoder"][layer][name]) for x in (muon, gradients))
        np.testing.assert_array_equal(np.sign(update), -np.sign(gradient))
        assert np.ptp(np.abs(update)) < 1e-3 * np.abs(update).max()
