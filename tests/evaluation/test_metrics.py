"""Losses against a slow NumPy VGG, spread and tables against hand-computed numbers."""

import csv
import math

import numpy as np
import pytest

from din_jax.evaluation.metrics import (
    PairScore,
    PerceptualMetrics,
    csv_of,
    output_spread,
    spread_over_styles,
    table,
    totals,
)
from din_jax.weights.errors import WeightsError
from din_jax.weights.vgg19 import VGGWeights

STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")


def slow_features(weights, image):
    """Float64, one image, one tap at a time: layer -> [h, w, C]."""
    p = weights.preprocessing
    x = (image.astype(np.float64) / 255 * p.scale - np.array(p.mean)) / np.array(p.std)
    x = x[..., ::-1] if p.bgr else x
    features = {}
    for name, layer in weights.params.items():
        if name.endswith("_1") and name != "conv1_1":
            h, w = x.shape[0] // 2, x.shape[1] // 2
            x = x[: 2 * h, : 2 * w].reshape(h, 2, w, 2, -1).max((1, 3))
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)), mode="reflect")
        x = layer["bias"] + sum(
            padded[i : i + x.shape[0], j : j + x.shape[1]] @ layer["kernel"][i, j].astype(float)
            for i in range(3)
            for j in range(3)
        )
        x = np.maximum(x, 0)
        features[name.replace("conv", "relu")] = x
    return features


def slow_losses(weights, stylized, content, style):
    a, b, c = (slow_features(weights, x) for x in (stylized, content, style))
    content_loss = ((a["relu4_1"] - b["relu4_1"]) ** 2).mean()
    by_layer = []
    for name in STYLE:
        means = [x[name].mean((0, 1)) for x in (a, c)]
        stds = [np.sqrt(x[name].var((0, 1)) + 1e-5) for x in (a, c)]
        by_layer.append(np.square(means[0] - means[1]).mean() + np.square(stds[0] - stds[1]).mean())
    return content_loss, np.mean(by_layer)


def test_losses_equal_a_slow_reference_pair_by_pair(narrow_vgg):
    rng = np.random.default_rng(1)
    contents = [rng.integers(0, 256, (*s, 3), np.uint8) for s in ((25, 34), (32, 20), (25, 34))]
    stylized = [rng.integers(50, 256, x.shape, np.uint8) for x in contents]
    styles = [rng.integers(0, 200, (*s, 3), np.uint8) for s in ((18, 40), (30, 30), (18, 40))]
    metrics = PerceptualMetrics(narrow_vgg, batch=2)
    got = metrics.losses(
        stylized, metrics.content_targets(contents), metrics.style_targets(styles)
    )
    expected = [
        slow_losses(narrow_vgg, *triple) for triple in zip(stylized, contents, styles, strict=True)
    ]
    np.testing.assert_allclose(got, expected, rtol=1e-4)


def test_losses_vanish_for_the_image_itself_and_only_then(narrow_vgg):
    rng = np.random.default_rng(2)
    a, b = rng.integers(0, 256, (2, 24, 24, 3), np.uint8)
    metrics = PerceptualMetrics(narrow_vgg)
    content, style = metrics.content_targets([a])[0], metrics.style_targets([a])[0]
    (same, other) = metrics.losses([a, b], [content] * 2, [style] * 2)
    # Zero but for float32 rounding, whose square the losses are.
    assert min(other) > 1e-3 and max(same) < 1e-8 * min(other) + 1e-8
    mirrored = metrics.losses([a[:, ::-1]], [content], [style])[0]
    assert mirrored[0] > 1e-3  # content has a place, style has not


def test_weights_that_end_early_are_refused(narrow_vgg):
    params = {k: v for k, v in narrow_vgg.params.items() if k != "conv4_1"}
    short = VGGWeights(params, narrow_vgg.preprocessing, tuple(params))
    with pytest.raises(WeightsError, match="lack relu4_1"):
        PerceptualMetrics(short)


def test_spread_is_the_deviation_over_styles():
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (2, 5, 6, 7, 3), np.uint8)
    assert output_spread(images) == pytest.approx((images / 255.0).std(1).mean(), abs=1e-12)
    blind = [[image] * 4 for image in images[:, 0]]
    assert output_spread(blind) == pytest.approx(0, abs=1e-7)
    assert math.isnan(spread_over_styles(images[0, :1]))
    black_and_white = [np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)]
    assert output_spread([black_and_white]) == 0.5


SCORES = [
    PairScore("a", "x", 1.0, 0.5, 0.0),
    PairScore("a", "y,z", 2.0, 0.25, 0.01),
    PairScore("b", "x", 4.0, 1.5, 0.02),
]


def test_totals_are_means_over_pairs():
    got = totals(SCORES, 0.125)
    assert got == pytest.approx(
        {
            "pairs": 3,
            "content_loss": 7 / 3,
            "style_loss": 0.75,
            "outside": 0.01,
            "patches": math.nan,
            "ssim": math.nan,
            "checkerboard": math.nan,
            "output_spread": 0.125,
        },
        nan_ok=True,
    )


def test_csv_holds_every_pair_and_the_means():
    rows = list(csv.DictReader(csv_of(SCORES, 0.125).splitlines()))
    assert [(r["content"], r["style"]) for r in rows[:-1]] == [("a", "x"), ("a", "y,z"), ("b", "x")]
    assert [float(r["content_loss"]) for r in rows] == pytest.approx([1, 2, 4, 7 / 3], rel=1e-5)
    assert [float(r["style_loss"]) for r in rows] == pytest.approx([0.5, 0.25, 1.5, 0.75])
    assert [r["output_spread"] for r in rows] == ["", "", "", "0.125"]
    assert (rows[-1]["content"], rows[-1]["style"]) == ("mean", "3 pairs")


def test_table_gives_means_per_style_and_over_all():
    lines = table(SCORES, 0.125).splitlines()
    assert lines[1].split() == ["x", "2", "2.5000", "1.0000", "1.000", "%"]
    assert lines[2].split() == ["y,z", "1", "2.0000", "0.2500", "1.000", "%"]
    assert lines[3].split() == ["all", "3", "2.3333", "0.7500", "1.000", "%"]
    assert "spread" in lines[4] and "0.1250" in lines[4]
    assert "spread" not in table(SCORES) and "SSIM" not in lines[0]
    judged = table([PairScore("a", "x", 1.0, 0.5, 0.0, 7.25, 0.5, 1.5)]).splitlines()
    assert judged[0].split()[-3:] == ["patches", "SSIM", "checkerboard"]
    assert judged[1].split()[-3:] == ["7.250", "0.500", "1.500"]
