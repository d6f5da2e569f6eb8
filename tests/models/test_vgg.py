import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from din_jax.models.vgg import (
    VGGDecoder,
    conv_shapes,
    deepest,
    layers_up_to,
    vgg_features,
)


def slow_features(params, images):
    """relu1_1 .. relu4_1 of VGG-19 in float64 NumPy, Caffe's preprocessing and reflect padding."""
    x = (255 * np.asarray(images, np.float64) - [123.68, 116.779, 103.939])[..., ::-1]
    plan = "1_1 1_2 P 2_1 2_2 P 3_1 3_2 3_3 3_4 P 4_1".split()
    features = {}
    for step in plan:
        if step == "P":
            h, w = x.shape[1] // 2, x.shape[2] // 2
            x = x[:, : 2 * h, : 2 * w].reshape(len(x), h, 2, w, 2, -1).max((2, 4))
            continue
        kernel = np.asarray(params[f"conv{step}"]["kernel"], np.float64)
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
        h, w = x.shape[1:3]
        y = sum(padded[:, i : i + h, j : j + w] @ kernel[i, j] for i in range(3) for j in range(3))
        x = np.maximum(y + np.asarray(params[f"conv{step}"]["bias"]), 0)
        features[f"relu{step}"] = x
    return features


def test_features_match_a_slow_reference_on_odd_sizes(backbone):
    images = jax.random.uniform(jax.random.key(0), (2, 21, 18, 3))
    layers = ["relu4_1", "relu1_1", "relu3_1", "relu2_1"]
    features = jax.jit(lambda p, x: vgg_features(p, backbone.preprocessing, x, layers))(
        backbone.params, images
    )
    expected = slow_features(backbone.params, images)
    assert set(features) == set(layers)
    for name in layers:
        scale = np.abs(expected[name]).max()
        np.testing.assert_allclose(features[name] / scale, expected[name] / scale, atol=1e-5)


def test_there_are_sixteen_convolutions_of_20_million_weights():
    shapes = conv_shapes()
    assert list(shapes)[:3] == ["conv1_1", "conv1_2", "conv2_1"] and len(shapes) == 16
    # torchvision's vgg19().features has 20,024,384 parameters.
    assert sum(int(np.prod(s)) + s[3] for s in shapes.values()) == 20_024_384


def test_layers_up_to_ends_at_the_named_one():
    assert layers_up_to("relu2_1") == ["conv1_1", "conv1_2", "conv2_1"]
    assert deepest(["relu3_1", "relu1_1", "relu2_2"]) == "relu3_1"


@pytest.mark.parametrize("layer,factor", [("relu1_1", 1), ("relu3_1", 4), ("relu4_1", 8)])
def test_the_decoder_mirrors_the_encoder(layer, factor):
    channels = conv_shapes()[layer.replace("relu", "conv")][3]
    decoder = nnx.eval_shape(lambda: VGGDecoder(layer, rngs=nnx.Rngs(0)))
    graph, state = nnx.split(decoder)
    x = jax.ShapeDtypeStruct((1, 4, 5, channels), jnp.float32)
    y = jax.eval_shape(lambda s, x: nnx.merge(graph, s)(x), state, x)
    assert y.shape == (1, 4 * factor, 5 * factor, 3)
    mirrored = [conv_shapes()[name] for name in layers_up_to(layer)[::-1]]
    expected = [(3, 3, shape[3], shape[2]) for shape in mirrored]
    assert [conv.kernel.shape for conv in decoder.convs] == expected
