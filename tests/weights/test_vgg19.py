"""Every layout of VGG-19 gives the same network, and a wrong file is told all that is wrong."""

import hashlib

import numpy as np
import pytest
from safetensors.numpy import save_file

from din_jax.models.vgg import conv_shapes
from din_jax.ops.preprocessing import CAFFE, TORCHVISION, Preprocessing
from din_jax.weights import (
    VGGWeights,
    WeightsError,
    WeightsNotFound,
    find,
    load_vgg19,
    names,
    require_layers,
    save_vgg19,
)

# Counted by hand in torchvision's configuration "E" and in pytorch-AdaIN's list of modules.
TORCHVISION_INDICES = [0, 2, 5, 7, 10, 12, 14, 16, 19, 21, 23, 25, 28, 30, 32, 34]
ADAIN_INDICES = [2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42, 45, 48, 51]
ADAIN_KERNEL = np.array([[0, 0, 255], [0, 255, 0], [255, 0, 0]], np.float32)[:, :, None, None]
ADAIN_BIAS = -np.array([103.939, 116.779, 123.68], np.float32)


def numbered(narrow, indices, prefix=""):
    """State dict in PyTorch's names of as many convolutions as there are indices."""
    arrays = {}
    for index, (kernel, bias) in zip(indices, narrow.values(), strict=False):
        arrays[f"{prefix}{index}.weight"], arrays[f"{prefix}{index}.bias"] = kernel, bias
    return arrays


def ours(narrow, count=16):
    arrays = {}
    for name, (kernel, bias) in list(narrow.items())[:count]:
        arrays[f"{name}_kernel"] = kernel.transpose(2, 3, 1, 0)
        arrays[f"{name}_bias"] = bias
    return arrays


@pytest.fixture
def load(tmp_path, make, monkeypatch):
    """Writes arrays in a kind of file and loads them."""

    def write_and_load(arrays, kind="npz", **arguments):
        path = tmp_path / f"weights.{kind}"
        if kind == "npz":
            np.savez(path, **arrays)
        elif kind == "safetensors":
            save_file({name: np.ascontiguousarray(a) for name, a in arrays.items()}, path)
        else:
            path.write_bytes({"zip": make.zip, "legacy": make.legacy}[kind](arrays))
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            monkeypatch.setitem(find.PUBLISHED, digest, "as if published")
        return load_vgg19(path, **arguments)

    return write_and_load


def refusal(load, arrays, kind="npz"):
    with pytest.raises(WeightsError) as caught:
        load(arrays, kind)
    message = str(caught.value)
    assert "\n" not in message
    return message


def assert_same_network(weights, narrow, count=16):
    expected = list(narrow)[:count]
    assert list(weights.layers) == list(weights.params) == expected
    for name in expected:
        kernel, bias = narrow[name]
        layer = weights.params[name]
        for i, j in np.ndindex(3, 3):
            np.testing.assert_array_equal(layer["kernel"][i, j], kernel[:, :, i, j].T)
        np.testing.assert_array_equal(layer["bias"], bias)
        assert layer["kernel"].dtype == layer["bias"].dtype == np.float32


def test_the_table_is_vgg19():
    assert len(names.CHANNELS) == 16
    shapes = {name: (3, 3, i, o) for name, (i, o) in names.CHANNELS.items()}
    assert shapes == conv_shapes()
    # What torchvision's features hold in all.
    assert sum(9 * i * o + o for i, o in names.CHANNELS.values()) == 20_024_384


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors", "npz"])
@pytest.mark.parametrize("prefix", ["features.", ""])
def test_torchvision_names_in_any_file(load, narrow, kind, prefix):
    arrays = numbered(narrow, TORCHVISION_INDICES, prefix)
    arrays["classifier.0.weight"] = np.ones((2, 2), np.float32)
    weights = load(arrays, kind)
    assert_same_network(weights, narrow)
    assert weights.preprocessing == TORCHVISION and weights.note == ""


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors", "npz"])
def test_adain_names_and_its_first_convolution(load, narrow, kind):
    arrays = {"0.weight": ADAIN_KERNEL, "0.bias": ADAIN_BIAS} | numbered(narrow, ADAIN_INDICES)
    weights = load(arrays, kind)
    assert_same_network(weights, narrow)
    assert weights.preprocessing == CAFFE


@pytest.mark.parametrize("flip", [True, False])
def test_a_first_convolution_of_one_tap_per_channel_becomes_the_preprocessing(load, narrow, flip):
    kernel = np.diag(np.array([2, 3, 4], np.float32))
    kernel = kernel[:, ::-1] if flip else kernel
    bias = np.array([-1, 0.5, 2], np.float32)
    arrays = {"0.weight": kernel[:, :, None, None], "0.bias": bias}
    weights = load(arrays | numbered(narrow, ADAIN_INDICES))
    image = np.random.default_rng(2).random((1, 4, 5, 3), np.float32)
    expected = np.einsum("bhwi,oi->bhwo", image, kernel) + bias
    np.testing.assert_allclose(weights.preprocessing(image), expected, rtol=1e-5, atol=1e-5)


def test_a_first_convolution_that_mixes_channels_is_refused(load, narrow):
    arrays = {"0.weight": ADAIN_KERNEL + 1, "0.bias": ADAIN_BIAS}
    assert "1x1" in refusal(load, arrays | numbered(narrow, ADAIN_INDICES))
    del arrays["0.bias"]
    assert "0.bias" in refusal(load, arrays | numbered(narrow, ADAIN_INDICES))


@pytest.mark.parametrize("kind", ["safetensors", "npz"])
def test_own_names_with_a_blue_first_mean(load, narrow, kind):
    mean = np.array([10, 20, 30], np.float32)
    weights = load(ours(narrow) | {"mean_bgr": mean}, kind)
    assert_same_network(weights, narrow)
    image = np.random.default_rng(3).random((1, 2, 2, 3), np.float32)
    expected = image[..., ::-1] * 255 - mean
    np.testing.assert_allclose(weights.preprocessing(image), expected, rtol=1e-5, atol=1e-5)


def test_without_preprocessing_the_note_says_what_is_assumed(load, narrow):
    weights = load(ours(narrow))
    assert weights.preprocessing == TORCHVISION and "assumed" in weights.note
    assert load(ours(narrow), preprocessing=CAFFE).preprocessing == CAFFE


def test_rebuilt_taps_are_noted(load, narrow):
    taps = np.zeros((3, 3), bool)
    taps[2, 2] = True
    extra = {"mean_bgr": np.zeros(3, np.float32), "conv4_1_exact_taps": taps}
    assert load(ours(narrow) | extra).note == "conv4_1 rebuilt from 8 bit in 8 of 9 taps"
    extra["conv4_1_exact_taps"] = np.ones((3, 3), bool)
    assert load(ours(narrow) | extra).note == ""


@pytest.mark.parametrize("count", range(1, 17))
def test_a_file_may_end_after_any_convolution(load, narrow, count):
    assert_same_network(load(ours(narrow, count)), narrow, count)
    indices = ADAIN_INDICES[:count]
    arrays = {"0.weight": ADAIN_KERNEL, "0.bias": ADAIN_BIAS} | numbered(narrow, indices)
    assert_same_network(load(arrays), narrow, count)


def test_half_precision_is_widened(load, narrow):
    arrays = {name: a.astype(np.float16) for name, a in ours(narrow).items()}
    weights = load(arrays)
    kernel = weights.params["conv1_1"]["kernel"]
    assert kernel.dtype == np.float32
    np.testing.assert_array_equal(kernel, arrays["conv1_1_kernel"])


def test_all_that_is_wrong_is_named_at_once(load, narrow):
    arrays = numbered(narrow, TORCHVISION_INDICES, "features.")
    del arrays["features.5.weight"], arrays["features.34.bias"]
    arrays["features.10.bias"] = np.ones(3, np.float32)
    arrays["features.14.weight"] = arrays["features.14.weight"] * np.float32(np.nan)
    arrays["features.16.bias"] = np.ones(4, np.int64)
    arrays["extra"] = np.ones(1, np.float32)
    message = refusal(load, arrays, "zip")
    assert "features.5.weight (conv2_1's kernel) is missing" in message
    assert "features.34.bias (conv5_4's bias) is missing" in message
    assert "features.10.bias (conv3_1's bias) has shape (3,) where (4,) belongs" in message
    assert "features.14.weight (conv3_3's kernel) holds infinite" in message
    assert "features.16.bias (conv3_4's bias) holds int64" in message
    assert "extra is unexpected" in message
    assert message.count("features.") == 5


def test_other_networks_are_refused(load, narrow):
    vgg16 = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]
    message = refusal(load, numbered(narrow, vgg16, "features."))
    assert "features.16.weight" in message and "features.17.weight is unexpected" in message
    assert "layer1.0.weight" in refusal(load, {"layer1.0.weight": np.ones(3, np.float32)})
    assert "no arrays" in refusal(load, {})
    assert "conv1_1_kernel" in refusal(load, {"conv1_1_bias": np.ones(2, np.float32)})


def test_damaged_and_foreign_files_are_refused(tmp_path, load, narrow):
    path = tmp_path / "weights"
    np.savez(tmp_path / "good.npz", **ours(narrow, 2))
    save_file({"conv1_1_kernel": np.ones(3, np.float32)}, tmp_path / "good.safetensors")
    whole = (tmp_path / "good.npz").read_bytes()
    tensors = (tmp_path / "good.safetensors").read_bytes()
    flipped = bytearray(whole)
    flipped[300] ^= 1
    damaged = [b"", b"text", b"<!doctype html>", whole[:-9], bytes(flipped), tensors[:-3]]
    for data in damaged:
        path.write_bytes(data)
        with pytest.raises(WeightsError, match=r"weights (is|holds)"):
            load_vgg19(path)
    np.savez(tmp_path / "objects.npz", conv1_1_kernel=np.array([{"a": 1}], object))
    with pytest.raises(WeightsError, match="object"):
        load_vgg19(tmp_path / "objects.npz")
    with pytest.raises(WeightsNotFound, match="no file"):
        load_vgg19(tmp_path / "missing.npz")


@pytest.mark.parametrize(
    "preprocessing",
    [TORCHVISION, CAFFE, Preprocessing(2.0, (0.1, 0.2, 1 / 3), (1.0, 2.0, 3.0), True)],
)
def test_saved_weights_come_back_unchanged(tmp_path, load, narrow, preprocessing):
    loaded = load(ours(narrow, 5))
    weights = VGGWeights(loaded.params, preprocessing, loaded.layers, "two notes; of mine")
    save_vgg19(weights, tmp_path / "saved")
    back = load_vgg19(tmp_path / "saved")
    assert_same_network(back, narrow, 5)
    assert back.preprocessing == preprocessing and back.note == weights.note


def test_layers_beyond_the_file_are_refused_by_name(load, narrow):
    weights = load(ours(narrow, 9))
    require_layers(weights, ["relu1_1", "relu4_1", "conv3_4"])
    with pytest.raises(WeightsError, match=r"end at conv4_1 and lack relu4_2, relu5_1;"):
        require_layers(weights, ["relu1_1", "relu4_2", "relu5_1"])
    with pytest.raises(WeightsError, match=r"relu1_3, pool1 is no layer"):
        require_layers(weights, ["relu1_1", "relu1_3", "pool1"])
