"""Convolutions with reflection padding, norms, and the blocks of the content network."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size at stride 1."""
    return nn.Conv2d(
        inputs,
        outputs,
        kernel,
        stride,
        padding=kernel // 2,
        padding_mode="reflect" if kernel > 1 else "zeros",
        groups=groups,
    )


class BatchNorm(nn.BatchNorm2d):
    """Batch norm whose running variance is the biased one, as Flax keeps it.

    PyTorch keeps the unbiased one, larger by N / (N - 1) with N = B H W: 1e-3 at 2 x 16 x 32. It
    acts in evaluation only; the outputs in training are the same either way.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        with torch.no_grad():
            variance, mean = torch.var_mean(x, (0, 2, 3), correction=0)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)
        return F.batch_norm(x, None, None, self.weight, self.bias, True, eps=self.eps)


def make_norm(kind: str, channels: int) -> nn.Module:
    """The norm that a config names: "instance", "batch" or "none"."""
    if kind == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    return BatchNorm(channels, momentum=0.01) if kind == "batch" else nn.Identity()


class ConvBlock(nn.Module):
    """Convolution, norm, ReLU unless `linear`."""

    def __init__(self, inputs, outputs, kernel=3, stride=1, *, norm, groups=1, linear=False):
        super().__init__()
        self.conv = conv(inputs, outputs, kernel, stride, groups)
        self.norm = make_norm(norm, outputs)
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.conv(x))
        return y if self.linear else F.relu(y)


class SeparableBlock(nn.Module):
    """Depthwise 3x3, then pointwise; one 3x3 convolution with `separable=False`."""

    def __init__(self, inputs, outputs, stride=1, *, norm, separable=True, linear=False):
        super().__init__()
        if separable:
            self.depthwise = ConvBlock(inputs, inputs, 3, stride, norm=norm, groups=inputs)
            self.pointwise = ConvBlock(inputs, outputs, 1, norm=norm, linear=linear)
        else:
            self.depthwise = nn.Identity()
            self.pointwise = ConvBlock(inputs, outputs, 3, stride, norm=norm, linear=linear)

    def forward(self, x: Tensor) -> Tensor:
        return self.pointwise(self.depthwise(x))


class ResidualBlock(nn.Module):
    """x + f(x), the second block of f without ReLU."""

    def __init__(self, channels, *, norm, separable):
        super().__init__()
        self.first = SeparableBlock(channels, channels, norm=norm, separable=separable)
        self.second = SeparableBlock(
            channels, channels, norm=norm, separable=separable, linear=True
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(x))


class RunningStandardize(nn.Module):
    """(x - m) / (s + 0.01) for [B, C], m and s the running mean and deviation of training.

    The n-th update has rate max(1 / n, 0.01): plain averages at first.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self.register_buffer("updates", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            with torch.no_grad():
                self.updates += 1
                rate = max(1 / self.updates.item(), 0.01)
                self.mean.lerp_(x.mean(0), rate)
                self.variance.lerp_((x - self.mean).square().mean(0), rate)
        return (x - self.mean) / (self.variance.sqrt() + 0.01)
