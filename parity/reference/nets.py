"""What fills a style code, and the deformable layer that applies one."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from parity.reference.dynamic import deformable_conv
from parity.reference.layers import conv


def hidden_units(x: Tensor, layer: nn.Conv2d, more: Tensor | float = 0.0) -> Tensor:
    """Zero mean, unit variance over everything of one image (layer norm), convolution, ReLU."""
    return F.leaky_relu(layer(F.layer_norm(x, x.shape[1:], eps=1e-5) / 16) + more, 0.2)


class DynamicNet(nn.Module):
    """Style features [B, C, H, W] -> [B, outputs, side, side]: pool, two convolutions."""

    def __init__(self, inputs, outputs, *, hidden, pool, kernel, side=1, corrected=False):
        super().__init__()
        self.strided = kernel > 1
        self.pool = pool * side if self.strided else pool
        self.side = side
        stride = 2 if self.strided else 1
        self.first = conv(inputs, hidden, kernel, stride)
        self.last = conv(hidden, outputs if self.strided else side * side * outputs, kernel, stride)
        if corrected:
            self.correct = conv(inputs, hidden, 1)

    def forward(self, features: Tensor, missing: Tensor | None = None) -> Tensor:
        more = 0.0 if missing is None else self.correct(missing / 16)
        x = hidden_units(F.adaptive_avg_pool2d(features, self.pool), self.first, more)
        if self.strided:
            return F.adaptive_avg_pool2d(self.last(x), self.side)
        taps = self.last(F.adaptive_avg_pool2d(x, 1)).view(len(x), self.side, self.side, -1)
        return taps.permute(0, 3, 1, 2)


class DynamicCode(nn.Module):
    """Kernel I + s g net(style) [B, C, C / groups, K, K] and bias 4 g net(style) [B, C]."""

    def __init__(
        self, inputs, channels, *, hidden, pool, kernel, scale, side=1, groups=1, corrected=False
    ):
        super().__init__()
        per_group = channels // groups
        shared = {"hidden": hidden, "pool": pool, "kernel": kernel, "corrected": corrected}
        self.weight_net = DynamicNet(inputs, per_group * channels, side=side, **shared)
        self.bias_net = DynamicNet(inputs, channels, **shared)
        self.shape = (per_group, channels, side, side)
        self.groups = groups
        self.scale = scale
        self.kernel_scale = scale * (groups / side**2) ** 0.5

    def forward(self, features: Tensor, *missing: Tensor) -> tuple[Tensor, Tensor]:
        # The net's outputs run through the output channels of one input channel first.
        numbers = self.weight_net(features, *missing).reshape(-1, *self.shape).transpose(1, 2)
        identity = nn.init.dirac_(torch.empty_like(numbers[0]), groups=self.groups)
        bias = self.bias_net(features, *missing).flatten(1)
        return identity + self.kernel_scale * numbers, 4 * self.scale * bias


class MapNet(nn.Module):
    """Style features -> [B, outputs, grid, grid]: pool, two 3x3 convolutions."""

    def __init__(self, inputs, outputs, *, hidden, grid):
        super().__init__()
        self.first = conv(inputs, hidden, 3)
        self.last = conv(hidden, outputs, 3)
        self.grid = grid

    def forward(self, features: Tensor) -> Tensor:
        return self.last(hidden_units(F.adaptive_avg_pool2d(features, self.grid), self.first))


class SpatialCode(nn.Module):
    """Maps 1 + 4 g net(style) and 4 g net(style), both [B, C, grid, grid]."""

    def __init__(self, inputs, channels, *, hidden, grid, scale):
        super().__init__()
        self.weight_net = MapNet(inputs, channels, hidden=hidden, grid=grid)
        self.bias_net = MapNet(inputs, channels, hidden=hidden, grid=grid)
        self.scale = 4 * scale

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        weight = 1 + self.scale * self.weight_net(features)
        return weight, self.scale * self.bias_net(features)


class DeformableLayer(nn.Module):
    """Deformable convolution of the normalized map; one 3x3 convolution on it gives the offsets."""

    def __init__(self, channels, *, side, dilation=1, groups=1, modulated=False):
        super().__init__()
        self.points = groups * side**2
        self.offset_net = conv(channels, self.points * (3 if modulated else 2), 3)
        self.scale = (9 * channels) ** -0.5
        self.dilation = dilation
        self.modulated = modulated

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        x = F.instance_norm(x, eps=1e-5)
        raw, mask = self.offset_net(self.scale * x), None
        if self.modulated:
            raw, mask = raw.split([2 * self.points, self.points], 1)
            mask = 2 * mask.sigmoid()
        return deformable_conv(x, raw, weight, bias, mask, dilation=self.dilation)
