"""The content network and the style encoders."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from parity.reference.layers import ConvBlock, ResidualBlock, SeparableBlock, conv
from parity.reference.vgg import log_statistics

STATISTICS = 2 * (64 + 128 + 256 + 512)


class ContentEncoder(nn.Module):
    """Image -> maps at full, half and quarter size (Jing et al. 2020, figure 4)."""

    def __init__(self, widths, *, kernel, residuals, norm, separable):
        super().__init__()
        c1, c2, c3 = widths
        shared = {"norm": norm, "separable": separable}
        self.conv = ConvBlock(3, c1, kernel, norm=norm)
        self.down1 = SeparableBlock(c1, c2, 2, **shared)
        self.down2 = SeparableBlock(c2, c3, 2, **shared)
        self.residuals = nn.Sequential(*[ResidualBlock(c3, **shared) for _ in range(residuals)])

    def forward(self, images: Tensor) -> list[Tensor]:
        level1 = self.conv(4 * images - 2)
        level2 = self.down1(level1)
        return [level1, level2, self.residuals(self.down2(level2))]


class ContentDecoder(nn.Module):
    """Styled maps -> image; levels 2 and 1 are added after the first and second upsampling."""

    def __init__(self, widths, *, residuals, norm, separable):
        super().__init__()
        c1, c2, c3 = widths
        shared = {"norm": norm, "separable": separable}
        self.residuals = nn.Sequential(*[ResidualBlock(c3, **shared) for _ in range(residuals)])
        self.up1 = SeparableBlock(c3, c2, **shared)
        self.up2 = SeparableBlock(c2, c1, **shared)
        self.output = conv(c1, 3, 3)

    def forward(self, styled: list[Tensor | None], sizes: list[torch.Size]) -> Tensor:
        level1, level2, level3 = styled
        x = self.up1(upsample(self.residuals(level3), sizes[1]))
        x = x if level2 is None else x + level2
        x = self.up2(upsample(x, sizes[0]))
        x = x if level1 is None else x + level1
        return self.output(x) + 0.5


def upsample(x: Tensor, size, align_corners: bool = False) -> Tensor:
    """Bilinear by exactly two, then cut to the size that a strided convolution had rounded up."""
    x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=align_corners)
    return x[:, :, : size[0], : size[1]]


class MobileNetFeatures(nn.Module):
    """A style's maps after a convolution and five separable blocks, without norms."""

    CHANNELS = (32, 64, 128, 128, 256, 512)
    STRIDES = (2, 1, 2, 1, 2, 1)

    def __init__(self):
        super().__init__()
        self.conv = ConvBlock(3, self.CHANNELS[0], 3, 2, norm="none")
        sizes = zip(self.CHANNELS, self.CHANNELS[1:], self.STRIDES[1:], strict=False)
        self.blocks = nn.ModuleList([SeparableBlock(i, o, s, norm="none") for i, o, s in sizes])

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = [self.conv(4 * images - 2)]
        for block in self.blocks:
            maps.append(block(maps[-1]))
        return maps


class MobileNetStyleEncoder(nn.Module):
    """Style image -> a map in relu4_1's place."""

    def __init__(self):
        super().__init__()
        self.features = MobileNetFeatures()

    def forward(self, images: Tensor) -> Tensor:
        return self.features(images)[-1]


class StatisticsEncoder(nn.Module):
    """Style image -> predicted standardized statistics of VGG-19, [B, 1920, 1, 1]."""

    def __init__(self):
        super().__init__()
        self.features = MobileNetFeatures()
        self.first = conv(2 * sum(MobileNetFeatures.CHANNELS), 256, 1)
        self.last = conv(256, STATISTICS, 1)

    def forward(self, images: Tensor) -> Tensor:
        x = log_statistics(self.features(images))
        deviation, mean = torch.std_mean(x, 1, keepdim=True, correction=0)
        x = (x - mean) / (deviation + 0.01)
        return self.last(F.leaky_relu(self.first(x[:, :, None, None]), 0.2))
