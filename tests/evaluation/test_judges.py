"""Judges without a network: against definitions, and on pictures whose answer is known."""

import importlib.util
import math

import jax.extend.backend
import numpy as np
import pytest
from scipy import ndimage

from din_jax.evaluation import judges
from din_jax.evaluation.judges import (
    checkerboard_levels,
    enlarged,
    laplacian_pyramid,
    patch_distance,
    patch_projections,
    structural_similarity,
)

needs_pix = pytest.mark.skipif(
    importlib.util.find_spec("dm_pix") is None, reason="dm-pix (extra 'metrics') is not installed"
)


def stripes(angle: float, size=(96, 128), level: int = 128) -> np.ndarray:
    rows, columns = np.mgrid[: size[0], : size[1]]
    wave = np.sin((rows * np.sin(angle) + columns * np.cos(angle)) * 2 * np.pi / 8)
    return np.repeat(np.rint(level + 60 * wave).astype(np.uint8)[..., None], 3, 2)


def noise(seed: int, size=(96, 128)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


@pytest.mark.parametrize("size", [(64, 64), (97, 131), (32, 200), (20, 24)])
def test_levels_add_up_to_the_picture(size):
    picture = noise(0, size)
    levels = laplacian_pyramid(picture)
    assert len(levels) == judges.OCTAVES + 1
    x = levels[-1]
    for level in levels[-2::-1]:
        x = level + enlarged(x, level.shape)
    np.testing.assert_allclose(x, picture, atol=1e-3)


def test_details_of_a_flat_picture_are_none():
    *details, rest = laplacian_pyramid(np.full((64, 96, 3), 77, np.uint8))
    assert all(np.abs(level).max() < 1e-4 for level in details)
    np.testing.assert_allclose(rest, 77, atol=1e-4)


def test_distance_is_none_to_itself_and_small_to_other_places_of_the_same():
    a, b = patch_projections(stripes(0.4)), patch_projections(noise(1))
    assert patch_distance(a, a) == 0
    assert patch_distance(a, b) == patch_distance(b, a)
    moved = patch_projections(stripes(0.4, (128, 96)))
    turned = patch_projections(stripes(0.4 + math.pi / 2))
    assert patch_distance(a, moved) < 0.3 * patch_distance(a, turned) < 0.3 * patch_distance(a, b)


def test_distance_of_two_flat_pictures_is_that_of_their_colors():
    """Only the coarsest level differs, by d in every direction's sum of weights."""
    a, b = (np.full((64, 64, 3), level, np.uint8) for level in (40, 90))
    wanted = 50 * np.abs(judges._directions().sum(0)).mean() / (judges.OCTAVES + 1)
    assert patch_distance(*map(patch_projections, (a, b))) == pytest.approx(wanted, rel=1e-4)


def test_distance_does_not_depend_on_the_size_of_the_picture():
    small, large = (patch_projections(noise(2, size)) for size in ((96, 96), (192, 192)))
    assert patch_distance(small, large) < 0.1 * patch_distance(small, patch_projections(stripes(1)))


def slow_similarity(a, b) -> float:
    """Wang et al. 2004, eq. 13, Gaussian window of 11 and 1.5, only where it fits; float64."""
    x, y = (image.astype(float) @ [0.299, 0.587, 0.114] / 255 for image in (a, b))
    half = np.exp(-np.square(np.arange(-5, 6)) / (2 * 1.5**2))
    half /= half.sum()

    def blur(z):
        for axis in (0, 1):
            z = ndimage.correlate1d(z, half, axis)
        return z[5:-5, 5:-5]

    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    one, two = 0.01**2, 0.03**2
    ssim = (2 * mx * my + one) * (2 * cov + two) / ((mx**2 + my**2 + one) * (vx + vy + two))
    return ssim.mean()


@needs_pix
def test_similarity_is_that_of_its_definition():
    a = noise(3, (40, 52))
    b = (a // 2 + noise(4, (40, 52)) // 4).astype(np.uint8)
    assert structural_similarity(a, b) == pytest.approx(slow_similarity(a, b), abs=1e-4)
    assert structural_similarity(a, a) == pytest.approx(1)


def test_similarity_without_its_library_is_no_number(monkeypatch):
    monkeypatch.setattr(judges, "_ssim", lambda: None)
    assert math.isnan(structural_similarity(noise(0), noise(1)))


def test_checkerboard_is_the_deviation_of_what_repeats_with_the_cells():
    """Squares 10 levels apart deviate by 5; noise has what chance leaves over 99 cells."""
    rows, columns = np.mgrid[:96, :80]
    squares = 10 * ((rows // 2 + columns) % 2)[..., None].repeat(3, 2)
    assert checkerboard_levels(squares.astype(np.uint8)) == pytest.approx(5, rel=1e-5)
    plain = noise(5, (96, 80)) // 2
    by_chance = plain.std() / 99**0.5
    assert checkerboard_levels(plain) == pytest.approx(by_chance, rel=0.1)
    both = checkerboard_levels((plain + squares).astype(np.uint8))
    assert both == pytest.approx(np.hypot(5, by_chance), rel=0.1)
    slanted = stripes(0.5)  # as wide as the cells, but across them
    assert checkerboard_levels(slanted) < 0.01 * slanted.std()
    assert math.isnan(checkerboard_levels(plain[:15]))


@needs_pix
def test_pictures_of_many_sizes_do_not_add_up_in_memory():
    """Programs of the sizes used last are kept, no others: counted by the runtime."""
    backend = jax.extend.backend.get_backend()

    def programs(sizes: range) -> int:
        for side in sizes:
            image = stripes(0.3, (side, 24))
            structural_similarity(image, image)
            checkerboard_levels(image)
        return len(backend.live_executables())

    before = programs(range(16, 16 + judges.SIZES))
    assert programs(range(40, 40 + judges.SIZES)) <= before
