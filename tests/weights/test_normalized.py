"""Normalized weights compute the same features up to scale; random ones are alive and repeatable.

The networks here end in block 2 and have their real width; later blocks go through the same code.
"""

import numpy as np
import pytest

from din_jax.models.vgg import vgg_features
from din_jax.ops.preprocessing import CAFFE, TORCHVISION
from din_jax.weights import (
    VGGWeights,
    WeightsError,
    load_vgg19,
    normalize_vgg19,
    random_vgg19,
    save_vgg19,
)
from din_jax.weights.normalized import noise_images

LAYERS = ("relu1_1", "relu1_2", "relu2_1")


@pytest.fixture(scope="module")
def images():
    return noise_images(np.random.default_rng(7))[:3, :32, :24]


@pytest.fixture(scope="module")
def original():
    """A network whose channels differ widely in scale."""
    rng = np.random.default_rng(3)
    params = {}
    for name, inputs, outputs in (("conv1_1", 3, 64), ("conv1_2", 64, 64), ("conv2_1", 64, 128)):
        scales = np.exp(rng.normal(0, 1.5, outputs)).astype(np.float32)
        kernel = rng.standard_normal((3, 3, inputs, outputs), np.float32) * scales / inputs**0.5
        bias = rng.standard_normal(outputs).astype(np.float32) * scales
        params[name] = {"kernel": kernel, "bias": bias}
    return VGGWeights(params, CAFFE, tuple(params), "mine")


def features(weights, images):
    found = vgg_features(weights.params, weights.preprocessing, images, LAYERS)
    return {name: np.asarray(x, np.float64) for name, x in found.items()}


def test_every_mean_activation_becomes_one_and_nothing_else_changes(original, images):
    before = features(original, images)
    normalized = normalize_vgg19(original, images)
    after = features(normalized, images)
    for name in LAYERS:
        means = before[name].mean((0, 1, 2))
        spoken = means > 0
        assert spoken.sum() > 0.9 * means.size and means[spoken].max() / means[spoken].min() > 10
        np.testing.assert_allclose(after[name].mean((0, 1, 2))[spoken], 1, rtol=1e-4)
        expected = before[name] / np.where(spoken, means, 1)
        # Relative to each channel's largest value: a rarely active channel is a small difference.
        error = np.abs(after[name] - expected) / np.maximum(expected.max((0, 1, 2)), 1)
        assert error.max() < 1e-4
    assert normalized.preprocessing == original.preprocessing
    assert normalized.layers == original.layers
    assert normalized.note == "mine; normalized by 3 images"


def test_normalizing_twice_changes_nothing(original, images):
    once = normalize_vgg19(original, images)
    twice = normalize_vgg19(once, images)
    for name, layer in once.params.items():
        for key in ("kernel", "bias"):
            np.testing.assert_allclose(twice.params[name][key], layer[key], rtol=2e-4, atol=1e-6)


def test_the_given_weights_are_left_alone(original, images):
    kernel = original.params["conv1_2"]["kernel"].copy()
    normalize_vgg19(original, images)
    np.testing.assert_array_equal(original.params["conv1_2"]["kernel"], kernel)


def test_a_silent_channel_keeps_its_scale(original, images):
    layer = original.params["conv1_1"]
    bias = layer["bias"].copy()
    bias[5] = -1e9
    weights = VGGWeights({"conv1_1": layer | {"bias": bias}}, CAFFE, ("conv1_1",))
    found = normalize_vgg19(weights, images).params["conv1_1"]
    np.testing.assert_array_equal(found["kernel"][..., 5], layer["kernel"][..., 5])
    assert np.isfinite(found["kernel"]).all() and found["bias"][5] == bias[5]


@pytest.mark.parametrize(("shape", "dtype"), [((2, 8, 8, 3), np.uint8), ((8, 8, 3), np.float32)])
def test_images_of_another_kind_are_refused(original, shape, dtype):
    with pytest.raises(WeightsError, match=r"float32 \[B, H, W, 3\]"):
        normalize_vgg19(original, np.zeros(shape, dtype))


def test_random_features_are_normalized_and_alive_on_images_they_never_saw(images):
    weights = random_vgg19(0, ["relu2_1", "relu1_1"])
    assert weights.layers == ("conv1_1", "conv1_2", "conv2_1")
    assert weights.preprocessing == TORCHVISION and "seed 0" in weights.note
    for x in features(weights, images).values():
        means = x.mean((0, 1, 2))
        assert 0.5 < means.mean() < 2
        assert (means > 0.2).all() and (means < 5).all()
        # Each channel varies from place to place: a dead or constant one would carry no style.
        assert (x.std((1, 2)).mean(0) > 0.1).all()


def test_random_kernels_are_he_normal_up_to_the_normalization():
    kernel = random_vgg19(1, ["relu1_2"]).params["conv1_2"]["kernel"].astype(np.float64)
    # Normalization scales inputs and outputs; taken back, kurtosis 3 and mean 0 must be left.
    standard = kernel
    for _ in range(5):
        standard = standard / standard.std((0, 1, 3), keepdims=True)
        standard = standard / standard.std((0, 1, 2), keepdims=True)
    assert abs(standard.mean()) < 0.02
    assert abs((standard**4).mean() - 3) < 0.3


def test_random_features_depend_on_the_seed_alone():
    first, again, other = (random_vgg19(seed, ["relu1_2"]).params for seed in (4, 4, 5))
    for name in first:
        for key in ("kernel", "bias"):
            np.testing.assert_array_equal(first[name][key], again[name][key])
            assert not np.allclose(first[name][key], other[name][key])


def test_random_layers_must_exist():
    with pytest.raises(WeightsError, match="relu4_5"):
        random_vgg19(0, ["relu4_5"])


def test_noise_images_are_smooth_and_colored_and_use_the_range():
    images = noise_images(np.random.default_rng(0))
    assert images.shape == (8, 64, 64, 3) and images.dtype == np.float32
    assert images.min() >= 0 and images.max() <= 1
    np.testing.assert_allclose(images.mean((1, 2, 3)), 0.5, atol=0.1)
    assert 0.2 < images.std() < 0.3
    assert np.abs(images[..., 0] - images[..., 2]).mean() > 0.05
    # Neighbors in white noise would differ by 1.13 deviations.
    assert np.abs(np.diff(images, axis=1)).mean() < 0.7 * images.std()


def test_normalized_weights_survive_a_file(tmp_path, original, images):
    normalized = normalize_vgg19(original, images)
    save_vgg19(normalized, tmp_path / "weights.npz")
    back = load_vgg19(tmp_path / "weights.npz")
    assert back.note == normalized.note and back.preprocessing == CAFFE
    for name in normalized.layers:
        kernel = normalized.params[name]["kernel"]
        np.testing.assert_array_equal(back.params[name]["kernel"], kernel)


def test_the_normalized_and_the_caffe_network_agree_once_normalized_alike(shared_data):
    images = noise_images(np.random.default_rng(1))[:1, :32, :32]
    folder = shared_data / "weights"
    layers = ("relu1_1", "relu2_1", "relu3_1")
    found = []
    for kind in ("normalised", "caffe"):
        weights = load_vgg19(folder / f"vgg19_{kind}_to_relu4_1.npz")
        assert weights.preprocessing == CAFFE and "8 of 9 taps" in weights.note
        same = normalize_vgg19(weights, images)
        found.append(vgg_features(same.params, same.preprocessing, images, layers))
    for name in layers:
        np.testing.assert_allclose(found[0][name], found[1][name], rtol=1e-3, atol=1e-3)
