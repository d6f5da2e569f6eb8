"""A file is replaced whole or not at all."""

import threading

import pytest

from din_jax.files import leftovers, replacing, try_folder, write_atomically


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_bytes_and_text_are_written_and_folders_made(tmp_path):
    path = tmp_path / "new" / "deep" / "file.json"
    assert write_atomically(path, "é\n") == path
    assert path.read_bytes() == b"\xc3\xa9\n"
    write_atomically(str(path), b"\0\1")
    assert path.read_bytes() == b"\0\1"
    assert names(path.parent) == ["file.json"]


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing(tmp_path):
    path = write_atomically(tmp_path / "file", "old")
    with pytest.raises(OSError, match="disk full"), replacing(path) as partial:
        partial.write_text("half of the n")
        assert path.read_text() == "old"
        raise OSError("disk full")
    assert path.read_text() == "old" and names(tmp_path) == ["file"]


def test_a_folder_is_tried_without_being_made(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path, tmp_path / "new" / "deep", "."):
        try_folder(folder)
    for folder in (tmp_path / "file", tmp_path / "file" / "deep", "/proc/nowhere"):
        with pytest.raises(OSError, match="Not a directory|No such file"):
            try_folder(folder)
    assert names(tmp_path) == ["file"]


def test_the_file_can_be_read_by_whom_the_system_lets(tmp_path):
    (tmp_path / "plain").write_text("")
    path = write_atomically(tmp_path / "file", "")
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_the_longest_name_that_a_file_can_have_is_written(tmp_path):
    path = tmp_path / ("é" * 125 + ".txt")
    assert write_atomically(path, "x").read_text() == "x"
    assert names(tmp_path) == [path.name]


def test_the_systems_error_names_the_file(tmp_path):
    path = tmp_path / "file"
    with pytest.raises(OSError, match=r"No space left on device: '.*/file'$"), replacing(path):
        raise OSError(28, "No space left on device")  # as a write without a name does
    with pytest.raises(OSError, match=r"'.*/file'$"), replacing(path) as partial:
        raise OSError(13, "Permission denied", str(partial))
    with pytest.raises(OSError, match="'other'"), replacing(path):
        raise OSError(28, "No space left on device", "other")


def test_threads_that_write_one_file_do_not_meet(tmp_path):
    path = tmp_path / "file"
    texts = [letter * 100_000 for letter in "abcd"]
    threads = [threading.Thread(target=write_atomically, args=(path, text)) for text in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_text() in texts and names(tmp_path) == ["file"]


def test_what_a_killed_process_left_is_found_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    with replacing(path) as partial:
        partial.write_text("")
        (tmp_path / "other.partial").write_text("")
        assert leftovers(path) == [partial]
    assert leftovers(path) == []
