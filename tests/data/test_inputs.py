"""Files, folders, patterns and "-" become inputs in order, and outputs get names of their own."""

import numpy as np
import pytest

from din_jax.data.decoding import save_image
from din_jax.data.inputs import (
    Input,
    did_you_mean,
    find_inputs,
    output_names,
    pair_names,
    safe_stem,
    unique_names,
)
from din_jax.errors import UserError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name in ("p10.png", "p2.png", "sub/deep/p1.png", "[x].png"):
        save_image(tmp_path / "photos" / name, np.zeros((16, 16, 3), np.uint8))
    (tmp_path / "photos/notes.txt").write_text("no picture")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(inputs):
    return [x.name for x in inputs]


def test_order_is_that_of_the_arguments_and_natural_below(folder):
    found = find_inputs(["photos/p10.png", "photos", "-"], "content")
    assert names(found) == [
        "photos/p10.png", "photos/[x].png", "photos/p2.png", "photos/p10.png",
        "photos/sub/deep/p1.png", "standard input",
    ]  # fmt: skip
    assert [x.folder for x in found] == [".", ".", ".", ".", "sub/deep", "."]


@pytest.mark.parametrize(
    "pattern, expected",
    [
        ("photos/p*.png", ["photos/p2.png", "photos/p10.png"]),
        ("photos/**/p1.png", ["photos/sub/deep/p1.png"]),
        ("photos/[x].png", ["photos/[x].png"]),  # a file of that name goes first
        ("photos/[[]x].png", ["photos/[x].png"]),
    ],
)
def test_patterns(folder, pattern, expected):
    assert names(find_inputs([pattern], "content")) == expected


def test_results_among_the_pictures_are_not_pictures_again(folder):
    known = {folder / "photos/p2.png", folder / "photos/p10.png"}
    is_known = lambda path: path.resolve() in known  # noqa: E731
    assert "photos/p2.png" not in names(find_inputs(["photos"], "content", known=is_known))
    assert names(find_inputs(["photos/p?.png", "photos"], "x", known=lambda p: "deep" in str(p)))
    with pytest.raises(UserError, match="no content matches"):
        find_inputs(["photos/p*.png"], "content", known=is_known)
    # Who names a file means it.
    assert len(find_inputs(["photos/p2.png"], "content", known=is_known)) == 1


@pytest.mark.parametrize(
    "arguments, match",
    [
        (["fotos"], r"^there is no content 'fotos' \(did you mean 'photos'\?\); give a picture"),
        (["photos/P3.png"], r"did you mean 'p2.png' or"),
        (["nowhere/at/all.png"], r"^there is no content 'nowhere/at/all.png'; give"),
        (["empty"], "the content folder 'empty' holds no pictures"),
        (["*.jpg"], r"no content matches '\*.jpg'"),
        (["-", "-"], "once only"),
    ],
)
def test_what_is_not_there_is_one_sentence(folder, arguments, match):
    with pytest.raises(UserError, match=match):
        find_inputs(arguments, "content")


def test_outputs_mirror_folders_and_none_meets_another(folder):
    inputs = find_inputs(["photos", "photos/p2.png", "-"], "content")
    rows = output_names(inputs, ["s", "S"])
    assert rows[0] == ["[x]--s", "[x]--S-2"]
    assert rows[3] == ["sub/deep/p1--s", "sub/deep/p1--S-2"]
    assert rows[4] == ["p2-2--s", "p2-2--S-2"] and rows[5][0] == "stdin--s"
    flat = [name.casefold() for row in rows for name in row]
    assert len(set(flat)) == len(flat)


def test_names_are_unique_and_fit_the_file_system():
    stems = ["a", "a", "A", "a-2", "a-2", "ü" * 200, "ü" * 200, "a"]
    found = unique_names(map(safe_stem, stems))
    assert found[0] == "a" and len({name.casefold() for name in found}) == len(stems)
    assert all(len(name.encode()) < 120 for name in found)
    rows = pair_names(["a", "a--b"], ["b--c", "c"])
    assert rows == [["a--b--c", "a--c"], ["a--b--b--c", "a--b--c-2"]]


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "..", "", "a\0b\nc", "C:\\x", "ü" * 300, "a/b" * 200, ". ."]
)
def test_no_name_of_a_style_leaves_the_folder(name):
    (row,) = output_names([Input(None)], [name])
    stem = safe_stem(name)
    assert row == [f"stdin--{stem}"] and 0 < len(stem.encode()) <= 100
    assert not set(stem) & set("/\\\0\n:") and stem.strip(". ")


def test_nearest_names():
    names = ["waves", "Mosaic", "brush strokes"]
    assert did_you_mean("mosiac", names) == " (did you mean 'Mosaic'?)"
    assert did_you_mean("photo", names) == ""
