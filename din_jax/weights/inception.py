"""The published weights of the Inception networks that Frechet distances are measured with.

For FID `pt_inception-2015-12-05-6726825d.pth` (95 MB) of pytorch-fid, TensorFlow's weights of
2015-12-05 as a PyTorch state dict; its name has the first digits of its SHA-256, by which it is
known before anything in it is looked at. For ArtFID `art_inception.pth` of Wright & Ommer 2022,
trained on paintings: its SHA-256 is not published, so it is read as safetensors, which can hold
numbers alone. Nothing is downloaded.
"""

from pathlib import Path
from typing import Any

import numpy as np

from din_jax.models.inception import unit_shapes
from din_jax.weights.checked import Expected
from din_jax.weights.errors import WeightsError
from din_jax.weights.find import cache_folder
from din_jax.weights.opening import TO_SAFETENSORS
from din_jax.weights.published import read_published

FILE, SHA256 = "pt_inception-2015-12-05-6726825d.pth", "6726825d"
WHERE = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{FILE}"
ART_FILE = "art_inception.safetensors"
ART_WHERE = "https://huggingface.co/matthias-wright/art_inception/resolve/main/art_inception.pth"
EPSILON = 1e-3  # of its batch norms
NORM = ("weight", "bias", "running_mean", "running_var")


def find_inception(path: str | Path = "") -> dict[str, dict[str, Any]] | None:
    """Parameters as `models.inception` takes them, batch norms folded into the kernels.

    Args:
      path: the file; "" looks in the user's cache, and gives None where it is not there.

    Raises:
      WeightsError: a named file is not there, or a file is another than the published one.
    """
    missing = f"the weights of FID are at {WHERE}"
    return _find(path, FILE, SHA256, "FID's Inception network", missing)


def find_art_inception(path: str | Path = "") -> dict[str, dict[str, Any]] | None:
    """The same of ArtFID's network, from a safetensors file (or npz) of PyTorch's names."""
    turned = TO_SAFETENSORS.replace("FILE", Path(ART_FILE).stem)
    missing = f"the weights of ArtFID are at {ART_WHERE}; make the file of them: {turned}"
    return _find(path, ART_FILE, None, "ArtFID's Inception network", missing)


def _find(path: str | Path, name: str, published: str | None, what: str, missing: str):
    where = Path(path).expanduser() if path else cache_folder() / name
    if not where.is_file():
        if not path:
            return None
        raise WeightsError(f"there is no file {where}; {missing}")
    expected = {}
    for name, (h, w, inputs, outputs) in unit_shapes().items():
        expected[f"{name}.conv.weight"] = Expected((outputs, inputs, h, w))
        expected |= {f"{name}.bn.{part}": Expected((outputs,)) for part in NORM}
    arrays = read_published(where, published, expected, what)
    return {name: _folded(arrays, name) for name in unit_shapes()}


def _folded(arrays, name: str) -> dict[str, np.ndarray]:
    """Convolution and batch norm as one: y = scale (conv(x) - mean) + bias."""
    weight, bias, mean, variance = (arrays[f"{name}.bn.{part}"] for part in NORM)
    scale = weight / np.sqrt(variance + np.float32(EPSILON))
    kernel = arrays[f"{name}.conv.weight"].transpose(2, 3, 1, 0) * scale
    return {"kernel": np.ascontiguousarray(kernel), "bias": bias - mean * scale}
