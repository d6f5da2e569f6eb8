"""What other programs' files call the layers of VGG-19.

Kernels are HWIO here, [3, 3, inputs, outputs]; PyTorch's are OIHW. Sources: torchvision's
vgg.py; the encoder of naoto0804/pytorch-AdaIN, whose list of modules also counts the padding layers
and starts with a 1x1 convolution.
"""

import dataclasses

from din_jax.vgg_layout import BLOCKS, CHANNELS


@dataclasses.dataclass(frozen=True)
class Naming:
    """How a file calls kernel and bias of each convolution.

    Attributes:
      kernels: our name of the convolution to the file's name of its kernel.
      biases: the same for its bias.
      oihw: whether kernels are stored [outputs, inputs, 3, 3], as PyTorch does.
      title: whose layout this is, for messages.
    """

    kernels: dict[str, str]
    biases: dict[str, str]
    oihw: bool
    title: str


def _numbered(prefix: str, first: int, step: int, pool: int, title: str) -> Naming:
    """PyTorch's names: `step` modules from one convolution to the next, `pool` more per pooling."""
    kernels, biases = {}, {}
    index = first
    for block, (count, _) in enumerate(BLOCKS, 1):
        for number in range(1, count + 1):
            kernels[f"conv{block}_{number}"] = f"{prefix}{index}.weight"
            biases[f"conv{block}_{number}"] = f"{prefix}{index}.bias"
            index += step
        index += pool
    return Naming(kernels, biases, True, title)


OURS = Naming(
    {name: f"{name}_kernel" for name in CHANNELS},
    {name: f"{name}_bias" for name in CHANNELS},
    False,
    "this project's",
)
TORCHVISION_FULL = _numbered("features.", 0, 2, 1, "torchvision's")
TORCHVISION_FEATURES = _numbered("", 0, 2, 1, "torchvision's features")
ADAIN = _numbered("", 2, 3, 1, "the AdaIN authors'")
# The leading 1x1 convolution of that file turns RGB in [0, 1] into BGR bytes minus their mean.
ADAIN_FIRST_KERNEL, ADAIN_FIRST_BIAS = "0.weight", "0.bias"

# Parts of published files that no perceptual loss needs.
CLASSIFIER_PREFIXES = ("classifier.", "pre_logits.", "head.")
