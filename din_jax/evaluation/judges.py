"""Judges of a stylized picture that are no VGG-19, so that nothing is won by fitting the network
that a model was trained with.

  patches  how far its patches are from the style's: the sliced Wasserstein distance of patches of a
           Laplacian pyramid (Rabin et al. 2011; Karras et al. 2018, appendix B, which normalizes
           colors; here they count), in levels of 255: 0, the same colors, strokes and grain
  ssim     how much of the content's structure is left: the structural similarity (Wang et al. 2004)
           of the two pictures' brightness, by dm-pix: 1, all of it
  checkerboard  a pattern that repeats with the cells of the network's maps and not with anything
           shown (`losses.checkerboard`, its root in levels of 255): photographs of 256 px have 0.6
"""

import functools
import importlib
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from scipy import ndimage

from din_jax.inference.batching import CompiledCache
from din_jax.losses import checkerboard

CELL = 8  # pixels; cells of 2 and 4 are parts of it
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
SIDE = 7  # pixels, of a patch
SAMPLES = 2048  # patches of each level
PROJECTIONS = 128  # directions, shared by all pictures
SIZES = 4  # of pictures whose programs are kept: those of one content come one after the other
OCTAVES = 3  # of details, so that pictures of any two sizes compare; what is left makes a level too

# Of each level, finest first, the sorted projections [SAMPLES, PROJECTIONS].
Projections = list[np.ndarray]


class Judged(NamedTuple):
    """What the judges say of a stylized picture."""

    patches: float
    ssim: float
    checkerboard: float


def laplacian_pyramid(image: np.ndarray) -> list[np.ndarray]:
    """Details of each octave, finest first, and last what is left, float32 [h, w, 3] in 0..255.

    The levels, each enlarged to the one before and added, give the picture (Burt & Adelson 1983).
    """
    levels, x = [], image.astype(np.float32)
    for _ in range(OCTAVES):
        half = _blur(x)[::2, ::2]
        levels.append(x - enlarged(half, x.shape))
        x = half
    return [*levels, x]


def enlarged(half: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Twice the size, the binomial filter between the samples, cut to `shape`."""
    spread = np.zeros((2 * half.shape[0], 2 * half.shape[1], 3), np.float32)
    spread[::2, ::2] = half
    weights = np.zeros((*spread.shape[:2], 1), np.float32)
    weights[::2, ::2] = 1
    filled = _blur(spread) / _blur(weights)
    return filled[: shape[0], : shape[1]]


def _blur(x: np.ndarray) -> np.ndarray:
    kernel = np.array([1, 4, 6, 4, 1], np.float32) / 16
    for axis in (0, 1):
        x = ndimage.correlate1d(x, kernel, axis, mode="mirror")
    return x


@functools.cache
def _directions() -> np.ndarray:
    """Unit vectors in the space of patches, [SIDE * SIDE * 3, PROJECTIONS]."""
    drawn = np.random.default_rng(0).standard_normal((SIDE * SIDE * 3, PROJECTIONS))
    return (drawn / np.linalg.norm(drawn, axis=0)).astype(np.float32)


def patch_projections(image: np.ndarray) -> Projections:
    """What `patch_distance` compares, of a picture uint8 [H, W, 3]."""
    projections = []
    for number, level in enumerate(laplacian_pyramid(image)):
        short = [(0, max(SIDE - side, 0)) for side in level.shape[:2]]
        level = np.pad(level, (*short, (0, 0)), mode="symmetric")
        rows, columns = (side - SIDE + 1 for side in level.shape[:2])
        windows = np.lib.stride_tricks.sliding_window_view(level, (SIDE, SIDE), (0, 1))
        # Stratified: every part of the picture is there, in any size of picture.
        at = (np.arange(SAMPLES) + np.random.default_rng(number).random(SAMPLES)) / SAMPLES
        at = (at * rows * columns).astype(int)
        patches = windows[at // columns, at % columns].transpose(0, 2, 3, 1)
        values = patches.reshape(SAMPLES, -1) @ _directions()
        projections.append(np.sort(values, 0))
    return projections


def patch_distance(a: Projections, b: Projections) -> float:
    """Sliced Wasserstein-1 distance, a mean over directions and octaves, in levels of 255."""
    return float(np.mean([np.abs(x - y).mean() for x, y in zip(a, b, strict=True)]))


def structural_similarity(a: np.ndarray, b: np.ndarray) -> float:
    """SSIM of the brightness of two pictures of one size, uint8 [H, W, 3]; NaN without dm-pix."""
    if _ssim() is None or min(a.shape[:2]) < 11:  # the filter's side
        return float("nan")
    x, y = ((image @ (LUMA / 255)).astype(np.float32)[..., None] for image in (a, b))
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        return float(_ssim()(x, y))  # dm-pix relies on both


@functools.cache
def _ssim():
    try:
        return CompiledCache(importlib.import_module("dm_pix").ssim, SIZES)
    except ImportError:
        return None


def checkerboard_levels(image: np.ndarray) -> float:
    """Deviation of what is locked to the pixels' places in cells of `CELL`, in levels of 255.

    Of a picture uint8 [H, W, 3]; NaN where a side has less than two cells.
    """
    if min(image.shape[:2]) < 2 * CELL:
        return float("nan")
    return float(np.sqrt(_checkerboard(image.astype(np.float32)[None])))


_checkerboard = CompiledCache(lambda images: checkerboard(images, CELL), SIZES)


def judge(stylized: np.ndarray, content: np.ndarray, style: Projections) -> Judged:
    """What all judges say of a stylized picture of its content's size, uint8 [H, W, 3]."""
    return Judged(
        patch_distance(patch_projections(stylized), style),
        structural_similarity(stylized, content),
        checkerboard_levels(stylized),
    )
