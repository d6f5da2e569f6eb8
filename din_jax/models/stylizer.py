"""The stylizer: encode_style(style) -> StyleCode, stylize(content, StyleCode) -> image."""

from collections.abc import Mapping
from typing import NamedTuple

from flax import nnx
from jax import Array

from din_jax.config import STYLE_LAYERS, ModelConfig
from din_jax.layers.codes import LayerCode, StyleCode, apply_code, statistics_code
from din_jax.layers.deformation import DeformableLayer
from din_jax.layers.nets import DynamicCode, SpatialCode
from din_jax.layers.norms import RunningStandardize
from din_jax.losses import Statistics, style_statistics
from din_jax.models.mobilenet import ContentDecoder, ContentEncoder
from din_jax.models.style_encoders import FEATURE_CHANNELS, STATISTICS, make_style_encoder
from din_jax.models.vgg import VGGDecoder, VGGEncoder, VGGParams
from din_jax.ops.preprocessing import Preprocessing
from din_jax.ops.statistics import log_of_statistics

DEEPEST = "relu4_1"


class VGGBackbone(NamedTuple):
    """Frozen VGG-19 weights, for models whose encoder or style encoder is VGG-19."""

    params: VGGParams
    preprocessing: Preprocessing


class Stylizer(nnx.Module):
    """Content network, style encoder and code source as one module.

    Shapes: images are [B, H, W, 3], RGB in [0, 1]; any size from 32 pixels up (a multiple of 8 for
    the VGG-19 network). The stylized image has the size of the content and is not clipped.

    Args:
      config: the model's settings.
      vgg: VGG-19 up to conv4_1; needed where the config names it, else ignored.
      rngs: initialization.
    """

    def __init__(self, config: ModelConfig, vgg: VGGBackbone | None = None, *, rngs: nnx.Rngs):
        self.config = config
        uses_vgg = "vgg19" in (config.network, config.style_encoder)
        if uses_vgg and vgg is None:
            raise ValueError("This model has a VGG-19 encoder: pass its weights as `vgg`.")
        self.vgg = VGGEncoder(*vgg, STYLE_LAYERS) if uses_vgg else None
        if config.network == "vgg19":
            self.encoder = None
            self.decoder = VGGDecoder(rngs=rngs)
            channels = {"level1": FEATURE_CHANNELS[DEEPEST]}
        else:
            shared = {"residuals": config.residuals, "separable": config.separable, "rngs": rngs}
            self.encoder = ContentEncoder(
                config.widths, kernel=config.kernel, norm=config.encoder_norm, **shared
            )
            self.decoder = ContentDecoder(config.widths, norm=config.decoder_norm, **shared)
            names = [f"level{i}" for i in range(4 - config.levels, 4)]
            channels = {name: config.widths[int(name[-1]) - 1] for name in names}
        self.levels = tuple(channels)
        own = config.style_encoder == "mobilenet"
        self.style_encoder = make_style_encoder(config.style_feature, rngs) if own else None
        self.standardize = (
            RunningStandardize(STATISTICS) if config.style_feature == "statistics" else None
        )
        dynamic = config.code == "din"
        self.codes = (
            nnx.Dict({name: self._code_net(c, rngs) for name, c in channels.items()})
            if dynamic
            else None
        )
        self.deformations = (
            nnx.Dict({name: self._deformation(c, rngs) for name, c in channels.items()})
            if config.transform == "deformable"
            else None
        )

    def _deformation(self, channels: int, rngs: nnx.Rngs) -> DeformableLayer:
        c = self.config
        return DeformableLayer(
            channels,
            side=c.dynamic_kernel,
            dilation=c.dynamic_dilation,
            groups=c.offset_groups,
            modulated=c.modulated,
            rngs=rngs,
        )

    def _code_net(self, channels: int, rngs: nnx.Rngs) -> DynamicCode | SpatialCode:
        c = self.config
        inputs = FEATURE_CHANNELS[c.style_feature]
        shared = {"hidden": c.net_hidden, "scale": c.net_scale, "rngs": rngs}
        if c.transform == "spatial":
            return SpatialCode(inputs, channels, grid=c.spatial_grid, **shared)
        return DynamicCode(
            inputs,
            channels,
            pool=c.net_pool,
            kernel=c.net_kernel,
            side=c.dynamic_kernel,
            groups=c.dynamic_groups or channels,
            **shared,
        )

    def encode_content(self, content: Array) -> dict[str, Array]:
        """Content features by level name, styled or not."""
        if self.encoder is None:
            return {"level1": self.vgg(content)[DEEPEST]}
        return {f"level{i}": x for i, x in enumerate(self.encoder(content), 1)}

    def describe(self, features: Mapping[str, Array]) -> Array:
        """What the nets read, from VGG-19 features: relu4_1, or the statistics [B, 1, 1, 1920]."""
        if self.standardize is None:
            return features[DEEPEST]
        return self.describe_statistics(style_statistics(features, STYLE_LAYERS))

    def describe_statistics(self, statistics: Statistics) -> Array:
        """What nets that read statistics read, from the (mean, std) of each style layer."""
        vector = log_of_statistics([statistics[name] for name in STYLE_LAYERS])
        return self.standardize(vector)[:, None, None]

    def style_features(self, style: Array) -> Array:
        """What the nets read, from style images [B, H, W, 3], by the model's own style encoder."""
        if self.style_encoder is not None:
            return self.style_encoder(style)
        return self.describe(self.vgg(style))

    def code(self, features: Array) -> StyleCode:
        """Weight and bias nets: style features to a kernel and bias per level."""
        return {name: net(features) for name, net in self.codes.items()}

    def encode_style(self, style: Array) -> StyleCode:
        """Style images [B, H, W, 3], RGB in [0, 1], to one kernel and bias per image and level."""
        if self.codes is not None:
            return self.code(self.style_features(style))
        features = self.encode_content(style)
        return {name: statistics_code(features[name]) for name in self.levels}

    def paint(self, name: str, x: Array, code: LayerCode) -> Array:
        """One styled layer: `name` of `levels`, its map [B, H, W, C] and its code."""
        if self.deformations is not None:
            return self.deformations[name](x, code)
        return apply_code(x, code, dilation=self.config.dynamic_dilation)

    def stylize(self, content: Array, code: StyleCode) -> Array:
        """Paints content images in a style code of the same batch size, [B, H, W, 3]."""
        features = self.encode_content(content)
        styled = {
            name: self.paint(name, x, code[name]) if name in self.levels else None
            for name, x in features.items()
        }
        if self.encoder is None:
            return self.decoder(styled["level1"])
        return self.decoder(list(styled.values()), [x.shape[1:3] for x in features.values()])

    def __call__(self, content: Array, style: Array) -> Array:
        """encode_style, then stylize."""
        return self.stylize(content, self.encode_style(style))
