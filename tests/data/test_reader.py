"""Bad records are replaced by good ones, the same in every run."""

import builtins
import errno
import logging
import os
from pathlib import Path

import numpy as np
import pytest

from din_jax.data import retries
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


@pytest.fixture
def flaky(flat_folder, monkeypatch):
    """A reader of eight files that fail as often as `failures` says, and its pauses."""
    reader, pauses = ImageReader(FolderSource(flat_folder("store", 8))), []
    failures: dict[str, int] = {}
    read = Path.read_bytes

    def failing(path):
        if failures.get(path.name, 0) > 0:
            failures[path.name] -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", failing)
    monkeypatch.setattr(retries.time, "sleep", pauses.append)
    return reader, failures, pauses


def test_a_store_that_fails_now_and_then_is_asked_again(flaky, caplog):
    reader, failures, pauses = flaky
    failures["1.png"] = 3
    assert np.asarray(reader.read(1))[0, 0, 0] == 1 and not reader.bad
    assert pauses == list(retries.PAUSES) and "Input/output error" in caplog.text


def test_a_picture_that_stays_unreadable_is_replaced_and_counted(flaky):
    reader, failures, pauses = flaky
    failures |= {f"{i}.png": 99 for i in (1, 2, 3)}
    assert np.asarray(reader.read(1))[0, 0, 0] == 4 and len(reader.bad) == 3
    assert len(pauses) == 9
    assert np.asarray(reader.read(1))[0, 0, 0] == 4 and len(pauses) == 9  # not asked again


def test_a_store_that_is_gone_ends_in_a_sentence(flaky):
    reader, failures, pauses = flaky
    failures |= {f"{i}.png": 99 for i in range(8)}
    with pytest.raises(SourceError, match="must stay readable.*Nor are the 3 before it"):
        reader.read(0)
    assert len(pauses) == 12


@pytest.fixture
def looked_at(flat_folder, monkeypatch):
    """A folder whose files cannot be opened as often as `failures` says, and the pauses."""
    folder, failures, pauses = flat_folder("looked", 8), {}, []
    opened = builtins.open

    def failing(path, *arguments, **options):
        name = os.path.basename(path) if isinstance(path, str | Path) else ""
        if failures.get(name, 0) > 0:
            failures[name] -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return opened(path, *arguments, **options)

    monkeypatch.setattr(builtins, "open", failing)
    monkeypatch.setattr(retries.time, "sleep", pauses.append)
    return folder, failures, pauses


def test_a_store_that_fails_while_files_are_looked_at_leaves_none_out(looked_at, caplog):
    folder, failures, pauses = looked_at
    failures |= {"1.png": 1, "5.png": 3}
    assert len(FolderSource(folder)) == 8 and "left out" not in caplog.text
    assert len(pauses) == 2  # those of 5.png: once to look, twice to read


def test_a_file_that_cannot_be_read_at_all_is_left_out_and_counted(looked_at, caplog):
    folder, failures, pauses = looked_at
    failures |= {"2.png": 99}
    assert len(FolderSource(folder)) == 7 and "1 of 8 files" in caplog.text
    assert pauses == list(retries.PAUSES)


def test_a_store_that_is_gone_while_files_are_looked_at_is_a_sentence(looked_at):
    folder, failures, _ = looked_at
    failures |= {f"{i}.png": 99 for i in range(1, 8)}
    with pytest.raises(SourceError, match="Input/output error.*Nor are the 3 before it"):
        FolderSource(folder, threads=1)


def test_what_no_try_mends_is_tried_once(flaky, tmp_path):
    with pytest.raises(FileNotFoundError):
        retries.patiently((tmp_path / "none").read_bytes, "none")
    assert flaky[2] == []
