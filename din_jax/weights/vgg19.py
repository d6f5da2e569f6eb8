"""VGG-19 weights from any file that users have, checked layer by layer, and their preprocessing."""

import dataclasses
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from din_jax.files import replacing
from din_jax.ops.preprocessing import CAFFE, TORCHVISION, Preprocessing
from din_jax.weights import find, names
from din_jax.weights.checked import LARGEST, Expected, read_checked
from din_jax.weights.containers import Entry
from din_jax.weights.errors import WeightsError, one_line
from din_jax.weights.opening import open_weights

Params = dict[str, dict[str, np.ndarray]]
Arrays = dict[str, np.ndarray]
LONGEST_NOTE = 400  # characters
# What `save_vgg19` writes beside the layers.
PREPROCESSING = {
    "preprocessing_scale": Expected(()),
    "preprocessing_mean": Expected((3,)),
    "preprocessing_std": Expected((3,)),
    "preprocessing_bgr": Expected((), ("bool",)),
}


@dataclasses.dataclass(frozen=True)
class VGGWeights:
    """The convolutions of a VGG-19, from the first to the last that its file holds.

    Attributes:
      params: `conv1_1`, `conv1_2`, ... to {"kernel": [3, 3, I, O], "bias": [O]}, float32.
      preprocessing: what this network wants done to RGB images in [0, 1].
      layers: the names in `params`, in order.
      note: what to say beside results that rest on these weights; "" if nothing.
    """

    params: Params
    preprocessing: Preprocessing
    layers: tuple[str, ...]
    note: str = ""


def load_vgg19(path: str | Path, preprocessing: Preprocessing | None = None) -> VGGWeights:
    """Reads VGG-19 weights, whichever program wrote them, and checks every layer.

    Read are, as .safetensors or .npz: torchvision's names (`features.N.weight`, with or
    without the prefix; RGB by ImageNet's mean and deviation), the AdaIN authors' `vgg_normalised`
    (`N.weight`, a leading 1x1 convolution, which becomes the preprocessing), and this project's
    (`conv1_1_kernel` HWIO, `conv1_1_bias`, and either `mean_bgr` [3] for BGR bytes minus that mean,
    or what `save_vgg19` writes). A file may end early, after any convolution. Of PyTorch's own
    `.pth` files the published ones are read (`find.PUBLISHED`), known by their SHA-256 before
    anything else is looked at; others are converted first (`opening.TO_SAFETENSORS`).

    Args:
      path: the file.
      preprocessing: what the network wants, where the file's names would mislead: Caffe's weights
        under torchvision's names need `din_jax.ops.preprocessing.CAFFE`.

    Raises:
      WeightsNotFound: there is no such file.
      WeightsError: the file is damaged or of an unknown pickle, or entries are missing, misshapen,
        not finite, absurdly large or unknown; the message names what has room of them.
    """
    with open_weights(path, find.PUBLISHED) as entries:
        entries = {
            name: entry
            for name, entry in entries.items()
            if not name.startswith(names.CLASSIFIER_PREFIXES)
        }
        naming = _naming(entries)
        if naming is None:
            found = ", ".join(one_line(name, 80) for name in sorted(entries)[:4]) or "no arrays"
            raise WeightsError(
                f"{path} holds {found} but no first convolution of a VGG-19 (features.0.weight, "
                "0.weight or conv1_1_kernel); give a VGG-19 file"
            )
        arrays, problems = read_checked(entries, _expected(entries, naming))
    found_preprocessing, note = TORCHVISION, ""
    if not problems:
        try:
            if naming is names.ADAIN:
                found_preprocessing = _from_first_convolution(arrays)
            elif naming is names.OURS:
                found_preprocessing, note = _from_own_entries(arrays)
            _require_usable(found_preprocessing)
        except ValueError as error:
            problems = f"its preprocessing is unusable ({one_line(error)})"
    if problems:
        raise WeightsError(
            f"{path} is not a VGG-19 in {naming.title} layout: {problems}; "
            "give a complete file of that network"
        )
    params = _params(arrays, naming)
    return VGGWeights(params, preprocessing or found_preprocessing, tuple(params), note)


def save_vgg19(weights: VGGWeights, path: str | Path) -> None:
    """Writes weights, preprocessing and note as one npz file that `load_vgg19` reads back."""
    arrays = {}
    for name, layer in weights.params.items():
        arrays[names.OURS.kernels[name]] = np.asarray(layer["kernel"], np.float32)
        arrays[names.OURS.biases[name]] = np.asarray(layer["bias"], np.float32)
    for field, value in dataclasses.asdict(weights.preprocessing).items():
        arrays[f"preprocessing_{field}"] = np.asarray(value)
    arrays["note"] = np.asarray(weights.note)
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)


def require_layers(weights: VGGWeights, wanted: Iterable[str]) -> None:
    """Refuses layers that the weights lack; names are `relu4_1` or `conv4_1`.

    Raises:
      WeightsError: names what is no layer of VGG-19, or which layers the file does not reach.
    """
    convolutions = {name: re.sub("^relu", "conv", name) for name in wanted}
    unknown = [name for name, conv in convolutions.items() if conv not in names.CHANNELS]
    if unknown:
        raise WeightsError(
            f"{', '.join(unknown)} is no layer of VGG-19; name relu1_1 to relu5_4 "
            "(blocks of 2, 2, 4, 4 and 4)"
        )
    lacking = [name for name, conv in convolutions.items() if conv not in weights.params]
    if lacking:
        raise WeightsError(
            f"the VGG-19 weights end at {weights.layers[-1]} and lack {', '.join(lacking)}; choose "
            "earlier layers, or a file that goes further such as torchvision's"
        )


def _naming(entries: Mapping[str, Entry]) -> names.Naming | None:
    if names.ADAIN_FIRST_KERNEL in entries:
        if entries[names.ADAIN_FIRST_KERNEL].shape[2:] == (1, 1):
            return names.ADAIN
        return names.TORCHVISION_FEATURES
    for naming in (names.TORCHVISION_FULL, names.OURS):
        # Any entry decides, so that a file that lacks its first one is told what it lacks.
        if not entries.keys().isdisjoint([*naming.kernels.values(), *naming.biases.values()]):
            return naming
    return None


def _expected(entries: Mapping[str, Entry], naming: names.Naming) -> dict[str, Expected]:
    """All convolutions up to the last one of which there is a trace, and the file's own entries."""
    layers = [(conv, naming.kernels[conv], naming.biases[conv]) for conv in names.CHANNELS]
    there = [i for i, (_, k, b) in enumerate(layers) if k in entries or b in entries]
    expected = {}
    for conv, kernel, bias in layers[: max(there, default=0) + 1]:
        inputs, outputs = names.CHANNELS[conv]
        shape = (outputs, inputs, 3, 3) if naming.oihw else (3, 3, inputs, outputs)
        expected[kernel] = Expected(shape, title=f"{conv}'s kernel")
        expected[bias] = Expected((outputs,), title=f"{conv}'s bias")
    if naming is names.ADAIN:
        expected[names.ADAIN_FIRST_KERNEL] = Expected((3, 3, 1, 1))
        expected[names.ADAIN_FIRST_BIAS] = Expected((3,))
    if naming is names.OURS:
        if any(name in entries for name in PREPROCESSING):
            expected |= PREPROCESSING
        taps = {f"{conv}_exact_taps": Expected((3, 3), ("bool",)) for conv in names.CHANNELS}
        optional = {"mean_bgr": Expected((3,)), "note": Expected((), ("str",))} | taps
        expected |= {name: wanted for name, wanted in optional.items() if name in entries}
    return expected


def _params(arrays: Arrays, naming: names.Naming) -> Params:
    params = {}
    for conv in names.CHANNELS:
        if naming.kernels[conv] in arrays:
            kernel = arrays[naming.kernels[conv]].astype(np.float32)
            if naming.oihw:
                kernel = np.ascontiguousarray(kernel.transpose(2, 3, 1, 0))
            bias = arrays[naming.biases[conv]].astype(np.float32)
            params[conv] = {"kernel": kernel, "bias": bias}
    return params


def _require_usable(preprocessing: Preprocessing) -> None:
    """Refuses numbers that would turn every image into infinities or one constant."""
    factors = [preprocessing.scale, *preprocessing.std]
    if not all(1 / LARGEST <= x <= LARGEST for x in factors) or not all(
        abs(x) <= LARGEST for x in preprocessing.mean
    ):
        raise ValueError(
            f"its scale and deviations must lie in {1 / LARGEST:g} to {LARGEST:g} and its means "
            f"within {LARGEST:g}"
        )


def _from_first_convolution(arrays: Arrays) -> Preprocessing:
    """The 1x1 convolution y_c = s_c x_(2-c) + b_c (or x_c) as a preprocessing: exact.

    With scale 255 it is (255 x - mean) / std, where std = 255 / s and mean = -b std.
    """
    kernel = arrays[names.ADAIN_FIRST_KERNEL].astype(np.float64)[:, :, 0, 0]
    bias = arrays[names.ADAIN_FIRST_BIAS].astype(np.float64)
    reversing = kernel[:, ::-1]
    bgr = np.count_nonzero(reversing - np.diag(np.diag(reversing))) == 0
    scales = np.diag(reversing if bgr else kernel)
    if not bgr and np.count_nonzero(kernel - np.diag(scales)) or not np.all(scales > 0):
        raise ValueError("its 1x1 convolution does more than scale and reverse the channels")
    std = 255.0 / scales
    mean = -bias * std
    order = slice(None, None, -1 if bgr else 1)
    return Preprocessing(255.0, _decimal(mean[order]), _decimal(std[order]), bool(bgr))


def _from_own_entries(arrays: Arrays) -> tuple[Preprocessing, str]:
    note = one_line(arrays["note"], LONGEST_NOTE) if str(arrays.get("note", "")) else ""
    notes = [note] if note else []
    for name, taps in arrays.items():
        if name.endswith("_exact_taps") and not taps.all():
            layer = name.removesuffix("_exact_taps")
            rebuilt = int(np.count_nonzero(~taps))
            notes.append(f"{layer} rebuilt from 8 bit in {rebuilt} of {taps.size} taps")
    if "mean_bgr" in arrays:
        mean = _decimal(arrays["mean_bgr"][::-1])
        return dataclasses.replace(CAFFE, mean=mean), "; ".join(notes)
    if "preprocessing_scale" in arrays:
        scale, mean, std, bgr = (
            arrays[f"preprocessing_{field}"] for field in ("scale", "mean", "std", "bgr")
        )
        stored = Preprocessing(float(scale), _triple(mean), _triple(std), bool(bgr))
        return stored, "; ".join(notes)
    notes.append("the file names no preprocessing: torchvision's is assumed")
    return TORCHVISION, "; ".join(notes)


def _triple(values: np.ndarray) -> tuple[float, float, float]:
    first, second, third = (float(value) for value in values)
    return first, second, third


def _decimal(values: np.ndarray) -> tuple[float, float, float]:
    """Numbers stored in float32 as the decimals that were meant: 123.68, not 123.68000030517578."""
    return _triple(np.array([str(np.float32(value)) for value in values], np.float64))
