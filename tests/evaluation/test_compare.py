"""The comparison sheet holds each model's own pictures, in the order of its headings."""

import numpy as np
import pytest

from din_jax.data.decoding import load_image
from din_jax.data.sheets import CELL, GAP
from din_jax.evaluation.compare import HEADING, heading, main, paint, paired, score
from din_jax.evaluation.metrics import PerceptualMetrics
from din_jax.evaluation.pictures import Named
from din_jax.inference.engine import Engine
from din_jax.weights.models import load_model


def named(letters):
    rng = np.random.default_rng(0)
    return [Named(x, rng.integers(0, 256, (33, 40, 3), np.uint8)) for x in letters]


def names(pairs):
    return [content.name + style.name for content, style in pairs]


def test_the_shorter_list_is_repeated():
    assert names(paired(named("abcde"), named("xy"))) == ["ax", "by", "cx", "dy", "ex"]
    assert names(paired(named("a"), named("xyz"))) == ["ax", "ay", "az"]


def test_a_heading_is_dark_text_in_the_middle():
    image = heading("style")
    assert image.shape == (HEADING, CELL, 3) and image.dtype == np.uint8
    columns = np.flatnonzero((image < 128).any((0, 2)))
    assert abs(columns.mean() - CELL / 2) < 6 and 10 < np.ptp(columns) < 60
    assert heading("x" * 200).shape == image.shape


def test_columns_are_content_style_and_each_models_picture(model_file, pictures, tmp_path, capsys):
    contents = pictures("contents", "a.png", "b.png")
    styles = pictures("styles", "s.png")
    copy = tmp_path / "again.safetensors"
    copy.write_bytes(model_file.read_bytes())
    out = tmp_path / "sheet.png"
    flags = ["--content", str(contents), "--style", str(styles), "--output", str(out)]
    main([str(model_file), str(copy), *flags])
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said] == ["tiny.safetensors", "again.safetensors", str(out)]
    sheet = load_image(out)
    engine = Engine(load_model(model_file), batch=1)
    content, style = load_image(contents / "a.png"), load_image(styles / "s.png")
    (expected,) = paint(engine, [(Named("a", content), Named("s", style))])
    h, w = expected.shape[:2]
    # Cells are as wide as the widest of their column, which is the heading.
    top = HEADING + 2 * GAP + (sheet.shape[0] - HEADING - 4 * GAP) // 2 // 2 - h // 2
    for column, picture in ((0, content), (2, expected), (3, expected)):
        left = GAP + column * (CELL + GAP) + (CELL - w) // 2
        np.testing.assert_array_equal(sheet[top : top + h, left : left + w], picture)


def test_names_stand_for_pictures_that_may_not_be_passed_on(model_file, pictures, tmp_path):
    contents, styles = pictures("contents", "a.png"), pictures("styles", "s.png")
    sheets = []
    for extra in ([], ["--names"]):
        out = tmp_path / f"sheet{len(extra)}.png"
        flags = ["--content", str(contents), "--style", str(styles), "--output", str(out)]
        main([str(model_file), *flags, *extra])
        sheets.append(load_image(out).astype(int))
    shown, named_only = sheets
    assert shown.shape[1] - named_only.shape[1] == CELL + GAP
    # The first column has no color, the model's is the same.
    first = named_only[:, : GAP + CELL]
    assert np.ptp(first, axis=2).max() == 0 and first.min() < 128
    last = np.s_[HEADING + GAP :, -CELL - GAP :]
    np.testing.assert_array_equal(
        np.unique(shown[last].reshape(-1, 3), axis=0),
        np.unique(named_only[last].reshape(-1, 3), axis=0),
    )


def test_scores_are_means_of_each_pair_alone(model_file, narrow_vgg):
    engine = Engine(load_model(model_file), batch=1, style_size=0)
    metrics = PerceptualMetrics(narrow_vgg, batch=2)
    pairs = paired(named("ab"), named("xy"))
    together = score(engine, pairs, paint(engine, pairs), metrics)
    alone = [score(engine, [pair], paint(engine, [pair]), metrics) for pair in pairs]
    assert together["pairs"] == 2
    for name in ("content_loss", "style_loss"):
        assert together[name] == pytest.approx(np.mean([x[name] for x in alone]), rel=1e-5)
        assert alone[0][name] != pytest.approx(alone[1][name], rel=1e-3)


@pytest.mark.parametrize(
    "changes,words",
    [
        ({"--limit": "0"}, "--limit must be at least 1"),
        ({"--output": "sheet.txt"}, "must end in .png or .jpg, not 'sheet.txt'"),
        ({"--content": "nowhere"}, "there is no content 'nowhere'"),
    ],
)
def test_mistakes_are_one_sentence(model_file, pictures, tmp_path, capsys, changes, words):
    flags = {
        "--content": str(pictures("contents", "a.png")),
        "--style": str(pictures("styles", "s.png")),
        "--output": str(tmp_path / "sheet.png"),
    } | changes
    assert main([str(model_file), *[word for pair in flags.items() for word in pair]]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ") and words in message and message.count("\n") == 1
    assert not (tmp_path / "sheet.png").exists()
