"""Folders with bad files, held-out parts, and what stops with one sentence."""

import logging

import numpy as np
import pytest

from din_jax.data.decoding import MissingImageError, decode_image
from din_jax.data.sources import (
    FolderSource,
    ImageReader,
    SourceError,
    SubsetSource,
    open_source,
    split_source,
)
from din_jax.errors import UserError


def truncated_jpeg(encode, keep=0.6) -> bytes:
    data = encode(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8), "JPEG")
    return data[: int(keep * len(data))]


def test_bad_files_are_left_out_with_one_counted_warning(flat_folder, encode, caplog):
    folder = flat_folder("mixed", 4)
    (folder / "empty.jpg").touch()
    (folder / "text.png").write_text("no picture")
    (folder / "cut.jpg").write_bytes(truncated_jpeg(encode))
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
    assert text.startswith("8 of 12 files") and text.endswith("And 3 more.")
    for name in ("cut.jpg", "dangling.jpg", "empty.jpg", "icon.gif"):
        assert name in text


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


class ListSource(list):
    """Encoded pictures in a list; the last resort of every source."""

    def name(self, index):
        return f"item {index}"


def test_reader_replaces_a_bad_record_by_the_next_good_one(encode, caplog):
    good = [encode(np.full((16, 16, 3), value, np.uint8)) for value in range(4)]
    source = ListSource([good[0], b"bad", truncated_jpeg(encode), good[3]])
    with caplog.at_level(logging.WARNING):
        reader = ImageReader(source)
        for _ in range(2):  # the second time from memory, the same
            values = [np.asarray(reader.read(i))[0, 0, 0] for i in range(4)]
            assert values == [0, 3, 3, 3]
    assert [record.getMessage()[:6] for record in caplog.records] == ["1 of 4", "2 of 4"]
    assert "item 1" in caplog.text and "item 2" in caplog.text


def test_reader_wraps_around_and_stops_if_all_are_bad(encode):
    last = ListSource([encode(np.full((16, 16, 3), 5, np.uint8)), b"bad"])
    assert np.asarray(ImageReader(last).read(1))[0, 0, 0] == 5
    with pytest.raises(SourceError, match="all 3 are bad"):
        ImageReader(ListSource([b"bad"] * 3))


def test_file_that_disappears_is_replaced(flat_folder):
    folder = flat_folder("volatile", 3)
    reader = ImageReader(FolderSource(folder))
    (folder / "1.png").unlink()
    assert np.asarray(reader.read(1))[0, 0, 0] == 2


@pytest.mark.parametrize("count, wanted, held", [(2, 16, 1), (9, 16, 1), (50, 4, 4), (50, 16, 10)])
def test_held_out_part_is_disjoint_complete_and_stable(count, wanted, held):
    numbers = ListSource(range(count))
    train, validation = split_source(numbers, wanted)
    train_set, held_set = ({part[i] for i in range(len(part))} for part in (train, validation))
    assert len(held_set) == held and not train_set & held_set
    assert train_set | held_set == set(range(count))
    again = split_source(numbers, wanted)[1]
    assert {again[i] for i in range(len(again))} == held_set


def test_single_picture_serves_as_both_parts():
    train, validation = split_source(ListSource([7]), 16)
    assert train[0] == validation[0] == 7
    train, validation = split_source(ListSource([7, 8]), 0)
    assert len(train) == 2 and len(validation) == 0


def test_subset_and_folder_read_the_same_bytes(flat_folder):
    source = FolderSource(flat_folder("some", 5))
    subset = SubsetSource(source, [4, 0])
    assert subset[0] == source[4] and subset.name(1) == source.name(0)
    assert tuple(decode_image(subset[0])[0, 0]) == (4, 8, 251)
