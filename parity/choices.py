"""Where frameworks and publications differ by nature: the error of the other choice.

Nothing is held to a tolerance. Each choice is documented where it is made: `ops/resizing.py`
(bilinear, pooling), `ops/spatial.py` (antialiasing), `ops/padding.py`, `ops/statistics.py`
(variance), `models/vgg.py` (padding and pooling of VGG-19), `layers/norms.py` (running variance).
Reflection by as much as a map's size has no row: this project and PyTorch refuse it.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F

from din_jax.weights import VGGWeights
from din_jax.weights.torch_names import vgg19_to_torch
from parity.measure import Row, difference
from parity.pair import as_torch, load, random_batch
from parity.reference.dynamic import adain, mean_and_std, spatial_instance_norm
from parity.reference.networks import upsample
from parity.reference.vgg import VGG19

SECTION = "if chosen otherwise"
ODD = (45, 53)  # pixels; odd again after one and after two poolings


def compare_choices(weights: VGGWeights, seed: int) -> Iterator[Row]:
    """Relative errors of what another implementation may choose, in float64."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    def row(name: str, chosen: torch.Tensor, otherwise: torch.Tensor) -> Row:
        return difference(SECTION, name, otherwise, chosen)

    x = random(2, 6, 9, 11)
    chosen = upsample(x, (18, 22))
    yield row("bilinear x2: align_corners", chosen, upsample(x, (18, 22), align_corners=True))
    smooth = F.interpolate(x, scale_factor=2, mode="bilinear", antialias=True)
    yield row("bilinear x2: antialiasing", chosen, smooth)
    maps = random(2, 6, 16, 16), random(2, 6, 16, 16)
    yield row(
        "spatial code reduced: no antialiasing",
        spatial_instance_norm(x, *maps),
        spatial_instance_norm(x, *maps, antialias=False),
    )

    content, style = random(2, 6, 5, 6), random(2, 6, 16, 16)
    other = adain(content, style, correction=1)
    yield row("AdaIN of 5x6 by 16x16: unbiased variance", adain(content, style), other)
    deviations = (mean_and_std(content, correction)[1] for correction in (0, 1))
    yield row("deviation of 5x6: unbiased variance", *deviations)
    batch = random(2, 6, 8, 8)
    variances = (batch.var((0, 2, 3), correction=correction) for correction in (0, 1))
    yield row("running variance of 2x8x8: unbiased", *variances)

    images = as_torch(random_batch(ODD, 2, seed)["content"], "float64")
    chosen = _deepest(weights, images)
    up = _deepest(weights, images, ceil_mode=True)
    rows, columns = chosen.shape[2:]
    size = f"{rows}x{columns}, not {up.shape[2]}x{up.shape[3]}"
    yield row(
        f"relu4_1 of {ODD[0]}x{ODD[1]} ({size}): ceil mode", chosen, up[:, :, :rows, :columns]
    )
    zeros = _deepest(weights, images, padding_mode="zeros")
    yield row(f"relu4_1 of {ODD[0]}x{ODD[1]}: padding by zeros", chosen, zeros)


def _deepest(weights: VGGWeights, images: torch.Tensor, **choice) -> torch.Tensor:
    vgg = VGG19(weights.preprocessing, len(weights.layers), **choice).double()
    load(vgg, vgg19_to_torch(weights))
    return vgg(images)["relu4_1"]
