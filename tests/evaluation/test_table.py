"""The table over several programs: whose picture is whose, what is written, what is refused."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from din_jax.data.decoding import load_image, save_image
from din_jax.errors import UserError
from din_jax.evaluation import table
from din_jax.evaluation.folders import check_pattern, find_pairs
from din_jax.evaluation.pictures import Named, find_images
from din_jax.evaluation.ruler import Ruler
from din_jax.evaluation.summary import Program, comma_separated, markdown, summarize


def painted(folder, contents, styles, name="{content}--{style}.png"):
    """Every content as the picture of every style, its red channel telling the style."""
    for content in contents:
        for j, style in enumerate(styles):
            image = load_image(content).copy()
            image[..., 0] = 10 * j
            save_image(folder / name.format(content=content.stem, style=style.stem), image)
    return folder


@pytest.fixture
def sides(pictures):
    contents = find_images(pictures("contents", "a.png", "sea b.jpg", "c.png"), "content")
    return contents, find_images(pictures("styles", "s.png", "t.png"), "style")


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("{content}--{style}.png", ""),
        ("deep/{content}--{style}.jpg", ""),
        ("{content}_stylized_{style}.jpg", "{content}_stylized_{style}"),
        ("{style}/x.png", None),
    ],
)
def test_pictures_are_found_by_the_names_of_their_pair(sides, tmp_path, name, pattern):
    folder = painted(tmp_path / "other", *sides, name)
    if pattern is None:
        with pytest.raises(UserError, match=r"none of 2 pictures.*such as a--s\.png; say with"):
            find_pairs(folder, *sides)
        return
    grid = find_pairs(folder, *sides, pattern)
    for content, row in zip(sides[0], grid, strict=True):
        for style, path in zip(sides[1], row, strict=True):
            assert path.stem in (
                f"{content.stem}--{style.stem}", f"{content.stem}_stylized_{style.stem}"
            )


def test_what_is_not_there_is_none_and_what_is_there_twice_is_refused(sides, tmp_path):
    folder = painted(tmp_path / "other", *sides)
    (folder / "a--t.png").unlink()
    grid = find_pairs(folder, *sides)
    assert grid[0][1] is None and sum(path is None for row in grid for path in row) == 1
    save_image(folder / "again" / "C--S.png", load_image(folder / "c--s.png"))
    with pytest.raises(UserError, match="are both named as c in the style of s"):
        find_pairs(folder, *sides)


def test_a_picture_whose_name_is_that_of_two_pairs_is_refused(pictures):
    folder = pictures("other", "cat_big_wave.png")
    contents = [Path("cat.jpg"), Path("cat_big.jpg")]
    styles = [Path("big_wave.jpg"), Path("wave.jpg")]
    words = (
        r"wave\.png' is named both as cat in the style of big_wave and as cat_big in the style of "
        r"wave; rename it to CONTENT--STYLE, as cat_big--wave\.png, or"
    )
    with pytest.raises(UserError, match=words):
        find_pairs(folder, contents, styles, "{content}_{style}")
    (folder / "cat_big_wave.png").rename(folder / "cat_big--wave.png")
    grid = find_pairs(folder, contents, styles, "{content}_{style}")
    assert grid == [[None, None], [None, folder / "cat_big--wave.png"]]


@pytest.mark.parametrize("bad", ["", "{content}", "{content}{style}{x}", "{content!r}{style}", "{"])
def test_a_pattern_names_content_and_style_and_nothing_else(bad):
    with pytest.raises(UserError, match="--pattern must have {content} and {style}"):
        check_pattern(bad)
    assert check_pattern("{style}/{content}") == "{style}/{content}"


def test_the_ruler_measures_files_once_and_each_in_its_place(
    narrow_vgg, sides, tmp_path, monkeypatch
):
    folder = painted(tmp_path / "other", *sides)
    (folder / "a--t.png").unlink()
    grid = find_pairs(folder, *sides)
    named = [[Named(path.stem, load_image(path)) for path in side] for side in sides]
    kept = tmp_path / "kept.json"
    ruler = Ruler(narrow_vgg, *named, size=32, kept=kept)
    found = ruler.measure({"x": grid})["x"]
    assert set(found) == {
        "content_loss", "style_loss", "gram", "cfsd", "patches", "ssim", "checkerboard",
    }  # fmt: skip
    for numbers in found.values():
        assert np.isnan(numbers[0, 1]) and np.isfinite(np.delete(numbers.ravel(), 1)).all()
    alone = Ruler(narrow_vgg, named[0][2:], named[1][1:], size=32).measure({"x": [[grid[2][1]]]})
    for name, numbers in alone["x"].items():
        assert numbers[0, 0] == pytest.approx(found[name][2, 1], rel=1e-4, abs=1e-7)
    again = Ruler(narrow_vgg, *named, size=32, kept=kept)
    monkeypatch.setattr(again, "_of", None)  # would be called for a picture that is not known
    for name, numbers in again.measure({"x": grid})["x"].items():
        np.testing.assert_array_equal(numbers, found[name])
    kept.write_text("{broken")
    assert Ruler(narrow_vgg, *named, size=32, kept=kept)._known == {}


def program(name, shift, missing=()):
    rng = np.random.default_rng(0)
    values = {
        x: rng.normal(3, 0.3, (4, 3)) + shift for x in ("content_loss", "style_loss", "ssim")
    }
    for place in missing:
        for x in values.values():
            x[place] = np.nan
    return Program(name, values)


def test_programs_are_compared_on_the_pairs_that_all_have():
    rows = summarize([program("A", 0.0, [(1, 2)]), program("B", 0.5)])
    assert [row.pairs for row in rows] == [11, 11]
    # The same pairs, shifted: the difference is known exactly.
    difference = rows[1].differences["style_loss"]
    assert (difference.low, difference.high) == pytest.approx((0.5, 0.5))
    text = markdown(rows)
    assert "**0.5 (0.5 to 0.5)**" in text and "Difference to A" in text and "ArtFID" in text
    lines = list(csv.DictReader(comma_separated(rows).splitlines()))
    by = {(line["program"], line["number"]): line for line in lines}
    assert float(by["B", "ssim"]["difference_mean"]) == pytest.approx(0.5)
    assert by["A", "ssim"]["difference_mean"] == "" and by["A", "ssim"]["pairs"] == "11"
    assert "bootstrap of 4 contents and 3 styles, 11 pairs" in text
    # A single pair that both have leaves the difference open, and is told as what it is.
    alone = program("A", 0.0, [(i, j) for i in range(4) for j in range(3) if (i, j) != (2, 1)])
    text = markdown(summarize([alone, program("B", 0.5)]))
    assert "| B | 0.5 |" in text and "bootstrap of 1 contents and 1 styles, 1 pairs" in text
    nothing = program("C", 0, [(i, j) for i in range(4) for j in range(3)])
    with pytest.raises(ValueError, match="that all programs have painted"):
        summarize([program("A", 0.0), nothing])


@pytest.mark.slow
def test_a_model_and_a_folder_stand_in_one_table(
    model_file, narrow_vgg, sides, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("din_jax.weights.vgg19_of", lambda *_: narrow_vgg)
    name = "{content}_stylized_{style}.jpg"
    folder = painted(tmp_path / "other", *sides, name)
    out = tmp_path / "out"
    arguments = [
        f"--checkpoint=ours={model_file}", f"--outputs=theirs={folder}", f"--pattern={name[:-4]}",
        f"--content={sides[0][0].parent}", f"--style={sides[1][0].parent}", f"--output={out}",
        "--size=32", "--draws=200", "--limit=5", "--random",
    ]  # fmt: skip
    assert table.main(arguments) == 0
    said = capsys.readouterr().out
    assert "| ours |" in said and "| theirs |" in said and "seeded and random" in said
    lines = list(csv.DictReader((out / "pairs.csv").read_text().splitlines()))
    assert len(lines) == 12 and {line["content"] for line in lines} == {"a", "sea b", "c"}
    html = (out / "table.html").read_text(encoding="utf-8")
    # Five pairs of content, style and two programs, and nothing from elsewhere.
    assert html.count("src=\"data:image/jpeg;base64,") == 20
    assert not re.search(r"(src|href)=\"(?!data:)", html)
    before = {p.name: p.read_bytes() for p in out.iterdir() if p.name in table.FILES[1:3]}
    assert table.main(arguments) == 0  # goes on, and gives the same
    text = {line for line in (out / "table.csv").read_text().splitlines() if "seconds" not in line}
    assert {x for x in before["table.csv"].decode().splitlines() if "seconds" not in x} == text
    assert (out / "pairs.csv").read_bytes() == before["pairs.csv"]
    (out / "table.md").write_text("mine")
    capsys.readouterr()
    assert table.main(arguments) == 2
    assert "table.md' would be written over" in capsys.readouterr().err


def test_what_is_no_picture_is_left_out_and_told_once(
    narrow_vgg, sides, tmp_path, capsys, monkeypatch
):
    """A content and a style, in the middle of their sides; others' pictures of them too."""
    monkeypatch.setattr("din_jax.weights.vgg19_of", lambda *_: narrow_vgg)
    contents, styles = sides
    folder = painted(tmp_path / "other", *sides)
    for style in styles:
        save_image(folder / f"b--{style.stem}.png", load_image(contents[0]))
    for name in ("contents/b.png", "styles/sa.png"):
        (tmp_path / name).write_bytes(b"none")
    out = tmp_path / "out"
    arguments = [
        f"--outputs=theirs={folder}", f"--content={contents[0].parent}",
        f"--style={styles[0].parent}", f"--output={out}", "--size=32", "--draws=200", "--random",
    ]  # fmt: skip
    assert table.main(arguments) == 0
    said = capsys.readouterr().err
    assert said.count("warning:") == 2 and "skipped 1 of 4 pictures: " in said
    assert "b.png'" in said and "skipped 1 of 3 pictures: " in said and "sa.png'" in said
    lines = list(csv.DictReader((out / "pairs.csv").read_text().splitlines()))
    found = {(line["content"], line["style"]) for line in lines if line["content_loss"]}
    assert len(lines) == 6 and found == {(c.stem, s.stem) for c in contents for s in styles}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "there is nothing to compare: give --checkpoint or --outputs"),
        (["--checkpoint", "runs/din"], r"--checkpoint takes NAME=PATH, as --checkpoint DIN="),
        (["--outputs", "a/b=c"], "--outputs takes NAME=PATH"),
        (["--outputs", "A=x", "--checkpoint", "a=y"], "two programs named 'A'"),
        (["--outputs", "A=nowhere"], "there is no folder 'nowhere'"),
        (["--outputs", "A=.", "--random", "--art-inception", "x"], "of no use without LPIPS's"),
    ],
)
def test_a_mistake_is_one_sentence(sides, tmp_path, capsys, arguments, words):
    common = ["--content", sides[0][0].parent, "--style", sides[1][0].parent]
    done = table.main([*map(str, common), "--output", str(tmp_path / "out"), *arguments])
    said = capsys.readouterr().err
    assert done == 2 and re.search(words, said) and said.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_page_shows_every_pair_once(sides):
    contents, styles = ([Named(p.stem, load_image(p)) for p in side] for side in sides)
    found = table.shown_pairs({}, contents, styles, 100)
    pairs = re.findall(r"<th>(.*?)<br>in (.*?)</th>", found)
    assert len(pairs) == len(set(pairs)) == 6
    assert Image.fromarray(contents[0].image).size[0] < 160  # small pictures are not enlarged
