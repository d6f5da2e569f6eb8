"""The stylizer: encode_style(style) -> StyleCode, stylize(content, StyleCode) -> image."""

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jax import Array

from din_jax.config import STYLE_LAYERS, ModelConfig
from din_jax.layers.codes import StyleCode
from din_jax.layers.mixtures import LayerMixture, Mixture, at_level
from din_jax.layers.nets import beside
from din_jax.layers.norms import RunningStandardize
from din_jax.layers.recomputing import block
from din_jax.layers.sources import make_layer_normalizer, make_source, make_transform
from din_jax.layers.styled import LayerStatistics, StyledLayer
from din_jax.losses import Statistics, style_statistics
from din_jax.models.feedback import Feedback
from din_jax.models.mobilenet import ContentDecoder, ContentEncoder
from din_jax.models.readers import make_reader
from din_jax.models.style_encoders import FEATURE_CHANNELS, STATISTICS, make_style_encoder
from din_jax.models.vgg import VGGDecoder, VGGEncoder, VGGParams
from din_jax.ops.preprocessing import Preprocessing
from din_jax.ops.statistics import log_of_statistics

DEEPEST = "relu4_1"


class VGGBackbone(NamedTuple):
    """Frozen VGG-19 weights, for models whose encoder or style encoder is VGG-19."""

    params: VGGParams
    preprocessing: Preprocessing


class StylizationNetwork(nnx.Module):
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
            self.encoder = self._content_encoder(rngs)
            self.decoder = ContentDecoder(
                config.widths, norm=config.decoder_norm, residuals=config.residuals,
                separable=config.separable, rngs=rngs,
            )  # fmt: skip
            names = [f"level{i}" for i in range(4 - config.levels, 4)]
            channels = {name: config.widths[int(name[-1]) - 1] for name in names}
        self.levels = tuple(channels)
        self.style_encoder = self._own_style_encoder(rngs)
        self.standardize = (
            RunningStandardize(STATISTICS) if config.style_feature == "statistics" else None
        )
        self.reader = make_reader(config)
        # The parts of the styled layers under the names that checkpoints know them by; only nets,
        # tables, offset nets, running statistics and a linear transformation's halves hold arrays.
        inputs = FEATURE_CHANNELS[config.style_feature]
        self.codes = nnx.Dict(
            {name: make_source(config, c, inputs, rngs) for name, c in channels.items()}
        )
        self.normalizers = nnx.Dict(
            {name: make_layer_normalizer(config, c, rngs) for name, c in channels.items()}
        )
        self.deformations = nnx.Dict(
            {name: make_transform(config, c, rngs) for name, c in channels.items()}
        )
        self.feedback = Feedback(config.net_feedback) if config.net_feedback else None

    def _content_encoder(self, rngs: nnx.Rngs) -> ContentEncoder:
        c = self.config
        return ContentEncoder(
            c.widths, kernel=c.kernel, norm=c.encoder_norm, residuals=c.residuals,
            separable=c.separable, rngs=rngs,
        )  # fmt: skip

    def _own_style_encoder(self, rngs: nnx.Rngs) -> nnx.Module | None:
        """What reads styles alone, if it is learned."""
        if self.config.style_encoder == "unshared":
            return self._content_encoder(rngs)
        if self.config.style_encoder == "mobilenet":
            return make_style_encoder(self.config.style_feature, rngs)
        return None

    @property
    def scales(self) -> dict[str, int]:
        """Pixels of the content along a side of a pixel of each level's map."""
        return {
            name: 8 if self.encoder is None else 1 << (int(name[-1]) - 1) for name in self.levels
        }

    def layer(self, name: str) -> StyledLayer:
        """The styled layer of a level: source, normalizer and transform."""
        return StyledLayer(self.normalizers[name], self.deformations[name], self.codes[name])

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

    def style_features(self, style: Array):
        """What the sources read of style images [B, H, W, 3] (of style numbers [B] for a table)."""
        return self.reader(self, style)

    def code(self, features) -> StyleCode:
        """Style features to a code per level, corrected by what it paints where the config says."""
        return self.code_of(features) if self.feedback is None else self.feedback(self, features)

    def code_of(self, features) -> StyleCode:
        """The sources alone: what they read to a code per level."""
        return {name: self.layer(name).code(self.reader.at(features, name)) for name in self.levels}

    def encode_style(self, style: Array) -> StyleCode:
        """Style images [B, H, W, 3], RGB in [0, 1], to one code per image and level.

        A model with a table of styles (`config.styles`) takes their numbers, int32 [B].
        """
        return self.code(self.style_features(style))

    def diagnostics(self, features) -> dict[str, Array]:
        """How the sources are doing on `style_features`, by `NAME/level`."""
        if self.feedback is not None:  # in their first round
            features = beside(features, jnp.zeros_like(features))
        return {
            f"{key}/{name}": value
            for name, source in self.codes.items()
            for key, value in source.diagnostics(self.reader.at(features, name)).items()
        }

    def paint(
        self, name: str, x: Array, mixture: LayerMixture, statistics: LayerStatistics | None = None
    ) -> Array:
        """One styled layer: `name` of `levels`, its map [B, H, W, C] and its code or mixture."""

        def run(model: StylizationNetwork, *inputs) -> Array:
            return model.layer(name)(*inputs)

        return block(run, self, x, mixture, statistics)

    def content_statistics(self, content: Array, code: Mixture) -> dict[str, LayerStatistics]:
        """What `stylize` normalizes this content by, for tiles of it or for frames beside it."""
        features = self.encode_content(content)
        return {
            name: self.layer(name).statistics(features[name], at_level(code, name))
            for name in self.levels
        }

    def stylize(
        self,
        content: Array,
        code: Mixture,
        statistics: Mapping[str, LayerStatistics] | None = None,
    ) -> Array:
        """Paints content images in a style, [B, H, W, 3].

        Args:
          content: [B, H, W, 3], RGB in [0, 1].
          code: a style code of the same batch, or a `Blend` or `Regions` of some.
          statistics: by level, what the styled layers normalize by; None takes the content's own.
        """
        features = self.encode_content(content)
        styled = {
            name: self.paint(name, x, at_level(code, name), statistics and statistics[name])
            if name in self.levels
            else None
            for name, x in features.items()
        }
        if self.encoder is None:
            return self.decoder(styled["level1"])
        return self.decoder(list(styled.values()), [x.shape[1:3] for x in features.values()])

    def __call__(self, content: Array, style: Array) -> Array:
        """encode_style, then stylize."""
        return self.stylize(content, self.encode_style(style))


def abstract_network(config: ModelConfig, vgg: VGGBackbone | None = None) -> StylizationNetwork:
    """The network with shapes and types in the place of arrays; nothing is drawn or computed."""
    return nnx.eval_shape(lambda: StylizationNetwork(config, vgg, rngs=nnx.Rngs(0)))
