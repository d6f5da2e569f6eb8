"""`config.loss.contrast_weight` and `coherence_weight`."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.config import Config
from din_jax.errors import UserError
from din_jax.losses import (
    coherence_loss,
    neighbor_differences,
    style_contrast,
    style_loss,
    style_statistics,
)
from din_jax.training.objective import COHERENT, Objective, layers_needed
from din_jax.weights import random_vgg19


@pytest.fixture
def maps():
    return np.random.default_rng(5).normal(size=(2, 3, 7, 6, 4)).astype(np.float32)


def statistics(x):
    return style_statistics({"a": jnp.asarray(x)}, ["a"])


def test_contrast_is_the_own_distance_over_that_of_the_others(maps):
    stylized, style = maps
    apart = np.array([
        [float(style_loss(statistics(x[None]), statistics(s[None]))["a"]) for s in style]
        for x in stylized
    ])  # fmt: skip
    expected = np.mean([
        apart[i, i] / np.mean([apart[i, j] for j in range(3) if j != i]) for i in range(3)
    ])  # fmt: skip
    found = style_contrast(statistics(stylized), statistics(style))["a"]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    # A picture in its own style has none, one in another's much.
    its, wrong = statistics(style), statistics(style[::-1])
    own, other = (style_contrast(x, its)["a"] for x in (its, wrong))
    assert own < 1e-6 and other > 1


def test_differences_are_directions_to_the_neighbors_of_a_lattice(maps):
    x = maps[0]
    found = neighbor_differences(jnp.asarray(x), 2)
    expected = []
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            if (i, j) != (0, 0):
                for row in (1, 5):
                    for column in (1, 4):
                        change = x[:, row, column] - x[:, row + i, column + j]
                        expected.append(change / np.linalg.norm(change, axis=-1, keepdims=True))
    np.testing.assert_allclose(found, np.stack(expected, 1), atol=1e-5)


@pytest.mark.parametrize("height,width,count", [(3, 3, 1), (4, 3, 2), (5, 9, 12), (40, 40, 16)])
def test_small_maps_have_fewer_anchors_and_none_twice(height, width, count):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(1, height, width, 2)), jnp.float32)
    assert neighbor_differences(x).shape == (1, 8 * count, 2)


def test_directions_know_neither_level_nor_contrast(maps):
    x = jnp.asarray(maps[0])
    plain = neighbor_differences(x)
    np.testing.assert_allclose(neighbor_differences(3 * x + 7), plain, atol=1e-4)
    assert not neighbor_differences(jnp.ones_like(x)).any()
    gradient = jax.grad(lambda x: neighbor_differences(x).sum())(jnp.ones_like(x))
    assert np.isfinite(gradient).all()


def test_coherence_matches_numpy(maps):
    q, k = (np.asarray(neighbor_differences(jnp.asarray(x))) for x in maps)
    alike = np.exp(np.einsum("bnc,bmc->bnm", q, k).astype(np.float64) / 0.07)
    expected = -np.log(np.einsum("bnn->bn", alike) / alike.sum(-1)).mean()
    found = coherence_loss({"a": jnp.asarray(q)}, {"a": jnp.asarray(k)})["a"]
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    # The same changes in other contrast are better than other changes.
    same = coherence_loss({"a": neighbor_differences(2 * jnp.asarray(maps[1]) + 1)}, {"a": k})["a"]
    assert same < 0.7 * found


def test_both_join_with_their_weights_and_a_pair_alone_has_no_contrast(tiny, changed):
    whole = changed(tiny, loss={"contrast_weight": 3.0, "coherence_weight": 5.0})
    weights = random_vgg19(0, tuple(sorted(layers_needed(whole))))
    config, vgg = whole.loss, jax.tree.map(jnp.asarray, weights.params)
    objective = Objective(config, weights.preprocessing)
    images = np.random.default_rng(2).random((3, 2, 32, 32, 3)).astype(np.float32)
    stylized, content, style = images
    targets = objective.targets(vgg, content, style)
    assert sorted(targets["changes"]) == sorted(COHERENT)
    total, metrics = objective(vgg, stylized, targets)
    by_hand = (
        config.content_weight * metrics["content"] + config.style_weight * metrics["style"]
        + 3 * metrics["contrast"] + 5 * metrics["coherence"]
    )  # fmt: skip
    np.testing.assert_allclose(total, by_hand, rtol=1e-5)
    each = objective.each(vgg, stylized, targets)
    assert "contrast" not in each and each["coherence"].shape == (2,)
    np.testing.assert_allclose(each["coherence"].mean(), metrics["coherence"], rtol=1e-4)


def test_kept_targets_of_another_loss_are_not_taken(parts):
    config = dataclasses.replace(parts.objective.config, coherence_weight=1.0)
    assert Objective(config, parts.preprocessing).computes != parts.objective.computes


@pytest.mark.parametrize(
    "sections,says",
    [
        (
            {
                "model": {
                    "network": "vgg19",
                    "code": "adain",
                    "levels": 1,
                    "style_encoder": "content",
                },
                "loss": {"coherence_weight": 1.0},
                "data": {"resize": 16, "crop": 16},
            },
            "coherence_weight .*set config.data.crop to 24 or more, not 16",
        ),
        (
            {"loss": {"contrast_weight": 1.0}, "train": {"batch": 1}},
            "contrast_weight compares the pairs of a batch: set",
        ),
        ({"loss": {"contrast_weight": 1.0}, "train": {"batch": 2, "accumulate": 2}}, "of a batch"),
    ],
)
def test_what_cannot_be_compared_is_a_sentence(changed, sections, says):
    with pytest.raises(UserError, match=says):
        changed(Config(), **sections)
