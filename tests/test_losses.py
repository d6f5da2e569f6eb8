"""Losses against values worked out by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.losses import (
    checkerboard,
    content_loss,
    gram_loss,
    gram_matrices,
    style_loss,
    style_statistics,
    total_variation,
)


@pytest.fixture
def maps():
    rng = np.random.default_rng(3)
    return [rng.normal(size=(2, 3, 4, 5)).astype(np.float32) for _ in range(2)]


def test_content_loss_is_the_mean_square_per_layer():
    ones, halves = jnp.ones((1, 2, 2, 3)), jnp.full((1, 2, 2, 3), 0.5)
    losses = content_loss({"a": ones, "b": ones}, {"a": halves, "b": -ones}, ["a", "b"])
    assert losses == {"a": 0.25, "b": 4.0}


def test_content_loss_reads_only_the_named_layers():
    x = jnp.ones((1, 2, 2, 3))
    assert content_loss({"a": x, "b": x}, {"a": x}, ["a"]) == {"a": 0.0}


def test_style_loss_by_hand():
    # Channel 0: 0, 2 (mean 1, deviation 1) against 4, 4 (4, 0); channel 1 is equal: (9 + 1) / 2.
    stylized = jnp.asarray([[[[0.0, 5.0], [2.0, 5.0]]]])
    style = jnp.asarray([[[[4.0, 5.0], [4.0, 5.0]]]])
    statistics = [style_statistics({"a": x}, ["a"]) for x in (stylized, style)]
    # The deviation of a constant channel is sqrt(epsilon) = 0.0032, hence the tolerance.
    np.testing.assert_allclose(style_loss(*statistics)["a"], 4.5 + 0.5, rtol=1e-2)


def test_style_loss_matches_numpy_and_ignores_where_pixels_are(maps):
    a, b = maps
    shuffled = a[:, ::-1, ::-1]
    loss = style_loss(*(style_statistics({"a": x}, ["a"]) for x in (shuffled, b)))["a"]
    means = np.square(a.mean((1, 2)) - b.mean((1, 2))).mean()
    deviations = np.square(a.std((1, 2)) - b.std((1, 2))).mean()
    np.testing.assert_allclose(loss, means + deviations, rtol=1e-4)


def test_style_images_may_have_another_size(maps):
    a = maps[0]
    larger = np.concatenate([a, a], 1)
    loss = style_loss(*(style_statistics({"a": x}, ["a"]) for x in (a, larger)))["a"]
    np.testing.assert_allclose(loss, 0, atol=1e-10)


def test_gram_loss_matches_numpy(maps):
    def gram(x):
        return np.stack([i.reshape(12, 5).T @ i.reshape(12, 5) / 60 for i in x.astype(np.float64)])

    a, b = maps
    expected = np.square(gram(a) - gram(b)).mean()
    found = gram_loss(*(gram_matrices({"a": x}, ["a"]) for x in maps))["a"]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_total_variation_by_hand():
    image = jnp.asarray([[0.0, 1.0, 3.0], [0.0, 0.0, 0.0]])[None, :, :, None]
    # Down: (0 + 1 + 3) / 3; across: (1 + 2 + 0 + 0) / 4.
    np.testing.assert_allclose(total_variation(image), 4 / 3 + 3 / 4, rtol=1e-6)
    assert total_variation(jnp.full((1, 3, 3, 3), 0.7)) == 0


def waves(period: int, down: float, across: float, side: int = 26) -> np.ndarray:
    """cos(2 pi (down y + across x) / period), [1, side, side, 1]."""
    y, x = np.mgrid[:side, :side]
    return np.cos(2 * np.pi * (down * y + across * x) / period)[None, :, :, None]


@pytest.mark.parametrize("period", [2, 4, 8])
def test_checkerboard_is_the_power_of_what_repeats_with_the_cells(period):
    """Waves of whole cycles per cell count by their power, 1/2, and 1 at two pixels; no others."""
    for down, across in ((1, 0), (0, 1), (period // 2, 1), (period // 2, period // 2)):
        expected = 1.0 if {2 * down % period, 2 * across % period} == {0} else 0.5
        found = checkerboard(jnp.asarray(0.1 * waves(period, down, across)), period)
        np.testing.assert_allclose(found, 0.01 * expected, rtol=1e-4)
    y, x = np.mgrid[:26, :26] / 26
    for free in (0 * x + 0.3, x, y - 2 * x):
        assert checkerboard(jnp.asarray(free)[None, :, :, None], period) < 1e-12
    assert (
        checkerboard(jnp.asarray(waves(period + 1, 1, 0, 5 * period * (period + 1))), period) < 5e-3
    )


def test_checkerboard_of_a_batch_is_the_mean_of_its_pictures():
    pictures = jnp.asarray(np.random.default_rng(1).uniform(size=(3, 17, 20, 3)), jnp.bfloat16)
    alone = [checkerboard(pictures[i : i + 1], 4) for i in range(3)]
    found = checkerboard(pictures, 4)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, np.mean(alone), rtol=1e-5)
    # Noise has as much of it as chance gives: its power over the number of cells.
    noise = np.random.default_rng(2).normal(size=(20, 68, 68, 3))
    np.testing.assert_allclose(checkerboard(jnp.asarray(noise), 4), 15 / 16 / 256, rtol=0.1)


def test_losses_are_float32_for_bfloat16_features(maps):
    a, b = ({"a": jnp.asarray(x, jnp.bfloat16)} for x in maps)
    for loss in (
        content_loss(a, b, ["a"])["a"],
        gram_loss(*(gram_matrices(x, ["a"]) for x in (a, b)))["a"],
        style_loss(style_statistics(a, ["a"]), style_statistics(b, ["a"]))["a"],
        total_variation(a["a"]),
    ):
        assert loss.dtype == jnp.float32 and loss.shape == ()


def test_losses_average_over_the_batch(maps):
    a, b = maps
    together = content_loss({"a": a}, {"a": b}, ["a"])["a"]
    alone = [content_loss({"a": a[i : i + 1]}, {"a": b[i : i + 1]}, ["a"])["a"] for i in range(2)]
    np.testing.assert_allclose(together, np.mean(alone), rtol=1e-5)
