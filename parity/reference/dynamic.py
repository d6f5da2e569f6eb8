"""Operations with parameters of their own for every image of a batch, and per position."""

import torch
import torch.nn.functional as F
from torch import Tensor


def dynamic_conv(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, dilation: int = 1
) -> Tensor:
    """Each image by its own kernel: the batch becomes groups of one grouped convolution.

    Args:
      x: [B, I, H, W].
      weight: [B, O, I / groups, K, K].
      bias: [B, O] or None.
      dilation: pixels between taps.

    Returns:
      [B, O, H, W], padded by reflection.
    """
    b, channels, height, width = x.shape
    out, per_group, side = weight.shape[1:4]
    pad = dilation * (side // 2)
    padded = F.pad(x, (pad, pad, pad, pad), mode="reflect") if pad else x
    y = F.conv2d(
        padded.reshape(1, b * channels, height + 2 * pad, width + 2 * pad),
        weight.reshape(b * out, per_group, side, side),
        None if bias is None else bias.reshape(b * out),
        dilation=dilation,
        groups=b * (channels // per_group),
    )
    return y.reshape(b, out, height, width)


def dynamic_instance_norm(x: Tensor, weight: Tensor, bias: Tensor, dilation: int = 1) -> Tensor:
    """DIN: instance norm, then the dynamic convolution (Jing et al. 2020, eq. 4)."""
    return dynamic_conv(F.instance_norm(x, eps=1e-5), weight, bias, dilation)


def spatial_instance_norm(x: Tensor, weight: Tensor, bias: Tensor, antialias=True) -> Tensor:
    """A weight and a bias per position: maps [B, C, h, w] of any size, resized to that of x."""

    def resize(values: Tensor) -> Tensor:
        return F.interpolate(
            values, x.shape[2:], mode="bilinear", align_corners=False, antialias=antialias
        )

    return F.instance_norm(x, eps=1e-5) * resize(weight) + resize(bias)


def deformable_conv(
    x: Tensor,
    offsets: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    *,
    stride: int = 1,
    dilation: int = 1,
) -> Tensor:
    """Deformable convolution with a kernel per image, by `grid_sample` tap by tap.

    Zero outside the map, padded by dilation * (K // 2); y and x of every offset in turn, as in
    torchvision's `deform_conv2d`.

    Args:
      x: [B, I, H, W].
      offsets: [B, offset groups * K * K * 2, H / stride, W / stride], in pixels.
      weight: [B, O, I / groups, K, K].
      bias: [B, O] or None.
      mask: [B, offset groups * K * K, H / stride, W / stride] or None.
    """
    b, channels, height, width = x.shape
    side = weight.shape[-1]
    rows, columns = offsets.shape[2:]
    offsets = offsets.reshape(b, -1, side, side, 2, rows, columns)
    groups = offsets.shape[1]
    parts = x.reshape(b * groups, channels // groups, height, width)
    row = torch.arange(rows, dtype=x.dtype, device=x.device)[:, None] * stride
    column = torch.arange(columns, dtype=x.dtype, device=x.device) * stride
    y = 0
    for i in range(side):
        for j in range(side):
            moved = offsets[:, :, i, j]
            down = row + dilation * (i - side // 2) + moved[:, :, 0]
            across = column + dilation * (j - side // 2) + moved[:, :, 1]
            # grid_sample wants (x, y) from -1 to 1 between the centers of the corner pixels.
            grid = torch.stack([2 * across / (width - 1) - 1, 2 * down / (height - 1) - 1], -1)
            sampled = F.grid_sample(
                parts, grid.reshape(b * groups, rows, columns, 2), align_corners=True
            ).reshape(b, groups, -1, rows, columns)
            if mask is not None:
                sampled = (
                    sampled * mask.reshape(b, groups, side, side, 1, rows, columns)[:, :, i, j]
                )
            sampled = sampled.reshape(b, channels, rows, columns)
            y = y + dynamic_conv(sampled, weight[..., i : i + 1, j : j + 1])
    return y if bias is None else y + bias[:, :, None, None]


def mean_and_std(x: Tensor, correction: int = 0) -> tuple[Tensor, Tensor]:
    """Channel means and deviations [B, C]; `correction=1` is the published AdaIN's variance."""
    variance, mean = torch.var_mean(x, (2, 3), correction=correction)
    return mean, (variance + 1e-5).sqrt()


def adain(content: Tensor, style: Tensor, correction: int = 0) -> Tensor:
    """AdaIN (Huang & Belongie 2017, eq. 8) as naoto0804/pytorch-AdaIN computes it."""

    def spread(statistic: Tensor) -> Tensor:
        return statistic[:, :, None, None]

    content_mean, content_std = mean_and_std(content, correction)
    style_mean, style_std = mean_and_std(style, correction)
    normalized = (content - spread(content_mean)) / spread(content_std)
    return normalized * spread(style_std) + spread(style_mean)
