"""Crops against a resize computed by hand."""

import numpy as np
import pytest
from PIL import Image

from din_jax.data.crops import jitter_colors, random_crop
from din_jax.data.decoding import resize_crop, resized_shape


def triangle_weights(source: int, target: int) -> np.ndarray:
    """Antialiased linear interpolation as a matrix [target, source], from its definition."""
    scale = source / target
    support = max(scale, 1.0)
    centers = (np.arange(target) + 0.5) * scale
    distance = np.abs(np.arange(source)[None] + 0.5 - centers[:, None]) / support
    weights = np.clip(1 - distance, 0, None)
    return weights / weights.sum(1, keepdims=True)


def slow_resize(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    rows, cols = triangle_weights(pixels.shape[0], height), triangle_weights(pixels.shape[1], width)
    return np.einsum("ph,hwc,qw->pqc", rows, pixels.astype(float), cols)


@pytest.fixture
def pixels():
    return np.random.default_rng(3).integers(0, 256, (37, 53, 3), np.uint8)


@pytest.mark.parametrize("short, crop", [(24, 16), (24, 24), (37, 20), (80, 64)])
@pytest.mark.parametrize("left, top", [(0.0, 0.0), (0.5, 0.3), (0.999, 0.999)])
def test_crop_is_resize_then_cut(pixels, short, crop, left, top):
    width, height = round(53 * short / 37), short
    x, y = int(left * (width - crop + 1)), int(top * (height - crop + 1))
    expected = slow_resize(pixels, width, height)[y : y + crop, x : x + crop]
    result = random_crop(Image.fromarray(pixels), short, crop, left, top)
    assert result.shape == (crop, crop, 3) and result.dtype == np.uint8
    np.testing.assert_allclose(result, expected, atol=1.01)


def test_corners_reach_both_ends(pixels):
    whole = resize_crop(Image.fromarray(pixels), (34, 24), (0, 0), (34, 24))
    last = random_crop(Image.fromarray(pixels), 24, 16, 0.9999, 0.9999)
    np.testing.assert_allclose(last, whole[-16:, -16:], atol=1)


def test_resized_shape_keeps_the_aspect_ratio():
    assert resized_shape(640, 480, 240) == (320, 240)
    assert resized_shape(480, 640, 240) == (240, 320)
    assert resized_shape(16, 16, 512) == (512, 512)


def test_jitter_without_strength_is_identity(pixels):
    np.testing.assert_array_equal(jitter_colors(pixels, 0.0, np.random.default_rng(0)), pixels)


def test_jitter_keeps_grey_grey_and_changes_colors(pixels):
    grey = np.repeat(pixels[..., :1], 3, 2)
    result = jitter_colors(grey, 1.0, np.random.default_rng(1)).astype(int)
    assert np.ptp(result, axis=2).max() <= 1
    changed = jitter_colors(pixels, 1.0, np.random.default_rng(1))
    assert np.abs(changed.astype(int) - pixels).mean() > 5
