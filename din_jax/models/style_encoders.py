"""What the weight and bias nets read of a style.

    style_feature = "relu4_1"     the VGG-19 feature map itself (the paper)
    style_feature = "statistics"  mean and deviation of every channel of relu1_1 .. relu4_1, logged
                                  and standardized: 1920 numbers that say what the style loss asks

Either is taken from VGG-19, or given by a MobileNet in its place, so that a model needs no VGG.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from din_jax.config import STYLE_LAYERS
from din_jax.layers.blocks import Conv, ConvBlock, SeparableBlock
from din_jax.models.vgg import conv_shapes
from din_jax.ops.statistics import log_statistics

MAP_CHANNELS = conv_shapes()["conv4_1"][3]
STATISTICS = 2 * sum(conv_shapes()[name.replace("relu", "conv")][3] for name in STYLE_LAYERS)
FEATURE_CHANNELS = {"relu4_1": MAP_CHANNELS, "statistics": STATISTICS}


class MobileNetFeatures(nnx.Module):
    """Style image [B, H, W, 3] -> the maps after its convolution and each of five blocks.

    The last is [B, H/8, W/8, 512], of relu4_1's stride and channels, from 0.2 M parameters. It has
    no norm: a style is in the statistics that one erases.
    """

    CHANNELS = (32, 64, 128, 128, 256, MAP_CHANNELS)
    STRIDES = (2, 1, 2, 1, 2, 1)

    def __init__(self, *, rngs: nnx.Rngs):
        self.conv = ConvBlock(3, self.CHANNELS[0], 3, self.STRIDES[0], norm="none", rngs=rngs)
        self.blocks = nnx.List(
            [
                SeparableBlock(inputs, outputs, stride, norm="none", rngs=rngs)
                for inputs, outputs, stride in zip(
                    self.CHANNELS, self.CHANNELS[1:], self.STRIDES[1:], strict=False
                )
            ]
        )

    def __call__(self, images: Array) -> list[Array]:
        x = self.conv(4 * (images - jnp.asarray(0.5, images.dtype)))
        maps = [x]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        return maps


class MobileNetStyleEncoder(nnx.Module):
    """Style image -> a map in relu4_1's place, [B, H/8, W/8, 512]."""

    def __init__(self, *, rngs: nnx.Rngs):
        self.features = MobileNetFeatures(rngs=rngs)

    def __call__(self, images: Array) -> Array:
        return self.features(images)[-1]


class StatisticsEncoder(nnx.Module):
    """Style image -> a prediction of VGG-19's standardized statistics, [B, 1, 1, 1920].

    Log-statistics of a MobileNet's own maps, then two layers. Learned by regression on VGG-19's
    statistics of the training images, which the style loss computes anyway.
    """

    HIDDEN = 256

    def __init__(self, *, rngs: nnx.Rngs):
        self.features = MobileNetFeatures(rngs=rngs)
        inputs = 2 * sum(MobileNetFeatures.CHANNELS)
        self.first = Conv(inputs, self.HIDDEN, 1, rngs=rngs)
        self.last = Conv(self.HIDDEN, STATISTICS, 1, gain=0.5**0.5, rngs=rngs)

    def __call__(self, images: Array) -> Array:
        x = log_statistics(self.features(images))
        x = (x - x.mean(-1, keepdims=True)) / (x.std(-1, keepdims=True) + 1e-2)
        return self.last(jax.nn.leaky_relu(self.first(x[:, None, None]), 0.2))


def make_style_encoder(style_feature: str, rngs: nnx.Rngs) -> nnx.Module:
    """The MobileNet encoder that gives `style_feature`."""
    return (StatisticsEncoder if style_feature == "statistics" else MobileNetStyleEncoder)(
        rngs=rngs
    )
