"""Perceptual losses over dicts of VGG features."""

import torch
import torch.nn.functional as F
from torch import Tensor

from parity.reference.dynamic import mean_and_std


def content_loss(x: Tensor, target: Tensor) -> Tensor:
    """MSE of features."""
    return F.mse_loss(x, target)


def style_loss(x: Tensor, target: Tensor) -> Tensor:
    """MSE of channel means plus MSE of channel deviations (Li et al. 2017, eq. 11)."""
    mean, std = mean_and_std(x)
    target_mean, target_std = mean_and_std(target)
    return F.mse_loss(mean, target_mean) + F.mse_loss(std, target_std)


def gram(x: Tensor) -> Tensor:
    """Gram matrices [B, C, C], divided by the number of values of a map."""
    b, c, h, w = x.shape
    flat = x.reshape(b, c, h * w)
    return torch.bmm(flat, flat.transpose(1, 2)) / (c * h * w)


def gram_loss(x: Tensor, target: Tensor) -> Tensor:
    """MSE of Gram matrices."""
    return F.mse_loss(gram(x), gram(target))


def total_variation(x: Tensor) -> Tensor:
    """Mean absolute difference of neighbors, down plus across."""
    return x.diff(dim=2).abs().mean() + x.diff(dim=3).abs().mean()
