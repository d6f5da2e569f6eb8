"""`config.loss.shrink`: the losses of smaller pictures beside those of the pictures."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from din_jax.config import Config
from din_jax.errors import UserError
from din_jax.models.vgg import conv_shapes, vgg_features
from din_jax.ops.preprocessing import CAFFE
from din_jax.ops.resizing import shrink
from din_jax.training.feed import with_own_styles
from din_jax.vgg_layout import LAYERS, smallest_side

DEEP = ("relu1_1", "relu5_1")


@pytest.fixture(scope="module")
def objectives(parts):
    """The plain objective and one that looks at half size too, Gram losses in both."""
    weights = dataclasses.replace(parts.objective.config, style_weight=3.0, gram_weight=50.0)
    plain = dataclasses.replace(parts.objective, config=weights)
    halved = dataclasses.replace(plain, config=dataclasses.replace(weights, shrink=(2,)))
    return plain, halved


@pytest.fixture(scope="module")
def images():
    return jnp.asarray(np.random.default_rng(0).random((3, 2, 40, 40, 3)), jnp.float32)


def half(x):
    return (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) / 4


def test_shrunk_pictures_are_means_of_blocks():
    x = np.random.default_rng(0).random((2, 7, 9, 3)).astype(np.float32)
    blocks = x[:, :6].reshape(2, 2, 3, 3, 3, 3).mean((2, 4))
    np.testing.assert_allclose(shrink(jnp.asarray(x), 3), blocks, rtol=1e-6)


def test_losses_are_means_over_both_sizes(parts, objectives, images):
    plain, halved = objectives

    def of(objective, images):
        content, style, stylized = images
        return objective(parts.vgg, stylized, objective.targets(parts.vgg, content, style))

    total, metrics = of(halved, images)
    full, at_full = of(plain, images)
    small, at_half = of(plain, jnp.stack([half(x) for x in images]))
    np.testing.assert_allclose(total, (full + small) / 2, rtol=1e-5)
    assert abs(full - small) > 0.01 * full
    for part in ("content", "style", "gram"):
        np.testing.assert_allclose(metrics[part], at_full[part], rtol=1e-5)
        np.testing.assert_allclose(metrics[f"{part}@2"], at_half[part], rtol=1e-5)


def test_targets_of_contents_as_their_own_styles_have_both_sizes(parts, objectives, images):
    halved = objectives[1]
    content, style, _ = images
    targets = halved.own_targets(parts.vgg, content) | halved.style_targets(parts.vgg, style)
    batch = {"content": content, "style": style, "targets": targets}
    own = with_own_styles(batch, 1.0, jax.random.key(0))["targets"]
    assert own.keys() == halved.targets(parts.vgg, content, style).keys()
    # A picture that is content, style and result at once is without loss, at either size.
    total, _ = halved(parts.vgg, content, own)
    assert float(total) < 1e-8


def test_what_leaves_too_little_for_vgg_is_a_sentence(changed):
    with pytest.raises(UserError, match=r"config\.loss\.shrink=4 leaves 12 px .*crop=48"):
        changed(Config(), data={"crop": 48}, loss={"shrink": (4,)})


@pytest.mark.parametrize("layer", LAYERS)
def test_the_smallest_side_is_what_a_layer_can_be_read_of(layer):
    params = {
        name: {"kernel": jnp.zeros(shape), "bias": jnp.zeros(shape[3:])}
        for name, shape in conv_shapes().items()
    }

    def read(side):
        x = jnp.zeros((1, side, side, 3))
        return jax.eval_shape(lambda x: vgg_features(params, CAFFE, x, [layer]), x)[layer]

    side = smallest_side(layer)
    assert read(side).shape[1:3] == (2, 2)
    with pytest.raises(ValueError, match="needs a map larger"):
        read(side - 1)


def test_layers_beyond_relu4_1_need_larger_pictures(changed):
    deep = {"content_layers": ("relu5_1",), "shrink": (2,)}
    words = r"config\.loss\.shrink=2 leaves 24 px .*crop=48, but VGG-19 to relu5_1 needs 32\.$"
    with pytest.raises(UserError, match=words):
        changed(Config(), data={"crop": 48}, loss=deep)
    changed(Config(), data={"crop": 64}, loss=deep)
    # No content layer is read of a style.
    changed(Config(), data={"crop": 64, "style_crop": 32}, loss=deep)
    with pytest.raises(UserError, match=r"=2 leaves 16 px of config\.data\.style_crop=32, but"):
        changed(Config(), data={"crop": 64, "style_crop": 32}, loss=deep | {"style_layers": DEEP})
    vgg = {"network": "vgg19", "levels": 1, "code": "adain", "style_encoder": "content"}
    with pytest.raises(UserError, match=r"data\.crop must be at least 32 for VGG-19 to relu5_2"):
        changed(Config(), model=vgg, data={"crop": 24}, loss={"content_layers": ("relu5_2",)})
