"""The inputs of a command as a source."""

from pathlib import Path

import numpy as np
import pytest

from din_jax.data.decoding import BadImageError, decode_image, save_image
from din_jax.data.given import InputSource
from din_jax.data.inputs import Input
from din_jax.data.reader import ImageReader


@pytest.fixture
def path(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (19, 17, 3), np.uint8)
    return Path(save_image(tmp_path / "a.png", pixels))


def test_files_and_standard_input_are_their_bytes(path):
    source = InputSource([Input(path), Input(None)], path.read_bytes())
    assert len(source) == 2 and source[0] == source[1] == path.read_bytes()
    assert source.name(0) == str(path) and source.name(1) == "standard input"
    np.testing.assert_array_equal(np.asarray(ImageReader(source).read(1)), decode_image(path))


def test_keys_tell_contents_from_others(path):
    def key(*inputs, stdin=b""):
        return InputSource(inputs, stdin).key()

    assert key(Input(path)) == key(Input(path))
    before = key(Input(path))
    path.write_bytes(path.read_bytes() + b" ")
    assert key(Input(path)) != before
    assert key(Input(None), stdin=b"1") != key(Input(None), stdin=b"2")
    assert key(Input(path), Input(None)) != key(Input(None), Input(path))


def test_of_a_video_it_is_the_first_frame(tmp_path):
    pytest.importorskip("av", reason="the extra `video`")
    from .clips import drawn_frame, write_clip

    clip = tmp_path / "clip.mp4"
    write_clip(clip)
    found = InputSource([Input(clip)])[0]
    assert found.dtype == np.uint8 and found.shape == (48, 64, 3)
    assert np.abs(found.astype(int) - drawn_frame(0)).mean() < 6
    assert np.abs(found.astype(int) - drawn_frame(3)).mean() > 6


def test_what_is_no_picture_is_replaced_by_one_that_is(path, tmp_path):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"nothing")
    gone = tmp_path / "gone.png"
    source = InputSource([Input(bad), Input(gone), Input(path)])
    for number in (0, 1):
        with pytest.raises(BadImageError, match="bad.mp4|gone.png"):
            source[number]
    np.testing.assert_array_equal(np.asarray(ImageReader(source).read(0)), decode_image(path))


def test_a_file_larger_than_pictures_are_is_not_read_whole(path, tmp_path, monkeypatch):
    monkeypatch.setattr("din_jax.data.inputs.MAX_FILE_BYTES", 2000)
    large = tmp_path / "large.png"
    large.write_bytes(bytes(2001))
    source = InputSource([Input(large), Input(path)])
    with pytest.raises(BadImageError, match="large.png must have at most"):
        source[0]
    np.testing.assert_array_equal(np.asarray(ImageReader(source).read(0)), decode_image(path))
