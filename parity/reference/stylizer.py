"""encode_style(style) -> code, stylize(content, code) -> image, for every kind of model."""

import copy

import torch
from torch import Tensor, nn

from parity.reference.dynamic import (
    dynamic_instance_norm,
    mean_and_std,
    spatial_instance_norm,
)
from parity.reference.layers import RunningStandardize
from parity.reference.nets import DeformableLayer, DynamicCode, SpatialCode
from parity.reference.networks import (
    STATISTICS,
    ContentDecoder,
    ContentEncoder,
    MobileNetStyleEncoder,
    StatisticsEncoder,
)
from parity.reference.vgg import VGG19, log_statistics, vgg_decoder

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1")
Code = dict[str, tuple[Tensor, Tensor]]


class Pictures(nn.Module):
    """The pictures that a code is tried on, [4, 64, 64, 3]."""

    def __init__(self):
        super().__init__()
        self.register_buffer("pictures", torch.zeros(4, 64, 64, 3))


class Stylizer(nn.Module):
    """The model that a `din_jax.config.ModelConfig` describes.

    `vgg` is used and neither trained nor saved: it is kept out of the state dict.
    """

    def __init__(self, config, vgg: VGG19):
        super().__init__()
        self.config = config
        object.__setattr__(self, "vgg", vgg)
        if config.network == "vgg19":
            self.decoder = vgg_decoder()
            channels = {"level1": 512}
        else:
            shared = {"residuals": config.residuals, "separable": config.separable}
            self.encoder = ContentEncoder(
                config.widths, kernel=config.kernel, norm=config.encoder_norm, **shared
            )
            self.decoder = ContentDecoder(config.widths, norm=config.decoder_norm, **shared)
            levels = range(4 - config.levels, 4)
            channels = {f"level{i}": config.widths[i - 1] for i in levels}
        self.levels = tuple(channels)
        statistics = config.style_feature == "statistics"
        if config.style_encoder == "mobilenet":
            self.style_encoder = StatisticsEncoder() if statistics else MobileNetStyleEncoder()
        if statistics:
            self.standardize = RunningStandardize(STATISTICS)
        if config.code == "din":
            inputs = STATISTICS if statistics else 512
            self.codes = nn.ModuleDict(
                {name: self._code_net(inputs, c) for name, c in channels.items()}
            )
        if config.net_feedback:
            self.feedback = Pictures()
        if config.transform == "deformable":
            self.deformations = nn.ModuleDict(
                {name: self._deformation(c) for name, c in channels.items()}
            )

    def _code_net(self, inputs: int, channels: int) -> nn.Module:
        c = self.config
        shared = {"hidden": c.net_hidden, "scale": c.net_scale}
        if c.transform == "spatial":
            return SpatialCode(inputs, channels, grid=c.spatial_grid, **shared)
        return DynamicCode(
            inputs,
            channels,
            pool=c.net_pool,
            kernel=c.net_kernel,
            side=c.dynamic_kernel,
            groups=c.dynamic_groups or channels,
            corrected=c.net_feedback > 0,
            **shared,
        )

    def _deformation(self, channels: int) -> DeformableLayer:
        c = self.config
        return DeformableLayer(
            channels,
            side=c.dynamic_kernel,
            dilation=c.dynamic_dilation,
            groups=c.offset_groups,
            modulated=c.modulated,
        )

    def encode_content(self, content: Tensor) -> dict[str, Tensor]:
        if self.config.network == "vgg19":
            return {"level1": self.vgg(content)["relu4_1"]}
        return {f"level{i}": x for i, x in enumerate(self.encoder(content), 1)}

    def describe(self, features: dict[str, Tensor]) -> Tensor:
        """What the nets read, from VGG features."""
        if self.config.style_feature == "relu4_1":
            return features["relu4_1"]
        statistics = log_statistics([features[name] for name in STYLE_LAYERS])
        return self.standardize(statistics)[:, :, None, None]

    def style_features(self, style: Tensor) -> Tensor:
        if self.config.style_encoder == "mobilenet":
            return self.style_encoder(style)
        return self.describe(self.vgg(style))

    def code(self, features: Tensor) -> Code:
        if not self.config.net_feedback:
            return {name: net(features) for name, net in self.codes.items()}
        missing = self.missing(features.detach())
        return {name: net(features, missing) for name, net in self.codes.items()}

    @torch.no_grad()
    def missing(self, features: Tensor) -> Tensor:
        """What pictures painted in a style lack of its statistics, summed over the rounds."""
        still = self.at_rest()
        pictures = self.feedback.pictures.permute(0, 3, 1, 2)
        missing = torch.zeros_like(features)
        for _ in range(self.config.net_feedback):
            seen = []
            for style, lacks in zip(features.split(1), missing.split(1), strict=True):
                one = {name: net(style, lacks) for name, net in still.codes.items()}
                code = {
                    name: tuple(x.expand(len(pictures), *x.shape[1:]) for x in parts)
                    for name, parts in one.items()
                }
                painted = still.stylize(pictures, code).clamp(0, 1)
                seen.append(still.style_features(painted).mean(0, keepdim=True))
            missing = missing + features - torch.cat(seen)
        return missing

    def at_rest(self) -> "Stylizer":
        """A copy in eval mode and without hooks: what records modules sees the code's own pass."""
        still = copy.deepcopy(self, {id(self.vgg): self.vgg}).eval()
        for module in still.modules():
            module._forward_hooks.clear()
        return still

    def encode_style(self, style: Tensor) -> Code:
        """One (kernel [B, O, I / groups, K, K], bias [B, O]) per level, or two maps of it."""
        if self.config.code == "din":
            return self.code(self.style_features(style))
        features, code = self.encode_content(style), {}
        for name in self.levels:
            mean, std = mean_and_std(features[name])
            code[name] = (std[:, :, None, None, None], mean)
        return code

    def paint(self, name: str, x: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
        """One styled layer."""
        c = self.config
        if c.transform == "deformable":
            return self.deformations[name](x, kernel, bias)
        if c.transform == "spatial":
            return spatial_instance_norm(x, kernel, bias)
        return dynamic_instance_norm(x, kernel, bias, c.dynamic_dilation)

    def stylize(self, content: Tensor, code: Code) -> Tensor:
        features = self.encode_content(content)
        styled = [
            self.paint(name, x, *code[name]) if name in self.levels else None
            for name, x in features.items()
        ]
        if self.config.network == "vgg19":
            return self.decoder(styled[0])
        return self.decoder(styled, [x.shape[2:] for x in features.values()])

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        return self.stylize(content, self.encode_style(style))
