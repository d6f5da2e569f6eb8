"""Muon for the matrices of encoder and decoder, or of the nets; Adam, as ever, for all else."""

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
    "codes": {"weight_net": {"kernel": (1, 1, 16, 32), "bias": (32,)}},
}


@pytest.fixture(scope="module")
def updates():
    """First updates of the same gradients: by Muon, by Adam, and by Muon in the nets alone."""
    rng = np.random.default_rng(0)
    gradients = jax.tree.map(
        lambda shape: jnp.asarray(rng.standard_normal(shape), jnp.float32),
        SHAPES,
        is_leaf=lambda x: isinstance(x, tuple),
    )
    params = jax.tree.map(jnp.zeros_like, gradients)

    def first(**changes):
        optimizer = make_optimizer(dataclasses.replace(CONFIG, **changes), 100)
        return jax.jit(optimizer.update)(gradients, optimizer.init(params), params)[0]

    return gradients, first(), first(method="adam"), first(method="adam", dynamic_method="muon")


@pytest.mark.parametrize("by, part, layer, rate", [
    (1, "decoder", "pointwise", RATE),
    (1, "decoder", "first", RATE),
    (3, "codes", "weight_net", RATE * CONFIG.dynamic_multiplier),
])  # fmt: skip
def test_update_of_a_matrix_is_the_nearest_orthogonal_one(updates, by, part, layer, rate):
    """All singular values about the same, on the singular vectors of the gradient."""
    gradient, update = (
        np.asarray(x[part][layer]["kernel"]).reshape(-1, SHAPES[part][layer]["kernel"][3])
        for x in (updates[0], updates[by])
    )
    values = np.linalg.svd(update, compute_uv=False)
    assert values.min() > 0.5 * values.max()
    u, _, v = np.linalg.svd(gradient, full_matrices=False)
    polar = u @ v
    aligned = -(update * polar).sum() / np.linalg.norm(update) / np.linalg.norm(polar)
    assert aligned > 0.97
    # As large as Adam's updates mostly are.
    assert np.sqrt(np.square(update).mean()) == pytest.approx(0.2 * rate, rel=0.15)


def test_each_group_has_its_method(updates):
    _, muon, adam, nets = updates
    jax.tree.map(np.testing.assert_array_equal, muon["codes"], adam["codes"])
    jax.tree.map(np.testing.assert_array_equal, nets["decoder"], adam["decoder"])
    # What is no matrix is Adam's with Nesterov's momentum: its first step is b1 / (1 + b1) longer.
    found, expected = (x["codes"]["weight_net"]["bias"] for x in (nets, adam))
    np.testing.assert_allclose(found, (1 + 0.9 / 1.9) * expected, rtol=1e-5)


def test_what_is_no_matrix_is_scaled_number_by_number(updates):
    gradients, muon, *_ = updates
    for layer, name in (("pointwise", "bias"), ("depthwise", "kernel")):
        update, gradient = (np.asarray(x["decoder"][layer][name]) for x in (muon, gradients))
        np.testing.assert_array_equal(np.sign(update), -np.sign(gradient))
        assert np.ptp(np.abs(update)) < 1e-3 * np.abs(update).max()
