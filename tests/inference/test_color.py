"""Colors kept: each formula against its own definition, in float64."""

import numpy as np
import pytest
from PIL import Image

from din_jax.inference.color import (
    LUMA,
    color_map,
    color_statistics,
    keep_chroma,
    match_colors,
    recolored,
)

YIQ = np.array(
    [[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]]
)


@pytest.fixture
def pictures(image):
    return image(37, 43, 1), image(37, 43, 2)


def test_luminance_is_the_painted_one_and_chroma_the_content_s(pictures):
    content, painted = (x / 255.0 for x in pictures)
    result = recolored(content, painted)
    assert result.min() >= 0 and result.max() <= 1
    np.testing.assert_allclose(result @ LUMA, painted @ LUMA, atol=1e-12)
    chroma, own = (result @ YIQ.T)[..., 1:], (content @ YIQ.T)[..., 1:]
    # One factor of 0..1 for both, 1 wherever the color has room.
    factor = (chroma * own).sum(-1) / np.maximum((own**2).sum(-1), 1e-12)
    np.testing.assert_allclose(chroma, factor[..., None] * own, atol=2e-6)
    free = content + ((painted - content) @ LUMA)[..., None]
    inside = (free >= 0).all(-1) & (free <= 1).all(-1)
    assert 0.2 < inside.mean() < 1
    np.testing.assert_allclose(result[inside], free[inside], atol=1e-12)
    assert (factor[~inside] < 1).all()


def test_luminance_of_pictures_is_kept_to_rounding(pictures):
    content, painted = pictures
    result = keep_chroma(content, painted)
    assert result.dtype == np.uint8
    np.testing.assert_allclose(result @ LUMA, painted @ LUMA, atol=0.51)
    np.testing.assert_array_equal(keep_chroma(content, content), content)


def test_rows_are_recolored_as_the_whole_is(pictures, monkeypatch):
    whole = keep_chroma(*pictures)
    monkeypatch.setattr("din_jax.inference.color._ROWS", 100)
    np.testing.assert_array_equal(keep_chroma(*pictures), whole)
    mean, covariance = color_statistics(pictures[0])
    pixels = pictures[0].reshape(-1, 3) / 255
    np.testing.assert_allclose(mean, pixels.mean(0), atol=1e-12)
    np.testing.assert_allclose(covariance, np.cov(pixels.T, ddof=0), atol=1e-12)


def test_matched_colors_have_the_content_s_mean_and_covariance(pictures):
    content, style = pictures
    matrix, shift = color_map(style, content)
    matched = (style / 255).reshape(-1, 3) @ matrix.T + shift
    target = (content / 255).reshape(-1, 3)
    np.testing.assert_allclose(matched.mean(0), target.mean(0), atol=1e-3)
    np.testing.assert_allclose(np.cov(matched.T), np.cov(target.T), atol=1e-3)
    np.testing.assert_allclose(
        match_colors(style, content).reshape(-1, 3), 255 * np.clip(matched, 0, 1), atol=0.51
    )


def test_matching_a_picture_to_itself_changes_nothing(pictures):
    np.testing.assert_allclose(
        match_colors(pictures[0], pictures[0]).astype(int), pictures[0], atol=1
    )


@pytest.mark.parametrize("color", [(90, 90, 90), (200, 10, 40)])
def test_styles_and_contents_of_one_color_are_matched_without_noise(pictures, color):
    flat = np.full((20, 20, 3), color, np.uint8)
    result = match_colors(flat, pictures[0])
    np.testing.assert_allclose(result, pictures[0].mean((0, 1)) * np.ones((20, 20, 1)), atol=0.51)
    np.testing.assert_array_equal(
        match_colors(pictures[0], flat), np.broadcast_to(flat[0, 0], (37, 43, 3))
    )


def test_a_gray_style_takes_the_content_s_colors_along_its_one_axis(pictures):
    content, style = pictures
    gray = np.asarray(Image.fromarray(style).convert("L").convert("RGB"))
    matched = match_colors(gray, content)
    assert np.abs(matched.mean((0, 1)) - content.mean((0, 1))).max() < 6  # what clipping leaves
    assert matched.std((0, 1)).min() > 5
