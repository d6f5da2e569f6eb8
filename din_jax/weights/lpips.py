"""The published weights of LPIPS (Zhang et al. 2018, version 0.1): AlexNet and its linear heads.

Two files of a folder: torchvision's AlexNet (233 MB), whose name has the first digits of its
SHA-256, and the heads `alex.pth` (6 kB) of the `lpips` package. Both are known by their SHA-256
before anything in them is looked at; nothing is downloaded.
"""

import dataclasses
from pathlib import Path

import numpy as np

from din_jax.weights.checked import Expected
from din_jax.weights.errors import WeightsError
from din_jax.weights.find import cache_folder
from din_jax.weights.published import read_published

ALEXNET, ALEXNET_SHA256 = "alexnet-owt-7be5be79.pth", "7be5be79"
HEADS = "alex.pth"
HEADS_SHA256 = "df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0"
# Index among torchvision's `features`, kernel's side, inputs, outputs.
CONVOLUTIONS = (
    (0, 11, 3, 64),
    (3, 5, 64, 192),
    (6, 3, 192, 384),
    (8, 3, 384, 256),
    (10, 3, 256, 256),
)
WHERE = (
    f"{ALEXNET} (https://download.pytorch.org/models/{ALEXNET}) and {HEADS} (weights/v0.1 of the "
    "lpips package)"
)


@dataclasses.dataclass(frozen=True)
class LPIPSWeights:
    """AlexNet's five convolutions, kernels HWIO and biases, and a weight per channel of each."""

    convolutions: tuple[tuple[np.ndarray, np.ndarray], ...]
    heads: tuple[np.ndarray, ...]


def lpips_folder() -> Path:
    """Where they are looked for unasked: `lpips` in the user's cache."""
    return cache_folder() / "lpips"


def find_lpips(folder: str | Path = "") -> LPIPSWeights | None:
    """The weights of a folder, "" for `lpips_folder()`; None where that one has not both files.

    Raises:
      WeightsError: a named folder has not both, or a file is another than the published one.
    """
    where = Path(folder) if folder else lpips_folder()
    missing = [name for name in (ALEXNET, HEADS) if not (where / name).is_file()]
    if missing and not folder:
        return None
    if missing:
        raise WeightsError(
            f"'{where}' must hold the weights of LPIPS, but {' and '.join(missing)} is not there; "
            f"put {WHERE} into it."
        )
    network, weights = {}, {}
    for i, side, inputs, outputs in CONVOLUTIONS:
        network[f"features.{i}.weight"] = Expected((outputs, inputs, side, side))
        network[f"features.{i}.bias"] = Expected((outputs,))
    for k, (*_, outputs) in enumerate(CONVOLUTIONS):
        weights[f"lin{k}.model.1.weight"] = Expected((1, outputs, 1, 1))
    arrays = read_published(where / ALEXNET, ALEXNET_SHA256, network, "LPIPS")
    heads = read_published(where / HEADS, HEADS_SHA256, weights, "LPIPS")
    return LPIPSWeights(
        tuple(
            (
                np.ascontiguousarray(arrays[f"features.{i}.weight"].transpose(2, 3, 1, 0)),
                arrays[f"features.{i}.bias"],
            )
            for i, *_ in CONVOLUTIONS
        ),
        tuple(heads[name].reshape(-1) for name in weights),
    )
