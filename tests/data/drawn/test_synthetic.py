"""The built-in pictures: deterministic, varied, and rich enough to train on."""

import hashlib

import numpy as np
import pytest

from din_jax.data.drawn.synthetic import FAMILIES, SCENES, SyntheticContent, SyntheticStyle

SIZE = 48


@pytest.mark.parametrize("kind", [SyntheticContent, SyntheticStyle])
def test_index_and_seed_alone_decide(kind):
    source = kind(length=30, seed=4, size=SIZE)
    forward = [source[i] for i in range(30)]
    again = kind(length=30, seed=4, size=SIZE)
    for i in reversed(range(30)):
        np.testing.assert_array_equal(again[i], forward[i])
    assert not (kind(length=30, seed=5, size=SIZE)[3] == forward[3]).all()


@pytest.mark.parametrize("kind", [SyntheticContent, SyntheticStyle])
def test_pictures_are_uint8_rgb_all_different_and_have_contrast(kind):
    source = kind(length=60, size=SIZE)
    seen = set()
    for i in range(len(source)):
        picture = source[i]
        assert picture.shape == (SIZE, SIZE, 3) and picture.dtype == np.uint8
        assert picture.std() > 8, source.name(i)
        seen.add(hashlib.sha256(picture.tobytes()).hexdigest())
    assert len(seen) == 60
    with pytest.raises(IndexError):
        source[60]


def test_there_are_many_manners_and_subjects():
    assert len(set(FAMILIES)) >= 10 and len(set(SCENES)) >= 5


def test_manners_differ_in_color_and_in_stroke():
    """Two statistics that a style has: mean color, and the strength of edges by direction."""
    source = SyntheticStyle(length=2 * len(FAMILIES), size=96)
    pictures = np.stack([source[i] for i in range(len(source))]).astype(np.float32)
    colors = pictures.mean((1, 2))
    edges = np.stack([np.abs(np.diff(pictures, axis=a)).mean((1, 2, 3)) for a in (1, 2)], -1)
    assert colors.std(0).min() > 20
    assert edges[:, 0].max() > 3 * edges[:, 0].min()


@pytest.mark.parametrize("size", [16, 33, 128])
def test_any_size_works(size):
    for source in (SyntheticContent(size=size), SyntheticStyle(size=size)):
        for i in range(len(FAMILIES)):
            assert source[i].shape == (size, size, 3)
