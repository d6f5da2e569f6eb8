"""Flat pictures in the place of contents."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.config import Config
from din_jax.errors import UserError
from din_jax.training.flats import NOISE, flat_picture, with_flat_contents

SIDE = 32


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    keys = jax.random.split(jax.random.key(0), 256)
    drawn = jax.jit(jax.vmap(lambda key: flat_picture(key, SIDE)))(keys)
    assert drawn.dtype == jnp.uint8
    return np.asarray(drawn, np.float64)


def test_nothing_is_on_them_but_noise(pictures):
    """What a bilinear surface, fitted by least squares, leaves is a camera's noise at the most."""
    i, j = np.mgrid[:SIDE, :SIDE] / (SIDE - 1)
    surface = np.stack([np.ones_like(i), i, j, i * j], -1).reshape(-1, 4)
    # Where the noise was clipped, at black and white, a picture is no surface.
    inside = (pictures > 0).all((1, 2)) & (pictures < 255).all((1, 2))
    values = pictures.transpose(0, 3, 1, 2).reshape(-1, SIDE * SIDE)[inside.reshape(-1)].T
    rest = values - surface @ np.linalg.lstsq(surface, values, rcond=None)[0]
    deviations = rest.std(0)
    assert deviations.max() < 1.1 * NOISE + 0.3
    assert deviations.min() < 0.5 < 2 < deviations.max()  # some have none, some a lot


def test_colors_and_gradients_are_of_all_kinds(pictures):
    means = pictures.mean((1, 2))
    assert means.min() < 30 and means.max() > 225 and 40 < means.std(0).min()
    halves = pictures[:, : SIDE // 2].mean((1, 2)) - pictures[:, SIDE // 2 :].mean((1, 2))
    steps = abs(halves).max(-1)
    assert (steps < 1.5).mean() > 0.2 and (steps > 15).mean() > 0.2


def test_the_share_is_the_one_asked_for_and_the_rest_is_left():
    contents = np.full((2000, 2, 2, 3), 7, np.uint8)
    contents[:, 0, 0] = 255  # no flat picture is this
    batch = {"content": contents, "style": np.zeros(3), "style_number": np.ones(2)}
    assert with_flat_contents(batch, 0.0, jax.random.key(0)) is batch
    mixed = with_flat_contents(batch, 0.2, jax.random.key(0))
    same = (np.asarray(mixed["content"]) == contents).all((1, 2, 3))
    assert abs(same.mean() - 0.8) < 4 * (0.2 * 0.8 / 2000) ** 0.5
    assert mixed["style"] is batch["style"] and mixed["style_number"] is batch["style_number"]


def test_targets_that_are_kept_of_contents_are_a_sentence(changed):
    with pytest.raises(UserError, match=r"config\.data\.flat=0\.1 draws contents anew"):
        changed(Config(), data={"flat": 0.1, "kept_crops": 2, "resident": True})
