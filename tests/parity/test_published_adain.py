"""A trained AdaIN paints the same picture here as in PyTorch, put together as it is published."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed; `make parity` does it")

import jax  # noqa: E402
from PIL import Image  # noqa: E402
from torch import nn  # noqa: E402

from din_jax.config import ModelConfig  # noqa: E402
from din_jax.models.network import VGGBackbone  # noqa: E402
from din_jax.training.state import Network  # noqa: E402
from din_jax.weights import load_vgg19  # noqa: E402
from din_jax.weights.torch_names import DECODER_INDICES, from_torch, vgg19_to_torch  # noqa: E402
from parity.pair import load  # noqa: E402
from parity.reference.dynamic import adain  # noqa: E402
from parity.reference.vgg import vgg_decoder  # noqa: E402

ADAIN = ModelConfig(network="vgg19", levels=1, code="adain", style_encoder="content")
WIDTHS = [64, 64, "M", 128, 128, "M", 256, 256, 256, 256, "M", 512]


def published_encoder():
    """Up to relu4_1: a 1x1 convolution, then padding, convolution, ReLU; pooling of odd rests."""
    layers, inputs = [nn.Conv2d(3, 3, 1)], 3
    for width in WIDTHS:
        if width == "M":
            layers.append(nn.MaxPool2d(2, 2, 0, ceil_mode=True))
            continue
        layers += [nn.ReflectionPad2d(1), nn.Conv2d(inputs, width, 3), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers)


def picture(path, width, height):
    image = Image.open(path).convert("RGB").resize((width, height))
    return np.asarray(image, np.float32)[None] / 255


@pytest.fixture(scope="module")
def trained(shared_data):
    """The VGG-19 weights, and the decoder under its published names."""
    stored = np.load(shared_data / "weights" / "adain_decoder_8bit.npz")
    names = [name for name in stored["order"] if name != "U"]
    decoder = {}
    for place, name in zip(DECODER_INDICES, names, strict=True):
        decoder[f"{place}.weight"] = stored[f"{name}_kernel"].transpose(3, 2, 0, 1)
        decoder[f"{place}.bias"] = stored[f"{name}_bias"]
    return load_vgg19(shared_data / "weights" / "vgg19_normalised_to_relu4_1.npz"), decoder


@pytest.mark.slow
def test_pictures_agree_and_the_published_variance_hardly_shows(trained, shared_data):
    weights, decoder = trained
    content = picture(shared_data / "test" / "content" / "landscape_01.jpg", 96, 64)
    folder = shared_data / "test" / "style"
    style = picture(sorted(folder.glob("*.jpg"))[0], 72, 72)

    encode, decode = published_encoder(), vgg_decoder()
    load(encode, vgg19_to_torch(weights, "adain"))
    load(decode, decoder)
    with torch.no_grad():
        features = [
            encode(torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))))
            for x in (content, style)
        ]
        theirs, published = (
            decode(adain(*features, correction=correction)).permute(0, 2, 3, 1).numpy()
            for correction in (0, 1)
        )

    network = Network(ADAIN, VGGBackbone(weights.params, weights.preprocessing))
    variables = from_torch(decoder, ADAIN)
    model = network.module(
        variables["params"], variables["batch_stats"], network.frozen(), training=False
    )
    from flax import nnx

    graph, state = nnx.split(model)
    ours = jax.jit(lambda state, c, s: nnx.merge(graph, state)(c, s))(state, content, style)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)
    assert np.ptp(theirs) > 0.5 and np.abs(theirs - content).mean() > 0.05
    # 96 positions of the content, 81 of the style: the two factors nearly cancel.
    assert 1e-5 < np.abs(published - theirs).max() < 0.01
