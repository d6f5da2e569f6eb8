"""What figures measure, on pictures whose answer is known."""

import numpy as np
import pytest

from din_jax.evaluation.paper import table1
from din_jax.evaluation.paper.contrast import with_contrast
from din_jax.evaluation.paper.fig6 import before_a_ground, object_mask, shares, stroke_distance
from din_jax.evaluation.paper.fig8 import series
from din_jax.evaluation.paper.sheets import bars, curves, titled


def stripes(size, period):
    wave = np.round(127.5 + 100 * np.sin(2 * np.pi * np.arange(size) / period))
    return np.broadcast_to(wave[:, None, None], (size, size, 3)).astype(np.uint8)


def test_stroke_distance_is_of_scale_and_place():
    mask = object_mask(128)
    assert 0.25 < mask.mean() < 0.4 and mask[64, 64] and not mask[4, 4]
    fine, coarse = stripes(128, 3), stripes(128, 14)
    both = np.where(mask[..., None], fine, coarse)
    assert stroke_distance(fine, mask) < 0.05 and stroke_distance(coarse, mask) < 0.1
    assert stroke_distance(both, mask) > 0.5
    everywhere = np.ones((128, 128), bool)
    assert shares(fine, everywhere).argmax() == 0 and shares(coarse, everywhere).argmax() > 0
    assert shares(fine, everywhere).sum() == pytest.approx(1)


def test_an_object_is_sharp_before_a_blurred_ground():
    fine = stripes(128, 3)
    composed = before_a_ground(fine, fine)
    mask = object_mask(128)
    np.testing.assert_allclose(composed[64, 50:70], fine[64, 50:70], atol=1)
    assert composed[~mask].std() < 0.5 * fine[~mask].std()


def test_contrast_is_about_gray():
    image = np.array([[[0, 255, 128]]], np.uint8)
    np.testing.assert_array_equal(with_contrast(image, 1.0), image)
    assert with_contrast(image, 0.5).tolist() == [[[64, 191, 128]]]


def test_series_are_at_the_steps_that_all_runs_have(tmp_path):
    for name, steps in (("a", (10, 20, 30)), ("b", (10, 30, 40))):
        (tmp_path / name).mkdir()
        rows = [f"{step},train/style,{step + len(name)}" for step in steps]
        (tmp_path / name / "metrics.csv").write_text("\n".join(["step,name,value", *rows, ""]))
    steps, values = series([tmp_path / "a", tmp_path / "b"], "train/style")
    assert steps.tolist() == [10, 30] and values.tolist() == [[11, 31], [11, 31]]


def test_pictures_of_figures_are_pictures():
    lines = {"DIN": (np.array([1, 2, 3]), np.array([[3.0, 2, 1], [4.0, 2, 1.5]]))}
    for image in (
        curves({"one": lines, "two": lines}, "loss"),
        bars({"x": {"paper": 1e9, "counted": 2e9}}, "operations"),
        titled({"content": [np.zeros((64, 64, 3), np.uint8)], "two\nlines": [None]}),
    ):
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        assert len(np.unique(image)) > 2


def test_table_1_is_the_papers_and_twenty_is_not_its_own():
    result = table1.make(None)
    of_table, of_twenty = result.verdicts
    assert of_table.found == "confirmed" and of_twenty.found == "not confirmed"
    # (63.44 + 63.36) / (3.62 + 3.72) of the paper's own figures.
    assert "17.3 times" in of_twenty.reason and "holds for WCT" in of_twenty.reason
    assert {row["model"] for row in result.numbers} >= {"WCT", "DIN (MobileNet)"}
