"""LPIPS against a slow NumPy reference, and its files, known before they are read."""

import hashlib

import numpy as np
import pytest

from din_jax.data.decoding import save_image
from din_jax.evaluation.perceptual import LPIPS, PADDINGS, POOLED, SCALE, SHIFT, STRIDES
from din_jax.evaluation.pictures import Named
from din_jax.evaluation.ruler import Ruler
from din_jax.evaluation.summary import Program, legend, summarize
from din_jax.weights import lpips as files
from din_jax.weights.errors import WeightsError
from din_jax.weights.lpips import LPIPSWeights, find_lpips
from tests.weights.conftest import zip_pth

WIDTHS = (3, 4, 5, 6, 5, 4)


@pytest.fixture
def weights():
    rng = np.random.default_rng(0)
    sides = (11, 5, 3, 3, 3)
    convolutions = tuple(
        (
            rng.normal(0, (2 / (k * k * i)) ** 0.5, (k, k, i, o)).astype(np.float32),
            rng.normal(0, 0.1, o).astype(np.float32),
        )
        for k, i, o in zip(sides, WIDTHS, WIDTHS[1:], strict=False)
    )
    return LPIPSWeights(
        convolutions, tuple(rng.uniform(0, 1, o).astype(np.float32) for o in WIDTHS[1:])
    )


def windows(x, side, stride):
    """[h, w, side, side, C] of every place, float64."""
    rows, columns = ((n - side) // stride + 1 for n in x.shape[:2])
    return np.array(
        [
            [x[i * stride : i * stride + side, j * stride : j * stride + side]
             for j in range(columns)]
            for i in range(rows)
        ]
    )  # fmt: skip


def slow_features(weights, image):
    x = (2 * (image / 255.0) - 1 - np.array(SHIFT)) / np.array(SCALE)
    for (kernel, bias), stride, padding, pooled in zip(
        weights.convolutions, STRIDES, PADDINGS, POOLED, strict=True
    ):
        if pooled:
            x = windows(x, 3, 2).max((2, 3))
        x = np.pad(x, ((padding, padding), (padding, padding), (0, 0)))
        x = np.einsum("hwijc,ijco->hwo", windows(x, len(kernel), stride), kernel) + bias
        x = np.maximum(x, 0)
        yield x


def slow_distance(weights, a, b):
    total = 0.0
    pairs = zip(slow_features(weights, a), slow_features(weights, b), weights.heads, strict=True)
    for x, y, head in pairs:
        x, y = (z / (np.linalg.norm(z, axis=-1, keepdims=True) + 1e-10) for z in (x, y))
        total += ((x - y) ** 2 @ head).mean()
    return total


def test_it_equals_a_slow_reference_and_is_zero_for_the_picture_itself(weights):
    a, b = np.random.default_rng(1).integers(0, 256, (2, 67, 45, 3), np.uint8)
    distance, expected = LPIPS(weights), slow_distance(weights, a, b)
    assert expected > 0.1 and distance(a, b) == pytest.approx(expected, rel=1e-4)
    assert distance(a, a) == 0 and distance(b, a) == pytest.approx(expected, rel=1e-4)
    assert np.isnan(distance(a[:30], b[:30]))


def fake_files(folder, monkeypatch):
    """Files of the published names and shapes, but for their widths, taken for the published."""
    table, before = [], 3
    for i, side, _, outputs in files.CONVOLUTIONS:
        table.append((i, side, before, outputs // 32))
        before = outputs // 32
    monkeypatch.setattr(files, "CONVOLUTIONS", tuple(table))
    rng = np.random.default_rng(2)
    network, heads = {}, {}
    for k, (i, side, inputs, outputs) in enumerate(table):
        shape = (outputs, inputs, side, side)
        network[f"features.{i}.weight"] = rng.normal(size=shape).astype(np.float32)
        network[f"features.{i}.bias"] = rng.normal(size=outputs).astype(np.float32)
        heads[f"lin{k}.model.1.weight"] = rng.random((1, outputs, 1, 1), np.float32)
    network["classifier.1.weight"] = np.zeros((2, 2), np.float32)
    folder.mkdir()
    for name, root, constant in (
        (files.ALEXNET, network, "ALEXNET_SHA256"), (files.HEADS, heads, "HEADS_SHA256"),
    ):  # fmt: skip
        data = zip_pth(root)
        (folder / name).write_bytes(data)
        monkeypatch.setattr(files, constant, hashlib.sha256(data).hexdigest()[:8])
    return network, heads


def test_published_files_are_read_and_others_refused(tmp_path, monkeypatch):
    folder = tmp_path / "lpips"
    network, heads = fake_files(folder, monkeypatch)
    found = find_lpips(folder)
    for k, (i, *_) in enumerate(files.CONVOLUTIONS):
        kernel, bias = found.convolutions[k]
        np.testing.assert_array_equal(kernel.transpose(3, 2, 0, 1), network[f"features.{i}.weight"])
        np.testing.assert_array_equal(bias, network[f"features.{i}.bias"])
        np.testing.assert_array_equal(found.heads[k], heads[f"lin{k}.model.1.weight"].ravel())
    image = np.random.default_rng(3).integers(0, 256, (2, 40, 40, 3), np.uint8)
    assert LPIPS(found)(*image) > 0
    changed = bytearray((folder / files.HEADS).read_bytes())
    changed[len(changed) // 2] ^= 1
    (folder / files.HEADS).write_bytes(changed)
    with pytest.raises(WeightsError, match="was published; fetch it again"):
        find_lpips(folder)
    (folder / files.HEADS).unlink()
    with pytest.raises(WeightsError, match=r"but alex\.pth is not there; put alexnet-owt"):
        find_lpips(folder)


def test_where_nobody_put_them_they_are_none(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert find_lpips() is None


def test_the_ruler_measures_it_to_the_content_where_weights_are(weights, narrow_vgg, tmp_path):
    content, style, other = np.random.default_rng(4).integers(0, 256, (3, 32, 32, 3), np.uint8)
    ruler = Ruler(
        narrow_vgg, [Named("c", content)], [Named("s", style)], size=32, lpips=weights
    )
    for name, image in (("same", content), ("other", other)):
        save_image(tmp_path / f"{name}.png", image)
    found = ruler.measure({name: [[tmp_path / f"{name}.png"]] for name in ("same", "other")})
    assert found["same"]["lpips"].tolist() == [[0.0]]
    expected = slow_distance(weights, other, content)
    assert found["other"]["lpips"][0, 0] == pytest.approx(expected, rel=1e-4)
    rows = summarize([Program(name, numbers) for name, numbers in found.items()])
    assert "LPIPS: perceptual" in "\n".join(legend(rows))
    del found["same"]["lpips"]
    without = "\n".join(legend(summarize([Program("same", found["same"])])))
    assert "LPIPS is left out" in without and "\nFID is left out" in without
