"""CFSD against a slow NumPy reference, and what it does not see."""

import numpy as np
import pytest

from din_jax.evaluation.metrics import PerceptualMetrics
from din_jax.evaluation.structure import structural_distance
from tests.evaluation.test_metrics import STYLE, slow_features


def slow_distance(content, stylized):
    """Float64, one place at a time."""
    maps = [x.reshape(-1, x.shape[-1]).astype(np.float64) for x in (content, stylized)]
    maps = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in maps]
    total = 0.0
    for i in range(len(maps[0])):
        p, q = (np.exp(x @ x[i]) / np.exp(x @ x[i]).sum() for x in maps)
        total += (p * np.log(p / q)).sum()
    return total / len(maps[0])


def maps(seed, *shapes):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(np.float32) for shape in shapes]


def test_it_equals_a_slow_reference():
    content, stylized = maps(0, (5, 7, 6), (5, 7, 6))
    expected = slow_distance(content, stylized)
    assert expected > 1e-2
    assert float(structural_distance(content, stylized)) == pytest.approx(expected, rel=1e-5)


def test_it_sees_places_not_channels_or_scale():
    """The same map with its channels turned and enlarged has the same structure."""
    content, other = maps(1, (6, 5, 4), (6, 5, 4))
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(4, 4)))[0].astype(np.float32)
    assert abs(float(structural_distance(content, 30 * content @ turn))) < 1e-6
    assert float(structural_distance(content, content[:, ::-1])) > 1e-2
    assert float(structural_distance(content, other)) > 1e-2


def test_places_of_no_feature_are_no_nan():
    empty = np.zeros((3, 3, 4), np.float32)
    assert float(structural_distance(empty, empty)) == 0
    with pytest.raises(ValueError, match="one shape"):
        structural_distance(empty, np.zeros((3, 4, 4), np.float32))


def test_metrics_give_gram_and_cfsd_of_each_pair(narrow_vgg):
    rng = np.random.default_rng(3)
    contents = [rng.integers(0, 256, (*s, 3), np.uint8) for s in ((24, 36), (32, 20))]
    stylized = [rng.integers(50, 256, x.shape, np.uint8) for x in contents]
    styles = [rng.integers(0, 200, (*s, 3), np.uint8) for s in ((18, 40), (30, 30))]
    metrics = PerceptualMetrics(narrow_vgg, batch=2, more=True)
    assert metrics.names == ("content_loss", "style_loss", "gram", "cfsd")
    got = metrics.losses(
        stylized, metrics.content_targets(contents), metrics.style_targets(styles)
    )
    plain = PerceptualMetrics(narrow_vgg, batch=2)
    base = plain.losses(stylized, plain.content_targets(contents), plain.style_targets(styles))
    for row, two, image, content, style in zip(got, base, stylized, contents, styles, strict=True):
        a, b, c = (slow_features(narrow_vgg, x) for x in (image, content, style))
        by_layer = []
        for name in STYLE:
            grams = [
                np.einsum("hwi,hwj->ij", x[name], x[name]) / x[name].size for x in (a, c)
            ]
            by_layer.append(np.square(grams[0] - grams[1]).mean())
        expected = (*two, np.mean(by_layer), slow_distance(b["relu3_1"], a["relu3_1"]))
        np.testing.assert_allclose(row, expected, rtol=2e-4)
