"""All pairs are painted once, under names of their own, whatever the folders hold."""

import csv
import types

import numpy as np
import pytest

from din_jax.data.decoding import load_image, save_image
from din_jax.data.outputs import JOURNAL
from din_jax.errors import UserError
from din_jax.evaluation.judges import judge, patch_projections
from din_jax.evaluation.pairs import evaluate_pairs
from din_jax.evaluation.pictures import find_images, read_images, square

SHIFT = 16


class FakeEngine:
    """Paints content + 16 * (number of the style), so that every file tells its pair."""

    batch = 2
    styles = ()

    def __init__(self):
        self.painted = 0  # pairs

    def prepare_style(self, image):
        return image

    def encode_style(self, images):
        return {"level1": types.SimpleNamespace(index=np.arange(len(images)))}

    def stylize_measured(self, contents, code):
        assert len(contents) <= self.batch
        self.painted += len(contents)
        pictures = [
            (c // 2 + SHIFT * i).astype(np.uint8) for c, i in zip(contents, code, strict=True)
        ]
        return pictures, np.asarray(code) / 100


class FakeMetrics:
    fingerprint = "fake"

    def style_targets(self, images):
        return [image.mean() for image in images]

    def content_targets(self, images):
        return [image.mean() for image in images]

    def losses(self, stylized, contents, styles):
        return list(zip(contents, styles, strict=True))


def take(code, indices):
    return code["level1"].index[np.asarray(indices)]


def stopping(engine, calls):
    """Its `stylize_measured`, where Ctrl-C strikes after some calls."""
    real, left = engine.stylize_measured, [calls]

    def stylize_measured(contents, code):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return real(contents, code)

    return stylize_measured


@pytest.fixture
def engine(monkeypatch):
    monkeypatch.setattr("din_jax.evaluation.pairs.take_codes", take)
    return FakeEngine()


def test_every_pair_becomes_one_file_even_where_stems_collide(engine, pictures, tmp_path):
    names = ("cat.png", "cat.jpg", "more/CAT.png", "cat-2.png", "a--b.png", "a.png")
    contents = pictures("contents", *names)
    styles = pictures("styles", "b--c.png", "c.png", "s.png")
    paths = find_images(contents, "content"), find_images(styles, "style")
    report = evaluate_pairs(engine, *paths, tmp_path / "out")
    assert len(report.files) == 18 and len({str(p).casefold() for p in report.files}) == 18
    others = ("contact_sheet.png", JOURNAL)
    on_disk = sorted(p for p in (tmp_path / "out").iterdir() if p.name not in others)
    assert on_disk == sorted(report.files)
    for i, path in enumerate(report.files):
        content = load_image(paths[0][i // 3])
        np.testing.assert_array_equal(load_image(path), content // 2 + SHIFT * (i % 3))
        assert path.name.startswith(paths[0][i // 3].stem) or "-" in path.stem
    plain = tmp_path / "out" / "a--s.png"
    assert plain in report.files and report.scores == []
    # Standard deviation of 0, 16, 32 in units of 255.
    assert report.spread == pytest.approx(np.std([0, 16, 32]) / 255)


def test_bad_pictures_are_skipped_with_one_counted_warning(engine, pictures, tmp_path, capsys):
    contents = pictures("contents", "a.png", "b.png")
    for name in ("bad1.jpg", "bad2.png"):
        (contents / name).write_bytes(b"not a picture")
    styles = pictures("styles", "s.png")
    report = evaluate_pairs(
        engine, find_images(contents, "content"), find_images(styles, "style"), tmp_path / "out"
    )
    assert [p.name for p in report.files] == ["a--s.png", "b--s.png"]
    warnings = [x for x in capsys.readouterr().err.splitlines() if x.startswith("warning")]
    assert len(warnings) == 1
    assert "skipped 2 of 4 pictures" in warnings[0]
    assert "bad1.jpg', " in warnings[0] and "bad2.png'" in warnings[0]
    assert np.isnan(report.spread)


def test_a_model_with_a_table_is_asked_for_its_styles_by_their_files_names(
    engine, pictures, tmp_path
):
    """Whatever they are called, and as they are called: what outputs are called differs."""
    stems = ["x" * 120, "is it?", " a  wave. ", "wave", "Wave"]
    engine.styles, asked = tuple(stems), []
    plain = engine.encode_style
    engine.encode_style = lambda styles: plain(asked.extend(styles) or styles)
    contents = pictures("contents", "a.png")
    styles = pictures("styles", *(f"{stem}.png" for stem in stems))
    paths = find_images(styles, "style")
    report = evaluate_pairs(engine, find_images(contents, "content"), paths, tmp_path / "out")
    assert asked == [path.stem for path in paths] and sorted(asked) == sorted(stems)
    assert {f"a--{'x' * 100}.png", "a--is it_.png"} <= {path.name for path in report.files}


def test_metrics_of_each_pair_stand_in_the_table(engine, pictures, tmp_path):
    contents = find_images(pictures("contents", "a.png", "b.png"), "content")
    styles = find_images(pictures("styles", "s.png", "t.png", "u.png"), "style")
    report = evaluate_pairs(engine, contents, styles, tmp_path / "out", metrics=FakeMetrics())
    with (tmp_path / "out" / "metrics.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 7 and len(report.scores) == 6
    for i, row in enumerate(rows[:-1]):
        content, style = contents[i // 3], styles[i % 3]
        assert (row["content"], row["style"]) == (content.stem, style.stem)
        assert float(row["content_loss"]) == pytest.approx(load_image(content).mean(), rel=1e-5)
        assert float(row["style_loss"]) == pytest.approx(load_image(style).mean(), rel=1e-5)
        assert float(row["outside"]) == pytest.approx((i % 3) / 100)


def test_pairs_are_measured_at_one_size_and_judged(engine, pictures, tmp_path):
    """Painted at their own sizes, measured as 32 x 32: the judges see squares of all three."""
    contents = find_images(pictures("contents", "a.png", "b.png"), "content")
    styles = find_images(pictures("styles", "s.png", "t.png"), "style")
    report = evaluate_pairs(
        engine, contents, styles, tmp_path / "out", metrics=FakeMetrics(), measure_size=32
    )
    for i, score in enumerate(report.scores):
        painted = square(load_image(report.files[i]), 32)
        content, style = (
            square(load_image(path), 32) for path in (contents[i // 2], styles[i % 2])
        )
        assert score.content_loss == pytest.approx(content.mean())
        assert score.style_loss == pytest.approx(style.mean())
        wanted = judge(painted, content, patch_projections(style))
        found = score.patches, score.ssim, score.checkerboard
        assert found == pytest.approx(wanted, nan_ok=True)
    assert load_image(report.files[0]).shape == load_image(contents[0]).shape != (32, 32, 3)


def test_size_makes_squares_of_whole_pictures(engine, pictures, tmp_path):
    styles = find_images(pictures("styles", "s.png"), "style")
    half = np.zeros((40, 80, 3), np.uint8)
    half[:, 40:] = 200  # the right half of a wide picture stays half of the square
    contents = pictures("contents", "a.png")
    save_image(contents / "a.png", half)
    report = evaluate_pairs(engine, [contents / "a.png"], styles, tmp_path / "out", size=32)
    picture = load_image(report.files[0])
    assert picture.shape == (32, 32, 3)
    assert picture[:, :14].max() <= 2 and picture[:, 18:].min() >= 98


def test_sheet_shows_no_more_than_the_limit(engine, pictures, tmp_path):
    contents = find_images(pictures("contents", *(f"{i}.png" for i in range(4))), "content")
    styles = find_images(pictures("styles", *(f"{i}.png" for i in range(5))), "style")
    small = evaluate_pairs(engine, contents, styles, tmp_path / "small", limit=2)
    exact = evaluate_pairs(engine, contents[:2], styles[:2], tmp_path / "exact")
    np.testing.assert_array_equal(load_image(small.sheet), load_image(exact.sheet))
    assert len(small.files) == 20


def test_jpeg_output_is_written_as_jpeg(engine, pictures, tmp_path):
    contents = find_images(pictures("contents", "a.png"), "content")
    report = evaluate_pairs(engine, contents, contents, tmp_path / "out", suffix=".jpg")
    assert report.files[0].read_bytes()[:2] == b"\xff\xd8"


class Again:
    """The same evaluation again and again, and the number of pairs that each paints."""

    def __init__(self, engine, pictures, out):
        self.engine, self.out = engine, out
        self.contents = find_images(pictures("contents", "a.png", "b.png", "c.png"), "content")
        self.styles = find_images(pictures("styles", "s.png", "t.png", "u.png"), "style")

    def painted(self, **options):
        before = self.engine.painted
        options = {"metrics": FakeMetrics(), "made_by": {"model": "m"}, **options}
        report = evaluate_pairs(self.engine, self.contents, self.styles, self.out, **options)
        count = self.engine.painted - before
        assert count + report.kept == 9 and len(report.files) == 9
        return count

    def files(self):
        return {p.name: p.read_bytes() for p in self.out.iterdir() if p.name != JOURNAL}


@pytest.fixture
def again(engine, pictures, tmp_path):
    return Again(engine, pictures, tmp_path / "out")


def test_what_is_done_is_not_done_again_unless_something_changed(again):
    assert again.painted() == 9
    files = again.files()
    assert again.painted() == 0 and again.files() == files
    again.files()
    (again.out / "a--t.png").unlink()
    (again.out / "metrics.csv").unlink()
    assert again.painted() == 1 and again.files() == files
    assert again.painted(metrics=None) == 0  # nothing is asked for that is not there
    assert again.painted(overwrite=True) == 9 and again.files() == files
    assert again.painted(made_by={"model": "another"}) == 9 and again.painted() == 9
    assert again.painted(size=32) == 9 and again.painted() == 9
    save_image(again.contents[1], np.zeros((40, 40, 3), np.uint8))
    assert again.painted() == 3
    save_image(again.styles[2], np.zeros((40, 40, 3), np.uint8))
    assert again.painted() == 3 and again.painted() == 0
    other = FakeMetrics()
    other.fingerprint = "another network"
    assert again.painted(metrics=other) == 9


def test_what_stops_in_the_middle_goes_on_and_gives_the_same(again, tmp_path):
    again.out, out = tmp_path / "whole", again.out
    again.painted()
    again.out, expected = out, again.files()
    again.engine.stylize_measured = stopping(again.engine, 5)
    with pytest.raises(KeyboardInterrupt):
        again.painted()
    del again.engine.stylize_measured
    left = again.files()
    assert len(left) == 6 and left.items() < expected.items()
    assert again.painted() == 9 - len(left) and again.files() == expected


@pytest.mark.parametrize("name", ["b--s.png", "contact_sheet.png", "metrics.csv"])
def test_a_users_own_file_is_refused_before_anything_is_painted(again, name):
    again.out.mkdir()
    (again.out / name).write_bytes(b"mine")
    with pytest.raises(UserError, match=rf"^'.*out/{name}' would be written over.*--overwrite\.$"):
        again.painted()
    assert again.engine.painted == 0 and again.files() == {name: b"mine"}
    assert again.painted(overwrite=True) == 9 and again.files()[name] != b"mine"
    # Changed since by somebody: theirs.
    (again.out / name).write_bytes(b"mine again")
    with pytest.raises(UserError, match="would be written over"):
        again.painted()


def test_a_full_disk_names_the_file(again, monkeypatch):
    def full(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(UserError, match=r"^'.*out/a--s.png' cannot be written \(No space left"):
        again.painted()
    assert again.files() == {}


def test_wrong_paths_are_one_sentence(pictures, tmp_path):
    with pytest.raises(UserError, match="there is no style"):
        find_images(tmp_path / "nowhere", "style")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no pictures"):
        find_images(tmp_path / "empty", "content")
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"x")
    with pytest.raises(UserError, match=r"bad\.png"):
        list(read_images(find_images(bad, "content")))
    for i in range(21):
        (tmp_path / f"empty/{i}.png").write_bytes(b"x")
    words = r"none of 21 pictures is usable: '.*/0.png', .*/19.png' and 1 more \(the first: .*\)\.$"
    with pytest.raises(UserError, match=words):
        list(read_images(find_images(tmp_path / "empty", "content")))
    with pytest.raises(UserError, match="must be 32 to 9459 pixels, not 8"):
        list(read_images([bad], 8))


def test_no_more_pictures_are_read_than_asked_for(tmp_path):
    pixels = np.full((40, 40, 3), 128, np.uint8)
    paths = [tmp_path / f"{name}.png" for name in ("bad", "one", "two", "never")]
    paths[0].write_bytes(b"none")
    for path in paths[1:3]:
        save_image(path, pixels)
    said = []
    # The last is not there: reading it would be told.
    assert [x.name for x in read_images(paths, warn=said.append, most=2)] == ["one", "two"]
    assert len(said) == 1 and "skipped 1 of 4" in said[0] and "bad.png" in said[0]
