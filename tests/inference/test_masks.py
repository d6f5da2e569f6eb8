"""Masks of every kind, their shares of a content, and the regions of strengths by level."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from din_jax.data.decoding import save_image
from din_jax.errors import UserError
from din_jax.inference.masks import fit_masks, read_mask, read_masks, split_by_level

GRAY = (np.arange(400) % 256).reshape(20, 20).astype(np.uint8)


def test_masks_of_every_kind_say_the_same(tmp_path):
    expected = GRAY / np.float32(255)
    path = save_image(tmp_path / "mask.png", GRAY)
    for given in (
        GRAY,
        expected,
        expected.astype(np.float64),
        Image.fromarray(GRAY),
        path,
        str(path),
    ):
        mask = read_mask(given)
        assert mask.dtype == np.float32
        np.testing.assert_allclose(mask, expected, atol=1e-6)
    np.testing.assert_array_equal(read_mask(GRAY > 99), GRAY > 99)


def test_nothing_is_painted_where_a_mask_is_transparent():
    alpha = GRAY.T.copy()
    given = Image.merge("LA", [Image.fromarray(GRAY), Image.fromarray(alpha)])
    visible = alpha > 0
    expected = GRAY / 255.0 * (alpha / 255.0)
    np.testing.assert_allclose(read_mask(given)[visible], expected[visible], atol=1e-6)
    assert (read_mask(given)[~visible] == 0).all()


def test_a_mask_lies_as_its_picture_says(tmp_path):
    lying = Image.fromarray(np.rot90(GRAY))
    lying.getexif()[0x0112] = 6
    np.testing.assert_allclose(read_mask(lying), GRAY / 255.0, atol=1e-6)


def test_shares_are_the_masks_resized_the_rest_is_the_last_style_s_or_nobody_s():
    ramp = np.tile(np.linspace(0, 1, 8, dtype=np.float32), (6, 1))
    first, second = fit_masks([ramp, 1 - ramp], 2, (6, 8), 0)
    np.testing.assert_array_equal(first, ramp)
    np.testing.assert_array_equal(second, 1 - ramp)
    shares = fit_masks([ramp], 2, (6, 8), 0)  # one less than styles
    np.testing.assert_allclose(shares[1], 1 - ramp, atol=1e-7)
    half = np.full((3, 5), 0.5, np.float32)
    large = fit_masks([half, half / 2], 2, (20, 30), 0)
    np.testing.assert_allclose(large, np.broadcast_to([[[0.5]], [[0.25]]], (2, 20, 30)), atol=1e-6)
    over = fit_masks([2 * half, half], 2, (4, 4), 0)  # beyond 1 they share
    np.testing.assert_allclose(over, np.broadcast_to([[[2 / 3]], [[1 / 3]]], (2, 4, 4)), atol=1e-6)
    smaller = fit_masks([np.kron(np.eye(4, dtype=np.float32), np.ones((8, 8)))], 1, (4, 4), 0)[0]
    assert smaller.sum() == pytest.approx(4, abs=0.2) and smaller.trace() > 2.5


def test_feathered_edges_are_gaussian_and_hold_their_place():
    step = np.zeros((9, 60), np.float32)
    step[:, 30:] = 1
    soft = fit_masks([step], 1, (9, 60), 4.0)[0]
    x = np.arange(60) - 29.5
    expected = ndimage.gaussian_filter1d(step[0].astype(float), 4.0, mode="nearest")
    np.testing.assert_allclose(soft, np.tile(expected, (9, 1)), atol=3e-3)
    assert soft[4, 29] < 0.5 < soft[4, 30] and abs(soft[4] - 0.5)[np.abs(x) > 12].min() > 0.49


def test_regions_give_each_level_its_strength():
    rng = np.random.default_rng(0)
    shares = rng.dirichlet([1, 1, 1], (5, 7)).transpose(2, 0, 1)[:2].astype(np.float32)
    strengths = {"level1": 0.5, "level2": 1.0, "level3": 0.0}
    numbers, masks = split_by_level(shares, strengths)
    assert numbers == [0, 1, None] and set(masks) == set(strengths)
    for level, strength in strengths.items():
        np.testing.assert_allclose(masks[level].sum(0), 1, atol=1e-6)
        for style in (0, 1):
            np.testing.assert_allclose(masks[level][style], strength * shares[style], atol=1e-6)


def test_what_has_no_share_is_no_region():
    full = np.ones((2, 4, 5), np.float32) * np.array([1, 0], np.float32)[:, None, None]
    assert split_by_level(full, {"level1": 1.0, "level2": 1.0})[0] == [0]
    numbers, masks = split_by_level(full, {"level1": 1.0, "level2": 0.5, "level3": 0.5})
    assert numbers == [0, None] and masks["level2"] is masks["level3"]
    for shares, strength in ((0 * full, 1.0), (full, 0.0)):
        numbers, masks = split_by_level(shares, {"level1": strength})
        assert numbers == [None] and masks["level1"].min() == 1


@pytest.mark.parametrize(
    "given, styles, sentence",
    [
        ([GRAY] * 3, 2, r"2 styles need 2 masks, or 1 \(the last style .*, not 3"),
        ([GRAY] * 1, 3, "3 styles need 3 masks, or 2"),
        ([GRAY.astype(np.uint16)], 1, "must be uint8 0..255, not uint16"),
        ([GRAY[..., None]], 1, r"but is uint8 \[20, 20, 1\]"),
        ([np.zeros((0, 4))], 1, "a mask must be an array"),
        ([-np.ones((4, 4))], 1, "must lie in 0..1, not -1..-1"),
    ],
)
def test_wrong_masks_are_one_sentence(given, styles, sentence):
    with pytest.raises(UserError, match=sentence):
        read_masks(given, styles)


def test_one_mask_alone_needs_no_list():
    (mask,) = read_masks(GRAY, 2)
    np.testing.assert_allclose(mask, GRAY / 255.0, atol=1e-6)
