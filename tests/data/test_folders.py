"""Folders with bad files, and what stops with one sentence."""

import logging

import numpy as np
import pytest

from din_jax.data.decoding import MissingImageError
from din_jax.data.folders import FolderSource
from din_jax.data.opening import open_source
from din_jax.data.sources import SourceError
from din_jax.errors import UserError


def test_bad_files_are_left_out_with_one_counted_warning(
    flat_folder, encode, caplog, truncated_jpeg
):
    folder = flat_folder("mixed", 4)
    (folder / "empty.jpg").touch()
    (folder / "text.png").write_text("no picture")
    (folder / "cut.jpg").write_bytes(truncated_jpeg)
    (folder / "icon.gif").write_bytes(encode(np.zeros((8, 8), np.uint8), "GIF"))
    (folder / "dangling.jpg").symlink_to(folder / "absent.jpg")
    for i in range(3):
        (folder / f"more{i}.jpg").touch()
    with caplog.at_level(logging.WARNING):
        source = FolderSource(folder)
        FolderSource(folder)  # the same files again: already told
    assert [path.name for path in source.files] == ["0.png", "1.png", "2.png", "3.png"]
    (record,) = caplog.records
    text = record.getMessage()
    assert text.startswith("8 of 12 files") and text.endswith("replace or remove it).")
    for name in ("cut.jpg", "dangling.jpg", "empty.jpg", "icon.gif", "more2.jpg", "text.png"):
        assert f"'{name}'" in text


def test_a_long_list_of_bad_files_is_cut(tmp_path):
    for i in range(25):
        (tmp_path / f"{i}.jpg").write_bytes(b"bad")
    with pytest.raises(SourceError, match="all 25 files .*: '0.jpg', .*'19.jpg' and 5 more .the"):
        FolderSource(tmp_path)


def test_good_file_with_extra_bytes_at_its_end_is_kept(flat_folder, encode, caplog):
    folder = flat_folder("extra", 1)
    data = encode(np.zeros((20, 20, 3), np.uint8), "JPEG")
    (folder / "z.jpg").write_bytes(data + b"\0" * 200)
    assert len(FolderSource(folder)) == 2 and not caplog.records


def test_unusable_folders_stop_with_one_sentence(tmp_path, flat_folder):
    with pytest.raises(MissingImageError, match="does not exist: give an existing folder"):
        open_source(str(tmp_path / "absent"), "content")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="has none"):
        open_source(str(tmp_path / "empty"), "content")
    (tmp_path / "empty" / "bad.jpg").write_bytes(b"bad")
    with pytest.raises(SourceError, match="all 1 files in .* are bad") as error:
        open_source(str(tmp_path / "empty"), "content")
    assert "\n" not in str(error.value)
    for spec, kind in (("", "style"), (str(flat_folder("some", 1)), "painting")):
        with pytest.raises(UserError):
            open_source(spec, kind)
