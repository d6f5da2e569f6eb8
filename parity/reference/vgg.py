"""VGG-19 with reflection padding, and its mirrored decoder with the published names."""

import torch
from torch import Tensor, nn

# Channels of each convolution, "M" a max pooling: torchvision's configuration "E".
LAYOUT = [64, 64, "M", 128, 128, "M", 256, 256, 256, 256, "M", 512, 512, 512, 512, "M"]
LAYOUT += [512, 512, 512, 512, "M"]


class VGG19(nn.Module):
    """Frozen torchvision VGG-19 (`features.N.weight`), padded by reflection.

    Args:
      preprocessing: has `scale`, `mean` and `std` in RGB order, and `bgr`.
      last: convolutions to build, from the first.
      ceil_mode: whether an odd last row or column is pooled too, as the published AdaIN does.
      padding_mode: "zeros" is torchvision's own.
    """

    def __init__(self, preprocessing, last: int = 9, ceil_mode=False, padding_mode="reflect"):
        super().__init__()
        layers, self.names, inputs, block, number = [], {}, 3, 1, 0
        for entry in LAYOUT:
            if len(self.names) == last:
                break
            if entry == "M":
                layers.append(nn.MaxPool2d(2, ceil_mode=ceil_mode))
                block, number = block + 1, 0
                continue
            number += 1
            layers += [nn.Conv2d(inputs, entry, 3, padding=1, padding_mode=padding_mode), nn.ReLU()]
            self.names[len(layers) - 1] = f"relu{block}_{number}"
            inputs = entry
        self.features = nn.Sequential(*layers)
        self.preprocessing = preprocessing
        self.requires_grad_(False)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """RGB in [0, 1], [B, 3, H, W], to the maps after every ReLU."""
        p = self.preprocessing
        mean, std = (images.new_tensor(v).view(1, 3, 1, 1) for v in (p.mean, p.std))
        x = (images * p.scale - mean) / std
        x = x.flip(1) if p.bgr else x
        found = {}
        for place, layer in enumerate(self.features):
            x = layer(x)
            if place in self.names:
                found[self.names[place]] = x
        return found


def vgg_decoder() -> nn.Sequential:
    """From relu4_1 back to the image, module for module as `decoder.pth` is published."""
    widths = [512, 256, "U", 256, 256, 256, 128, "U", 128, 64, "U", 64, 3]
    layers, inputs = [], widths[0]
    for entry in widths[1:]:
        if entry == "U":
            layers.append(nn.Upsample(scale_factor=2, mode="nearest"))
            continue
        layers += [nn.ReflectionPad2d(1), nn.Conv2d(inputs, entry, 3), nn.ReLU()]
        inputs = entry
    return nn.Sequential(*layers[:-1])


def log_statistics(maps: list[Tensor]) -> Tensor:
    """log of mean and deviation, at least 0.001, of all channels of all maps: [B, 2 sum C]."""
    parts = []
    for x in maps:
        variance, mean = torch.var_mean(x, (2, 3), correction=0)
        parts += [mean, (variance + 1e-5).sqrt()]
    return torch.cat(parts, 1).clamp(min=1e-3).log()
