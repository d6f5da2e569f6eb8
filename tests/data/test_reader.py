"""Bad records are replaced by good ones, the same in every run."""

import logging

import numpy as np
import pytest

from din_jax.data.folders import FolderSource
from din_jax.data.reader import ImageReader
from din_jax.data.sources import SourceError


def test_reader_replaces_a_bad_record_by_the_next_good_one(
    encode, caplog, list_source, truncated_jpeg
):
    good = [encode(np.full((16, 16, 3), value, np.uint8)) for value in range(4)]
    source = list_source([good[0], b"bad", truncated_jpeg, good[3]])
    with caplog.at_level(logging.WARNING):
        reader = ImageReader(source)
        for _ in range(2):  # the second time from memory, the same
            values = [np.asarray(reader.read(i))[0, 0, 0] for i in range(4)]
            assert values == [0, 3, 3, 3]
    assert [record.getMessage()[:6] for record in caplog.records] == ["1 of 4", "2 of 4"]
    assert "item 1" in caplog.text and "item 2" in caplog.text


def test_reader_wraps_around_and_stops_if_all_are_bad(encode, list_source):
    last = list_source([encode(np.full((16, 16, 3), 5, np.uint8)), b"bad"])
    assert np.asarray(ImageReader(last).read(1))[0, 0, 0] == 5
    with pytest.raises(SourceError, match="all 3 are bad"):
        ImageReader(list_source([b"bad"] * 3))


def test_file_that_disappears_is_replaced(flat_folder):
    folder = flat_folder("volatile", 3)
    reader = ImageReader(FolderSource(folder))
    (folder / "1.png").unlink()
    assert np.asarray(reader.read(1))[0, 0, 0] == 2
