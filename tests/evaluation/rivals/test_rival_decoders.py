"""Decoders of the rivals: read under every name that they have, and trained."""

import numpy as np
import pytest

from din_jax.evaluation.rivals.decoders import (
    Training,
    load_decoder,
    save_decoder,
    train_decoder,
)
from din_jax.evaluation.rivals.library import DecoderLibrary
from din_jax.evaluation.rivals.networks import Networks, decoder_shapes, fresh_decoder
from din_jax.ops.forms import default_form
from din_jax.weights import WeightsError, load_vgg19
from din_jax.weights.normalized import noise_images, random_vgg19
from din_jax.weights.torch_names import DECODER_INDICES


@pytest.fixture(autouse=True)
def plain_convolutions():
    with default_form("conv"):
        yield


def drawn(layer):
    rng = np.random.default_rng(0)
    return {
        "convs": {
            i: {name: rng.normal(0, 0.05, x.shape).astype(np.float32) for name, x in conv.items()}
            for i, conv in decoder_shapes(layer)["convs"].items()
        }
    }


def equal(a, b):
    assert a["convs"].keys() == b["convs"].keys()
    for i in a["convs"]:
        for name in ("kernel", "bias"):
            np.testing.assert_array_equal(a["convs"][i][name], b["convs"][i][name])


@pytest.mark.parametrize("layer", ["relu1_1", "relu2_1"])
def test_a_decoder_that_was_saved_is_read_back(layer, tmp_path):
    params = drawn(layer)
    equal(load_decoder(save_decoder(params, tmp_path / "d.safetensors"), layer), params)


def test_the_published_names_are_known(tmp_path):
    params = drawn("relu4_1")
    convs = list(params["convs"].values())
    torch = {}
    for place, conv in zip(DECODER_INDICES, convs, strict=True):
        torch[f"{place}.weight"] = conv["kernel"].transpose(3, 2, 0, 1)
        torch[f"{place}.bias"] = conv["bias"]
    np.savez(tmp_path / "torch.npz", **torch)
    equal(load_decoder(tmp_path / "torch.npz"), params)
    blocks = ["4_1", "3_1", "3_2", "3_3", "3_4", "2_1", "2_2", "1_1", "1_2"]
    order = [f"block{name.replace('_', '_conv')}_decode" for name in blocks]
    ported = {"order": np.asarray(order)}
    for name, conv in zip(order, convs, strict=True):
        ported |= {f"{name}_kernel": conv["kernel"], f"{name}_bias": conv["bias"]}
    np.savez(tmp_path / "ported.npz", **ported)
    equal(load_decoder(tmp_path / "ported.npz"), params)


def test_a_decoder_of_another_layer_is_refused(tmp_path):
    path = save_decoder(drawn("relu1_1"), tmp_path / "d.safetensors")
    with pytest.raises(WeightsError, match=r"no decoder of relu2_1: convs\.1\.kernel is missing"):
        load_decoder(path, "relu2_1")


def test_training_brings_pictures_back(tmp_path):
    """relu1_1 is a convolution and a ReLU: a few steps do most of the way."""
    networks = Networks.of(random_vgg19(0, ("relu1_1",)))
    pictures = np.uint8(255 * noise_images(np.random.default_rng(1))[:, None, :16, :16])
    losses = []
    trained, last = train_decoder(
        networks, "relu1_1", lambda step: pictures[step % 8], Training(steps=60, rate=2e-3),
        report=lambda step, loss: losses.append(loss),
    )  # fmt: skip
    assert len(losses) == 60 and last == pytest.approx(np.mean(losses[-7:]))
    assert last < 0.2 * losses[0]
    decoding = Networks.of(random_vgg19(0, ("relu1_1",)), {"relu1_1": trained})
    picture = pictures[0].astype(np.float32) / 255
    back = decoding.decode(networks.encode(picture, ("relu1_1",))["relu1_1"], "relu1_1")
    assert back.shape == picture.shape
    assert np.abs(back - picture).mean() < np.abs(picture.mean() - picture).mean()


def test_a_library_keeps_decoders_of_one_vgg_apart_from_another_s(tmp_path):
    one, other = (random_vgg19(seed, ("relu1_1",)) for seed in (0, 1))
    library = DecoderLibrary(one, tmp_path)
    params = fresh_decoder("relu1_1", 0)
    save_decoder(params, library.path("relu1_1"))
    assert library.digests(library.load(["relu1_1"])).keys() == {"relu1_1"}
    with pytest.raises(ValueError, match=r"no decoder of relu1_1 .* --train-decoders PICTURES"):
        DecoderLibrary(other, tmp_path).load(["relu1_1"])


def test_adain_s_published_decoder_gives_a_picture_back(shared_data):
    """Coarsely: it was trained to paint, from features of the VGG-19 that is beside it."""
    from PIL import Image

    folder = shared_data / "weights"
    decoder = load_decoder(folder / "adain_decoder_8bit.npz")
    vgg = load_vgg19(folder / "vgg19_normalised_to_relu4_1.npz")
    networks = Networks.of(vgg, {"relu4_1": decoder})
    image = Image.open(shared_data / "test/content/landscape_01.jpg").convert("RGB")
    picture = np.asarray(image.resize((64, 64)), np.float32)[None] / 255
    back = np.asarray(networks.decode(networks.encode(picture, ("relu4_1",))["relu4_1"], "relu4_1"))
    assert np.corrcoef(back.ravel(), picture.ravel())[0, 1] > 0.8
