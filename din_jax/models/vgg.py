"""VGG-19 up to any layer as a pure function, and the mirrored decoder (Huang & Belongie 2017).

Padding is by reflection, as in AdaIN, WCT and DIN (Keras and torchvision pad by zeros: at 45 x 53
pixels other by up to twice the largest value of relu4_1); 2x2 max pooling drops an odd last row or
column (`ceil_mode=False`).
"""

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from flax import nnx
from jax import Array

from din_jax.layers.blocks import Conv, relu
from din_jax.ops.convolution import conv2d
from din_jax.ops.preprocessing import Preprocessing
from din_jax.ops.resizing import max_pool, upsample_nearest
from din_jax.ops.widening import add_bias
from din_jax.vgg_layout import CHANNELS, LAYERS

VGGParams = Mapping[str, Mapping[str, Array]]


def conv_shapes() -> dict[str, tuple[int, int, int, int]]:
    """Name to HWIO kernel shape of the sixteen convolutions, in order."""
    return {name: (3, 3, *channels) for name, channels in CHANNELS.items()}


def layers_up_to(layer: str) -> list[str]:
    """Convolution names from conv1_1 to the one before `layer` ("relu4_1" gives conv1_1..4_1)."""
    names = list(CHANNELS)
    return names[: names.index(layer.replace("relu", "conv")) + 1]


def deepest(layers: Sequence[str]) -> str:
    """The last of some relu names in network order."""
    return max(layers, key=LAYERS.index)


def vgg_features(
    params: VGGParams,
    preprocessing: Preprocessing,
    images: Array,
    layers: Sequence[str],
    *,
    read: Callable[[str, Array], Any] = lambda layer, x: x,
    recompute: bool = False,
) -> dict[str, Any]:
    """Activations after the named ReLUs.

    Args:
      params: convolution name to {"kernel": [3, 3, I, O], "bias": [O]}.
      preprocessing: what these weights want done to an image.
      images: [B, H, W, 3], RGB in [0, 1]; the type computed in is theirs.
      layers: names as "relu4_1".
      read: of a layer's name and activation; what is given in its place.
      recompute: whether a gradient computes the activations anew, block by block, so that nothing
        of a block is kept but what it begins with and what is read of it (`jax.checkpoint`).

    Returns:
      Layer name to [B, H / 2^(block - 1), W / 2^(block - 1), C], or what is read of that.
    """

    def block(names: Sequence[str], last: bool, params: VGGParams, x: Array) -> tuple[Array, dict]:
        found = {}
        for name in names:
            x = conv2d(x, params[name]["kernel"])
            with jax.named_scope("bias"):
                x = add_bias(x, params[name]["bias"])
            x = relu(x)
            relu_name = name.replace("conv", "relu")
            if relu_name in layers:
                found[relu_name] = read(relu_name, x)
        return x if last else max_pool(x), found

    features: dict[str, Any] = {}
    x = preprocessing(images)
    names = layers_up_to(deepest(layers))
    blocks = [list(group) for _, group in itertools.groupby(names, lambda name: name[:5])]
    for group in blocks:
        run = functools.partial(block, group, group is blocks[-1])
        run = jax.checkpoint(run) if recompute else run
        x, found = run({name: params[name] for name in group}, x)
        features |= found
    return features


class Frozen(nnx.Variable):
    """A weight that is neither trained nor saved with a checkpoint."""


class VGGEncoder(nnx.Module):
    """Frozen VGG-19: images [B, H, W, 3] in [0, 1] -> features by layer name."""

    def __init__(self, params: VGGParams, preprocessing: Preprocessing, layers: Sequence[str]):
        self.params = nnx.Dict(
            {
                name: nnx.Dict({key: Frozen(value) for key, value in params[name].items()})
                for name in layers_up_to(deepest(layers))
            }
        )
        self.preprocessing = preprocessing
        self.layers = tuple(layers)

    def __call__(self, images: Array) -> dict[str, Array]:
        params = {
            name: {key: value[...] for key, value in layer.items()}
            for name, layer in self.params.items()
        }
        return vgg_features(params, self.preprocessing, images, self.layers)


class VGGDecoder(nnx.Module):
    """The encoder mirrored: 3x3 convolutions back to front, nearest x2 where it pooled, no norm.

    The output convolution is linear: [B, h, w, C] -> [B, 8h, 8w, 3] in about [0, 1] (for relu4_1).
    """

    def __init__(self, layer: str = "relu4_1", *, rngs: nnx.Rngs):
        names = layers_up_to(layer)[::-1]
        shapes = conv_shapes()
        self.convs = nnx.List(
            [
                Conv(
                    shapes[name][3],
                    shapes[name][2],
                    3,
                    gain=0.1 if name == "conv1_1" else 1.0,
                    rngs=rngs,
                )
                for name in names
            ]
        )
        self.upsample = tuple(name.endswith("_1") and name != "conv1_1" for name in names)

    def __call__(self, x: Array) -> Array:
        for i, (conv, upsample) in enumerate(zip(self.convs, self.upsample, strict=True)):
            x = conv(x)
            if i + 1 < len(self.convs):
                x = relu(x)
            if upsample:
                x = upsample_nearest(x)
        return x
