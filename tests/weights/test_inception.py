"""The published file of FID's network: known, read, and its batch norms folded."""

import hashlib
import math

import numpy as np
import pytest
from safetensors.numpy import save_file

from din_jax.models.inception import unit_shapes
from din_jax.weights import inception as files
from din_jax.weights.errors import WeightsError
from din_jax.weights.inception import find_art_inception, find_inception
from tests.weights.conftest import zip_pth


def test_the_layers_are_those_of_the_published_network():
    """94 convolutions and batch norms of 21,785,568 parameters, as torchvision counts them."""
    shapes = unit_shapes()
    assert len(shapes) == 94
    assert sum(math.prod(x) + 2 * x[-1] for x in shapes.values()) == 23_834_568 - 2049 * 1000
    assert shapes["Mixed_5b.branch_pool"] == (1, 1, 192, 32)
    assert shapes["Mixed_6c.branch7x7_2"] == (1, 7, 160, 160)
    assert shapes["Mixed_7c.branch1x1"] == (1, 1, 2048, 320)


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A file of two convolutions and a layer that is not read, taken for the published one."""
    shapes = {"first": (3, 3, 3, 4), "block.second": (1, 7, 4, 5)}
    monkeypatch.setattr(files, "unit_shapes", lambda: shapes)
    rng = np.random.default_rng(0)
    root = {"fc.weight": np.zeros((2, 2), np.float32)}
    for name, (h, w, inputs, outputs) in shapes.items():
        root[f"{name}.conv.weight"] = rng.normal(size=(outputs, inputs, h, w)).astype(np.float32)
        for part in files.NORM:
            root[f"{name}.bn.{part}"] = rng.uniform(0.5, 2, outputs).astype(np.float32)
    data = zip_pth(root)
    monkeypatch.setattr(files, "SHA256", hashlib.sha256(data).hexdigest()[:8])
    path = tmp_path / files.FILE
    path.write_bytes(data)
    return path, root


def test_a_batch_norm_is_in_the_kernel_before_it(file):
    path, root = file
    found = find_inception(path)
    assert found.keys() == {"first", "block.second"}
    rng = np.random.default_rng(1)
    for name, p in found.items():
        kernel = root[f"{name}.conv.weight"].astype(np.float64)
        patch = rng.normal(size=kernel.shape[1:])
        weight, bias, mean, variance = (root[f"{name}.bn.{part}"] for part in files.NORM)
        expected = (np.einsum("oihw,ihw->o", kernel, patch) - mean) / np.sqrt(variance + 1e-3)
        again = np.einsum("hwio,ihw->o", p["kernel"], patch) + p["bias"]
        np.testing.assert_allclose(again, expected * weight + bias, rtol=1e-5, atol=1e-5)


def test_the_network_of_artfid_is_read_of_safetensors_alone(file, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path, root = file
    assert find_art_inception() is None
    with pytest.raises(WeightsError, match="art_inception.pth; make the file of them: python -c"):
        find_art_inception(tmp_path / "none")
    with pytest.raises(WeightsError, match="is a PyTorch file, and pickles that are not known"):
        find_art_inception(path)
    saved = tmp_path / files.ART_FILE
    save_file(root, saved)
    found, wanted = find_art_inception(saved), find_inception(path)
    for name, p in wanted.items():
        for part in p:
            np.testing.assert_array_equal(found[name][part], p[part])
    save_file({k: v for k, v in root.items() if k != "first.bn.bias"}, saved)
    with pytest.raises(WeightsError, match="first.bn.bias is missing"):
        find_art_inception(saved)


def test_another_file_is_refused_and_none_is_none(file, tmp_path, monkeypatch):
    path, _ = file
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert find_inception() is None
    with pytest.raises(WeightsError, match="no file .* the weights of FID are at https://"):
        find_inception(tmp_path / "none.pth")
    changed = bytearray(path.read_bytes())
    changed[len(changed) // 2] ^= 1
    path.write_bytes(changed)
    with pytest.raises(WeightsError, match="was published; fetch it again"):
        find_inception(path)
